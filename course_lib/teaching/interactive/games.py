"""A component in which two players are trained while the reader looks: a GAN with points, as in `methods.gan`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from course_lib.teaching.figures import QUALITY, Figure, picture
from course_lib.teaching.interactive.component import Picture, cell, component, need_one_shape, need_titles, pairs, part

REACH = 1.6  # the plane shows −REACH to REACH in both directions
WIDTH, BATCH = 32, 64  # units of a hidden layer and points of a minibatch: a step takes about two milliseconds
WARM = 100  # steps of the first game that are taken before it is shown

GAMES: list[dict[str, Any]] = [
    {"name": "An even game", "rules": "target=ring penalty=0.1"},
    {
        "name": "Saturation",
        "rules": "target=ring objective=minimax G=0.0003 D=0.003 k=10 head=300",
        "cure": {
            "name": "Cure: another objective",
            "rules": "target=ring objective=non-saturating G=0.0003 D=0.003 k=10 head=300",
        },
    },
    {
        "name": "Mode collapse",
        "rules": "target=ring G=0.003 D=0.0003",
        "cure": {"name": "Cure: k = 5, penalty", "rules": "target=ring G=0.003 D=0.0003 k=5 penalty=0.1"},
    },
    {
        "name": "Circling",
        "rules": "target=cloud G=0.003 D=0.003",
        "cure": {"name": "Cure: a penalty", "rules": "target=cloud G=0.003 D=0.003 penalty=1"},
    },
]


def targets() -> dict[str, dict[str, Any]]:
    """The target distributions by name: normal distributions with one ``"sigma"`` around ``"centers"`` [[x, y], …].

    >>> {name: len(target["centers"]) for name, target in targets().items()}
    {'ring': 8, 'cloud': 1, 'pair': 2, 'grid': 9, 'wave': 21}
    """
    ring = [[math.cos(k * math.pi / 4), math.sin(k * math.pi / 4)] for k in range(8)]  # that of chapter 8
    grid = [[x, y] for x in (-1.0, 0.0, 1.0) for y in (-1.0, 0.0, 1.0)]
    wave = [[x / 8, 0.6 * math.sin(x / 8 * 2.5)] for x in range(-10, 11)]
    found = {"ring": (ring, 0.1), "cloud": ([[0.7, 0.5]], 0.15), "pair": ([[-0.8, 0.0], [0.8, 0.0]], 0.1)}
    found |= {"grid": (grid, 0.1), "wave": (wave, 0.08)}
    return {
        name: {"centers": [[round(v, 4) for v in center] for center in centers], "sigma": sigma}
        for name, (centers, sigma) in found.items()
    }


def gan_laboratory(
    pictures: Sequence[Picture],
    *,
    titles: Sequence[str],
    caption: str,
    alt: str,
    size: int | None = None,
    quality: int = QUALITY,
) -> Figure:
    """A GAN in the plane that trains in the page: watch it, stop it, step one player, change the rules, draw a target.

    The script computes what `methods.gan.train_step` computes, with `networks.points` of two hidden layers of 32 units,
    minibatches of 64 points, and Adam: one step of the game for each frame of the screen. It shows D over the plane,
    real and made points, the gradient that each made point receives (down G's loss, not divided by the number of
    points), and both losses. *Missed* is the mean distance from a real point to the nearest of 256 made ones,
    *strayed* from a made point to the nearest of 256 real ones; the side of the plane is 3.2.

    Games provoke saturation, mode collapse and circling, and beside each is a cure. A game is a text of one line, with
    its seed, which can be copied, pasted, or put behind the address of the page after ``#game=``; it replays exactly
    on the same browser.

    Args:
        pictures: stages of a game, shown as a plain sheet where scripts do not run; each as in `compare`.
        titles: one per picture.
        caption, alt, size, quality: as in `figures.sheet`.

    Raises:
        ValueError: no pictures, not one title per picture, or different aspect ratios.
    """
    need_titles(pictures, titles, least=1)
    need_one_shape(pictures, titles)
    cells = [cell(picture(image, title, size=size, quality=quality), title) for image, title in pairs(pictures, titles)]
    body = f'<div class="sheet"><div class="strip">{"".join(cells)}</div></div>{part("gan_laboratory.html")}'
    settings = {
        "games": GAMES, "targets": targets(), "reach": REACH, "width": WIDTH, "batch": BATCH, "warm": WARM,
    }  # fmt: skip
    return component("gan-laboratory", body, caption, alt, settings)
