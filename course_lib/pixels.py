"""From an open PIL picture to colors in sRGB and opacity, and to 8-bit levels: modes, color profiles, transparency.

A file may say with an embedded ICC profile what its numbers mean: pictures of phones and cameras are often in Display
P3 or Adobe RGB, pictures for printing in CMYK. Such colors are converted to sRGB when a picture is read. Without a
profile, or with that of sRGB, the numbers stay as they are. Gamma is not undone.
"""

from __future__ import annotations

import math
import warnings
from contextlib import suppress
from functools import lru_cache
from io import BytesIO

import numpy as np
import torch
from PIL import ExifTags, Image, ImageCms, ImageOps
from torch import Tensor
from torch.nn import functional as F

from course_lib.image_checks import ImageError

HALF_LEVEL = 0.5 / 255  # an overshoot this small rounds to the same 8-bit value
OPAQUE_FROM = 0.5 / 255  # a smaller opacity is stored as 0, so the pixel has no color of its own
_SAME = 2  # levels: profiles that call themselves sRGB differ from one another by this much
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # the color space in a profile's header, and PIL's mode for it


def decode(pil: Image.Image) -> tuple[Tensor, Tensor | None]:
    """Colors and opacity of a PIL picture of any mode, rotated as its EXIF data says.

    Returns:
        Color (1, 3, H, W), float32, in [0, 1], in sRGB, not blended with anything; opacity (1, 1, H, W), float32, in
        [0, 1], None if the picture has none.

    Raises:
        ImageError: not a PIL picture, an empty one, or gray values beyond 8 bits on an unknown scale.
    """
    if not isinstance(pil, Image.Image):
        raise ImageError(f"Expected a PIL picture, got {type(pil).__name__}; load_image reads files.")
    if 0 in pil.size:
        raise ImageError(f"This picture is {pil.width} x {pil.height}; it needs at least 1 x 1 pixels.")
    pil.load()
    with suppress(Exception):  # if the EXIF data is damaged, only the rotation is lost
        if pil.getexif().get(ExifTags.Base.Orientation, 1) != 1:  # without a copy of what stands upright
            pil = ImageOps.exif_transpose(pil)
    profile = pil.info.get("icc_profile")
    if pil.mode.startswith("I") or pil.mode == "F":
        return _deep_gray(pil, profile)
    if pil.mode == "La":  # Pillow converts premultiplied gray only to LA
        pil = pil.convert("LA")
    alpha = None
    if pil.mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in pil.info:
        rgba = pil.convert("RGBA")
        alpha = _pixels(rgba.getchannel("A"))
        if pil.mode not in ("L", "LA"):  # gray stays gray, for a profile of gray
            pil = rgba
    return _pixels(_in_srgb(pil, profile)), alpha


def fill_transparent(color: Tensor, alpha: Tensor) -> Tensor:
    """Give pixels without opacity the color of the visible ones next to them.

    What a file stores there is arbitrary, mostly black. A network sees it next to the outline of the object, and a
    viewer that scales the picture mixes it in: a dark fringe. Here, colors weighted by their opacity are averaged over
    squares of 2, 4, 8, … pixels; a pixel takes the average of the smallest of its squares that has one.

    Args:
        color: (1, 3, H, W) in [0, 1].
        alpha: (1, 1, H, W) in [0, 1].

    Returns:
        (1, 3, H, W) in [0, 1]; where alpha is at least 0.5/255, `color` itself; white if nothing is visible.

    >>> row = torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(1, 3, 1, 4)  # white, then black that is transparent
    >>> fill_transparent(row, torch.tensor([1.0, 0.0, 0.0, 0.0]).view(1, 1, 1, 4))[0, 0, 0].tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    visible = alpha >= OPAQUE_FROM
    if visible.all():
        return color
    if not visible.any():
        return torch.ones_like(color)
    height, width = color.shape[-2:]
    weight = alpha * visible
    both = torch.cat((color * weight, weight), 1)
    both = F.pad(both, (0, width % 2, 0, height % 2))  # what is added has no weight
    sums = 4 * F.avg_pool2d(both, (min(2, both.shape[-2]), min(2, both.shape[-1])))
    weights = sums[:, 3:]
    smaller = fill_transparent((sums[:, :3] / weights.clamp_min(1e-6)).clamp(0, 1), weights.clamp(max=1))
    enlarged = smaller.repeat_interleave(2, -2).repeat_interleave(2, -1)[..., :height, :width]
    return torch.where(visible, color, enlarged)


def srgb_profile() -> bytes:
    """The ICC profile of sRGB, always the same bytes: for file formats that have no shorter way to name sRGB."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return data[:24] + bytes((7, 208, 0, 1, 0, 1)) + bytes(6) + data[36:]  # always dated 1 January 2000


