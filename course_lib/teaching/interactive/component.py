"""Build the HTML of the components of `teaching.interactive` from pictures, settings, style and script."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from html import escape
from math import prod
from pathlib import Path
from typing import Any

from torch import Tensor

from course_lib.images import load_image
from course_lib.teaching.figures import Figure, picture

Picture = Tensor | Path

_FOLDER = Path(__file__).resolve().parent


def moving(
    places: Sequence[Sequence[Picture]],
    axes: Sequence[tuple[str, Sequence[str]]],
    titles: Sequence[str],
    notes: Sequence[str],
    at: Sequence[int],
    caption: str,
    alt: str,
    size: int | None,
    quality: int,
) -> Figure:
    """Frames along one axis or two, in row-major order; all are hidden except the one shown first.

    Raises:
        ValueError: an axis with fewer than two positions, or numbers of frames, notes or titles that do not match.
    """
    for name, labels in axes:
        if len(labels) < 2:
            raise ValueError(f"the slider {name!r} needs at least two positions, got {len(labels)}")
    count = prod(len(labels) for _, labels in axes)
    if len(places) != count or (notes and len(notes) != count):
        raise ValueError(f"{count} labels need as many positions, got {len(places)} and {len(notes)} notes")
    first = [k % len(labels) for k, (_, labels) in zip(at, axes, strict=True)]
    shown = 0
    for k, (_, labels) in zip(first, axes, strict=True):
        shown = shown * len(labels) + k
    body = ""
    for index, row in enumerate(places):
        names = list(titles) or [""] * len(row)
        need_titles(row, names, least=1)
        words = _place(index, axes)
        cells = [
            cell(picture(image, f"{name}, {words}".strip(", "), size=size, quality=quality), name)
            for image, name in pairs(row, names)
        ]
        hidden = "" if index == shown else " hidden"
        note = notes[index] if notes else ""
        body += f'<div class="frame"{hidden}>{note}<div class="strip">{"".join(cells)}</div></div>'
    settings = {"axes": [{"name": name, "values": list(labels)} for name, labels in axes], "at": first}
    return component("frames", body, caption, alt, settings)


def _place(index: int, axes: Sequence[tuple[str, Sequence[str]]]) -> str:
    """A position in words: ``"iterations 20"``."""
    words = []
    for name, labels in reversed(axes):
        index, k = divmod(index, len(labels))
        words.append(f"{name} {labels[k]}")
    return ", ".join(reversed(words))


def component(kind: str, body: str, caption: str, alt: str, settings: Mapping[str, Any]) -> Figure:
    data = escape(json.dumps(settings, ensure_ascii=False), quote=True)
    script = f"(() => {{\n{part('core.js')}\n{part(kind.replace('-', '_') + '.js')}\n}})();"
    script = re.sub(r"(?m)^ *//.*\n|  // .*$|^ +", "", script)  # the page needs neither comments nor indentation
    own = f'<style class="play-part">{part(f"{kind}.css")}</style>' if (_FOLDER / f"{kind}.css").exists() else ""
    html = (
        f'<style class="play-part">{part("play.css")}</style>{own}'
        f'<div class="play" data-kind="{kind}" data-settings="{data}">{body}</div>'
        f'<script class="play-part">{script}</script>'
    )
    return Figure(html, caption, alt, kind=f"interactive {kind}")


@lru_cache
def part(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8").strip()


def cell(inside: str, title: str) -> str:
    name = f'<div class="name">{escape(title)}</div>' if title else ""
    return f'<div class="tile">{inside}{name}</div>'


def row_of(place: Picture | Sequence[Picture]) -> Sequence[Picture]:
    return [place] if isinstance(place, Tensor | Path) else place


def pairs(pictures: Sequence[Picture], titles: Sequence[str]) -> list[tuple[Picture, str]]:
    return list(zip(pictures, titles, strict=True))


def shape_of(image: Picture) -> tuple[int, int]:
    height, width = (load_image(image) if isinstance(image, Path) else image).shape[-2:]
    return int(height), int(width)


def need_titles(pictures: Sequence[Picture], titles: Sequence[str], *, least: int) -> None:
    if len(pictures) < least or len(pictures) != len(titles):
        raise ValueError(
            f"this needs at least {least} picture{'s' * (least > 1)} and one title for each, "
            f"got {len(pictures)} pictures, {len(titles)} titles"
        )


def need_one_shape(pictures: Sequence[Picture], titles: Sequence[str]) -> None:
    """Raise ValueError unless all pictures have the same aspect ratio; their resolutions may differ."""
    height, width = shape_of(pictures[0])
    for image, title in pairs(pictures, titles):
        h, w = shape_of(image)
        if abs(h * width - w * height) > max(h, w, height, width):
            raise ValueError(
                f"{title!r} is {w} × {h} and {titles[0]!r} {width} × {height} pixels; "
                "they need the same aspect ratio, so crop or resize one of them"
            )
