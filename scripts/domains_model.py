"""The data, the configuration and the scores of the one generator that gives a street any of eight weathers.

The streets of every weather are different ones. Of the streets of the scores all eight versions are drawn, which no
training sees: the truth of every translation is known.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from course_lib.data.facades import WEATHERS, weather_photos
from course_lib.methods import stargan
from course_lib.teaching import records
from scripts.unpaired_model import Watched, color_transfer, error

NAMES = tuple(WEATHERS)
SCENES = 1000  # of each weather, drawn with seed 0
UNSEEN = 24  # streets of the scores, drawn with seed 1, each in every weather
WATCHED = 8  # of them, for the scores while training
SHOWN = 3
COLORS = 100  # pictures whose colors a color transfer aims at
EVERY = 400  # steps between two scores
CONFIG = stargan.Config.fast()


def domains(size: int) -> dict[str, Tensor]:
    """The training set of each weather, (1000, 3, size, size), of different streets."""
    return {name: weather_photos(name, range(d * SCENES, (d + 1) * SCENES), size=size) for d, name in enumerate(NAMES)}


def truths(size: int, count: int = UNSEEN) -> dict[str, Tensor]:
    """The same streets in every weather, (count, 3, size, size) each; no training sees them."""
    return {name: weather_photos(name, range(count), size=size, seed=1) for name in NAMES}


def errors(model: stargan.Model, streets: dict[str, Tensor]) -> dict[str, dict[str, float]]:
    """The mean absolute error of each translation, by the weather given and the one asked for."""
    return {
        given: {
            to: error(stargan.translate(photos, model, to=to).image, streets[to]) for to in NAMES if to != given
        }
        for given, photos in streets.items()
    }  # fmt: skip


def mean(table: dict[str, dict[str, float]]) -> float:
    """The mean of a table of errors."""
    values = [value for row in table.values() for value in row.values()]
    return sum(values) / len(values)


class Scores(Watched):
    """The scores of all translations; while training, those of one clear street to all weathers.

    Args:
        size: of the pictures.
        checkpoint: of the run.
        count: streets of the scores.
        colors: pictures of each weather whose colors a color transfer aims at.
    """

    def __init__(self, size: int, checkpoint: Path, count: int = UNSEEN, colors: int = COLORS) -> None:
        self.colors, self.streets = colors, truths(size, count)
        truth = torch.cat([self.streets[name][:1] for name in NAMES], -1)
        super().__init__(checkpoint, EVERY, self.streets["clear"][:1], truth)

    def describe(self, run: records.Record, model: stargan.Model) -> None:
        """Store the curve, the errors between all weathers beside those of two baselines, and pictures."""
        streets = self.streets
        size = model.config.image_size
        targets = {
            name: weather_photos(name, range(d * SCENES, d * SCENES + self.colors), size=size)
            for d, name in enumerate(NAMES)
        }
        untouched = {a: {b: error(x, y) for b, y in streets.items() if b != a} for a, x in streets.items()}
        moved = {
            a: {b: error(color_transfer(x, targets[b]), y) for b, y in streets.items() if b != a}
            for a, x in streets.items()
        }
        table = errors(model, streets)
        run.values |= {
            "error while training": self.curve,
            "weathers": list(NAMES),
            "error": {"as it is": mean(untouched), "color transfer": mean(moved), "StarGAN": mean(table)},
            "error of each translation": {"as it is": untouched, "color transfer": moved, "StarGAN": table},
        }
        for k in range(SHOWN):
            given = streets["clear"][k : k + 1]
            made = [stargan.translate(given, model, to=name).image for name in NAMES]
            run.images |= {
                f"street {k}, given": given,
                f"street {k}, translated": torch.cat(made, -1),
                f"street {k}, truth": torch.cat([streets[name][k : k + 1] for name in NAMES], -1),
            }