def levels_of(image: Tensor, bits: int = 8) -> np.ndarray:
    """The levels (H, W, C) of a picture (1, C, H, W) or (C, H, W) in [0, 1], each value rounded to the nearest.

    Args:
        image: the picture.
        bits: 8 for 256 levels, uint8; 16 for 65,536, uint16.

    Raises:
        ImageError: values that are not finite, or out of range.
    """
    image = image.detach().float().cpu()
    low, high = torch.stack(image.aminmax()).tolist()
    if not (math.isfinite(low) and math.isfinite(high)):
        bad = int((~image.isfinite()).sum())
        raise ImageError(
            f"{bad:,} of {image.numel():,} values are NaN or infinite, so there is no picture. "
            "Find the step that diverged; a smaller learning rate or smaller weights usually cure it."
        )
    if low < -HALF_LEVEL or high > 1 + HALF_LEVEL:
        raise ImageError(
            f"Values run from {low:.3g} to {high:.3g}, expected [0, 1]. Divide by 255 if the scale is "
            "0..255, use (x + 1) / 2 if it is [-1, 1], or image.clamp(0, 1) if the values only overshoot."
        )
    channels = image.reshape(image.shape[-3:])
    top = 2**bits - 1
    levels = np.empty((*channels.shape[1:], len(channels)), np.uint8 if bits == 8 else np.uint16)
    for k, channel in enumerate(channels):  # one at a time: a large picture fits only a few times
        levels[..., k] = channel.mul(top).round_().clamp_(0, top).numpy()
    return levels


def _pixels(pil: Image.Image) -> Tensor:
    array = np.array(pil)  # (H, W) or (H, W, C), 0..255
    image = torch.from_numpy(array).reshape(pil.height, pil.width, -1).permute(2, 0, 1)[None].contiguous()
    return image.float().div_(255)


def _deep_gray(pil: Image.Image, profile: bytes | None) -> tuple[Tensor, Tensor | None]:
    array = np.array(pil).astype(np.float64)  # (H, W)
    top = 1 if pil.mode == "F" else 65535
    if not (array.min() >= 0 and array.max() <= top):  # written this way, the condition also refuses NaN
        raise ImageError(
            f"Gray values ({pil.mode}) run from {array.min():g} to {array.max():g}, expected 0 to {top}. "
            "Scale them to that range, or export the picture as an 8-bit or 16-bit PNG."
        )
    level = array / top
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    converted = np.array(_in_srgb(ramp, profile).getchannel(0), dtype=np.float64)[0]  # LittleCMS in Pillow has 8 bits
    if (converted != np.arange(256)).any():
        level = np.interp(level, np.linspace(0, 1, 256), converted / 255)
    gray = torch.from_numpy(level.astype(np.float32)).expand(1, 3, -1, -1).contiguous()
    clear = array == pil.info.get("transparency")  # in 16-bit gray, one value may stand for "transparent"
    return gray, torch.from_numpy(1 - np.float32(clear)).expand(1, 1, -1, -1) if clear.any() else None


def _in_srgb(pil: Image.Image, profile: bytes | None) -> Image.Image:
    """The picture in mode RGB, without opacity, its colors converted from `profile` to sRGB."""
    plain = pil if pil.mode == "RGB" else pil.convert("RGB")
    if not profile or pil.mode in ("LAB", "HSV", "YCbCr"):
        return plain
    try:
        space = _profile(profile).profile.xcolor_space.strip()
        fits = {"GRAY": pil.mode in ("1", "L", "LA"), "CMYK": pil.mode == "CMYK", "RGB": pil.mode != "CMYK"}
        if not fits.get(space, False):
            raise ValueError(f"it is for {space} colors, and the picture is {pil.mode}")
        transform = _to_srgb(profile, _MODES[space])
    except Exception as error:  # LittleCMS, or a Pillow without it
        warnings.warn(f"a picture's color profile was ignored ({error}); its colors are taken as sRGB", stacklevel=2)
        return plain
    if transform is None:
        return plain
    converted = ImageCms.applyTransform(plain if space == "RGB" else pil.convert(_MODES[space]), transform)
    return plain if converted is None else converted


def _profile(data: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(BytesIO(data))


@lru_cache(maxsize=16)
def _to_srgb(data: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform from a profile to sRGB, relative colorimetric; None if it changes next to nothing."""
    transform = ImageCms.buildTransform(
        _profile(data), ImageCms.createProfile("sRGB"), mode, "RGB",
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC, flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )  # fmt: skip
    if mode == "CMYK":
        return transform
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    colors = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)  # 18³ colors
    probe = Image.fromarray(colors if mode == "RGB" else np.arange(256, dtype=np.uint8)[None])
    before, after = (
        np.array(one, dtype=int) for one in (probe.convert("RGB"), ImageCms.applyTransform(probe, transform))
    )
    return None if np.abs(before - after).max() <= _SAME else transform
