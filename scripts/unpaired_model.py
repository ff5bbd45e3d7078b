"""The data, the configuration and the scores of the networks that turn a clear day into dusk, trained without pairs.

The streets of A and those of B are different ones. Of the streets of the scores there are pairs, which no training
sees: every street can be drawn in both weathers.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from course_lib.atomic import atomic_write
from course_lib.colors import match_colors
from course_lib.data.facades import weather_photos
from course_lib.methods import cyclegan
from course_lib.teaching import records

SCENES = 1000  # of each domain, drawn with seed 0
PAIRS = 24  # streets of the scores, drawn with seed 1
SHOWN = 4  # of them
COLORS = 100  # pictures of B whose colors a color transfer aims at
EVERY = 200  # steps between two scores
CONFIG = replace(
    cyclegan.Config.fast(), num_epochs=6, batch_size=1, image_size=128, num_blocks=6, patch=70, learning_rate=4e-4
)


def domains(weathers: tuple[str, ...], size: int) -> tuple[Tensor, Tensor]:
    """The training sets A and B, (1000, 3, size, size) each, of different streets."""
    a, b = weathers
    return weather_photos(a, range(SCENES), size=size), weather_photos(b, range(SCENES, 2 * SCENES), size=size)


def pairs(weathers: tuple[str, ...], size: int, count: int = PAIRS) -> tuple[Tensor, Tensor]:
    """Streets that no training sees, in both weathers, (count, 3, size, size) each."""
    a, b = (weather_photos(weather, range(count), size=size, seed=1) for weather in weathers)
    return a, b


def color_transfer(given: Tensor, target: Tensor) -> Tensor:
    """Pictures (N, 3, S, S) after one affine map of colors, with the mean and covariance of those of `target`."""
    strip = torch.cat(list(given), -1)[None]  # (1, 3, S, N·S)
    moved = match_colors(strip, torch.cat(list(target), -1)[None]).clamp(0, 1)
    return torch.stack(moved[0].split(given.shape[-1], -1))


def error(made: Tensor, truth: Tensor) -> float:
    """Mean absolute difference of colors, pictures in [0, 1]."""
    return float((made - truth).abs().mean())


class Watched:
    """The error of a run's preview, which no training minimizes; a run that goes on later keeps what it had.

    Args:
        checkpoint: of the run; the scores so far lie beside it.
        every: steps between two scores.
        given: the preview, pictures that no training sees.
        truth: what its translation should be.
    """

    def __init__(self, checkpoint: Path, every: int, given: Tensor, truth: Tensor) -> None:
        self.file, self.every, self.given, self.truth = checkpoint.with_suffix(".scores.json"), every, given, truth
        self.curve: dict[str, float] = json.loads(self.file.read_bytes()) if checkpoint.exists() else {}

    def watch(self, progress: Any) -> None:
        """Score the current translation of `given`, if it is time."""
        if progress.step % self.every == 0 or progress.step == 1:
            self.curve[str(progress.step)] = error(progress.image(), self.truth)
            with atomic_write(self.file) as stream:
                stream.write(json.dumps(self.curve).encode())


class Scores(Watched):
    """The scores of both directions.

    Args:
        weathers: A and B.
        size: of the pictures.
        checkpoint: of the run.
    """

    def __init__(self, weathers: tuple[str, ...], size: int, checkpoint: Path) -> None:
        self.weathers = weathers
        super().__init__(checkpoint, EVERY, *pairs(weathers, size))

    def describe(self, run: records.Record, model: cyclegan.Model) -> None:
        """Store the curve, the errors beside those of two baselines, and pictures."""
        a, b = self.given, self.truth
        there, back = cyclegan.translate(a, model).image, cyclegan.translate(b, model, direction="BA").image
        moved = color_transfer(a, weather_photos(self.weathers[1], range(SCENES, SCENES + COLORS), size=a.shape[-1]))
        run.values |= {
            "error while training": self.curve,
            "error": {"as it is": error(a, b), "color transfer": error(moved, b), "CycleGAN": error(there, b)},
            "error back": {"as it is": error(b, a), "CycleGAN": error(back, a)},
            "error of each street": {
                "color transfer": [error(x, y) for x, y in zip(moved, b, strict=True)],
                "CycleGAN": [error(x, y) for x, y in zip(there, b, strict=True)],
            },
        }
        rows = {"given": a, "translated": there, "color transfer": moved, "truth": b, "truth translated back": back}
        for k in range(SHOWN):
            run.images |= {f"street {k}, {name}": pictures[k : k + 1] for name, pictures in rows.items()}
