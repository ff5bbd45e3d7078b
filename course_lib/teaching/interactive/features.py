"""A component that shows what excites the channels of a network: places, patches, and one number followed."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib import arguments
from course_lib.images import resize, to_pil
from course_lib.samples import sample_image, sample_title
from course_lib.teaching import feature_atlas
from course_lib.teaching.figures import Figure, picture
from course_lib.teaching.interactive.component import cell, component, part

TILE = 64  # pixels: a patch as it is drawn
LARGEST = 48  # pixels: a patch as it is stored; smaller fields are stored as they are
QUALITY = 36  # of stored patches; those of at most 10 pixels are stored exactly
GRAY = 119 / 255  # beyond the border of a photograph
SHOWN = 3  # channels in the picture without scripts


def feature_explorer(
    atlas: Mapping[str, Any],
    *,
    caption: str,
    alt: str,
    photo: str | None = None,
    layer: str | None = None,
    place: tuple[float, float] = (0.5, 0.5),
) -> Figure:
    """Choose a photograph, a layer and a place: what the place sees, the channels that respond most, and their patches.

    For each channel stand the patches of all photographs at which it responds most, at most one from a photograph. In
    the first layer the page computes every number itself, from the pixels and the filters, and shows its 27 products.
    The values of the other layers are those of the stored run, to one part in 255 (`feature_atlas.encode`).

    The pixels, values and patches stand in the output behind everything else, about 0.3 MB. The pages of the book keep
    them in a file of their own, which is fetched on a click.

    Args:
        atlas: of `feature_atlas.make`, or the values of the stored run ``atlas_vgg19``.
        caption, alt: as in `figures.sheet`.
        photo, layer: shown first; by default the first photograph and the last layer but one.
        place: shown first: from the left and from the top, as shares of the sides.

    Raises:
        ValueError: a photograph or a layer that the atlas does not have, or a place outside the photograph.
    """
    photos, layers = atlas["photos"], atlas["layers"]
    names = [one["name"] for one in photos]
    depths = [one["name"] for one in layers]
    k = names.index(arguments.choice("photo", names[0] if photo is None else photo, names))
    n = depths.index(arguments.choice("layer", depths[max(0, len(depths) - 2)] if layer is None else layer, depths))
    x, y = (arguments.fraction("place", share) for share in place)
    at = {"photo": k, "layer": n, "x": x * photos[k]["width"] - 0.5, "y": y * photos[k]["height"] - 0.5}
    used = sorted({int(patch[0]) for one in layers for best in one["patches"] for patch in best})
    bank = {number: sample_image(atlas["names"][number], atlas["size"]) for number in used}
    sheets = [_sheet(bank, one) for one in layers]
    settings = {
        "photos": [
            {"title": sample_title(one["name"]), "width": one["width"], "height": one["height"]} for one in photos
        ],
        "layers": [
            {
                **{key: one[key] for key in ("name", "field", "stride", "step", "inputs", "channels")},
                "scales": _short(one["scales"]), "most": _short([best[0][3] for best in one["patches"]]),
                "from": [[patch[0] for patch in best] for best in one["patches"]], "patch": min(LARGEST, one["field"]),
            }
            for one in layers
        ],
        "names": [sample_title(name) for name in atlas["names"]],
        "mean": atlas["mean"], "std": atlas["std"],
        "at": at, "tile": TILE,
    }  # fmt: skip
    later = {
        "pixels": [one["pixels"] for one in photos], "codes": [one["codes"] for one in layers],
        "filters": atlas["filters"],
        "sheets": [_uri(sheet, one["field"]) for sheet, one in zip(sheets, layers, strict=True)],
    }  # fmt: skip
    body = (
        f'<div class="sheet"><div class="strip">{_still(atlas, at, sheets[n])}</div></div>'
        f'<template class="later">{json.dumps(later, separators=(",", ":"))}</template>{part("feature_explorer.html")}'
    )
    return component("feature-explorer", body, caption, alt, settings)


def _short(numbers: Sequence[float]) -> list[float]:
    """Five digits each: ten times as exact as a stored value."""
    return [float(f"{number:.5g}") for number in numbers]


def _sheet(bank: Mapping[int, Tensor], layer: Mapping[str, Any]) -> Tensor:
    """The patches of a layer, (1, 3, channels·side, patches·side): a row for each of its channels."""
    side = min(LARGEST, layer["field"])
    rows = []
    for best in layer["patches"]:
        cut = [_cut(bank[int(k)], layer, column, row) for k, row, column, _ in best]
        rows.append(torch.cat([resize(patch, (side, side)) if patch.shape[-1] > side else patch for patch in cut], -1))
    return torch.cat(rows, -2)


def _cut(photo: Tensor, layer: Mapping[str, Any], column: int, row: int) -> Tensor:
    """The receptive field of a position of a layer, (1, 3, field, field); gray where it reaches beyond the border."""
    left, top = (_corner(layer, k) for k in (column, row))
    height, width = photo.shape[-2:]
    right, bottom = left + layer["field"], top + layer["field"]
    inside = photo[..., max(0, top) : min(height, bottom), max(0, left) : min(width, right)]
    border = (max(0, -left), max(0, right - width), max(0, -top), max(0, bottom - height))
    return F.pad(inside, border, value=GRAY)


def _corner(layer: Mapping[str, Any], position: int) -> int:
    """The first pixel that a position sees along a side; negative where the field begins outside the picture."""
    return int((layer["stride"] - layer["field"]) / 2 + position * layer["stride"])


def _uri(sheet: Tensor, field: int) -> str:
    file = io.BytesIO()
    exact: dict[str, Any] = {"lossless": True, "quality": 100} if field <= 10 else {"quality": QUALITY}
    to_pil(sheet).save(file, format="WEBP", method=6, **exact)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def _still(atlas: Mapping[str, Any], at: Mapping[str, Any], sheet: Tensor) -> str:
    """What stands there without scripts: the field on the photograph, and the patches of the strongest channels."""
    photo, layer = atlas["photos"][at["photo"]], atlas["layers"][at["layer"]]
    values = feature_atlas.values(atlas, at["photo"], at["layer"])  # (channels, rows, columns)
    step, stride = layer["step"], layer["stride"]
    column, row = (
        max(0, min(count - 1, math.floor(((at[key] - (stride - 1) / 2) / stride - step // 2) / step + 0.5)))
        for key, count in (("x", values.shape[2]), ("y", values.shape[1]))
    )
    left, top = (_corner(layer, step // 2 + k * step) for k in (column, row))
    shown = _framed(feature_atlas.unpack(photo), left, top, layer["field"])
    cells = [
        cell(picture(shown, f"{sample_title(photo['name'])} with a square"), f"what a position of {layer['name']} sees")
    ]
    side = sheet.shape[-2] // len(layer["channels"])
    for channel in values[:, row, column].argsort(descending=True, stable=True)[:SHOWN].tolist():
        strip = sheet[..., channel * side : (channel + 1) * side, :]  # (1, 3, side, patches·side)
        half = strip.shape[-1] // side // 2 * side
        mosaic = torch.cat([strip[..., :half], strip[..., half : 2 * half]], -2)
        name = f"channel {layer['channels'][channel]}: {values[channel, row, column]:.1f}"
        cells.append(cell(picture(mosaic, f"patches of {name}", quality=70), name))
    return "".join(cells)


def _framed(image: Tensor, left: int, top: int, side: int) -> Tensor:
    """The picture, darker outside a square, with a white line around the square."""
    rows, columns = (torch.arange(length) for length in image.shape[-2:])
    depth = torch.minimum(
        torch.minimum(rows - top, top + side - 1 - rows)[:, None],
        torch.minimum(columns - left, left + side - 1 - columns)[None],
    )  # (H, W): 0 on the border of the square, negative outside
    shade = torch.where(depth < 0, 0.58, 1.0) if side > 10 else torch.ones_like(depth, dtype=torch.float)
    return torch.where((depth >= 0) & (depth < 2) if side > 10 else (depth == -2), 1.0, image * shade)
