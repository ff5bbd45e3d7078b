"""Moving pictures on a page: two films on top of each other with a movable edge between them, one time for both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from course_lib.teaching.figures import QUALITY, Figure, picture
from course_lib.teaching.interactive.component import Picture, cell, component, need_one_shape


def film(
    films: Mapping[str, Sequence[Picture]],
    *,
    caption: str,
    alt: str,
    at: int = 50,
    frame: int = 0,
    per_second: float = 8.0,
    size: int | None = None,
    quality: int = QUALITY,
) -> Figure:
    """Overlay two films with a movable edge, and move both through time with one slider.

    Nothing moves until the reader presses Play, and where reduced motion is asked for, there is no such button: the
    slider steps through the frames. If there are more than two films, the reader chooses which two.

    Args:
        films: title → frames of that film; two or more films of the same length and aspect ratio. Titles are shown in
            the corners, so they should be short. At first, the first film is left of the edge and the last one right.
        caption, alt, size, quality: as in `figures.sheet`.
        at: initial position of the edge, in percent of the width.
        frame: index of the frame shown first, which is also the one shown where scripts do not run.
        per_second: frames per second while it plays; it starts over at the end.

    Raises:
        ValueError: fewer than two films, fewer than two frames, different lengths or aspect ratios, a frame that does
            not exist, or a speed that is not above 0 and at most 30 frames per second.
    """
    lengths = {len(frames) for frames in films.values()}
    if len(films) < 2 or len(lengths) != 1 or min(lengths) < 2:
        raise ValueError(
            "this needs at least two films of the same length, two frames or more, "
            f"got {', '.join(f'{name}: {len(frames)}' for name, frames in films.items()) or 'none'}"
        )
    (length,) = lengths
    if not -length <= frame < length:
        raise ValueError(f"frame {frame} does not exist; the films have frames 0 to {length - 1}")
    if not 0 < per_second <= 30:
        raise ValueError(f"per_second must be above 0 and at most 30, got {per_second!r}")
    shown = [image for frames in films.values() for image in frames]
    need_one_shape(shown, [f"{name}, frame {k}" for name, frames in films.items() for k in range(len(frames))])
    first = frame % length
    cells = [
        cell("".join(_frame(image, f"{name}, frame {k}", k == first, size, quality) for k, image in enumerate(frames)),
             name)
        for name, frames in films.items()
    ]  # fmt: skip
    cells[0] = cells[0].replace('class="tile"', 'class="tile before"')
    settings = {"at": at, "frame": first, "length": length, "perSecond": per_second}
    return component("film", f'<div class="strip">{"".join(cells)}</div>', caption, alt, settings)


def _frame(image: Picture, alt: str, shown: bool, size: int | None, quality: int) -> str:
    hidden = "" if shown else " hidden"
    return f'<div class="moment"{hidden}>{picture(image, alt, size=size, quality=quality)}</div>'
