"""The data, the configuration and the scores of the network that draws streets from noise (`methods.stylegan`)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from course_lib.data.facades import draw_facade
from course_lib.evaluation.diversity import diversity
from course_lib.evaluation.frechet import frechet_distance, kernel_distance, pooled_features
from course_lib.methods import stylegan
from course_lib.teaching import records

SCENES = 8000  # training pictures, drawn with seed 0
UNSEEN = 1000  # pictures of the scores, drawn with seed 1
SHOWN = 24
CONFIG = replace(
    stylegan.Config.fast(), image_size=64, num_steps=16000, batch_size=8, most=128, z_size=128, w_size=128, penalty=0.3
)


def streets(count: int, size: int, seed: int = 0) -> Tensor:
    """Drawn streets in every weather and season, (count, 3, size, size)."""
    return torch.stack([draw_facade(k, size=size, seed=seed).photo for k in range(count)])


def describe(run: records.Record, model: stylegan.Model, count: int = UNSEEN) -> None:
    """Store scores of `count` pictures from noise, beside those of drawn ones, and pictures."""
    unseen = streets(count, model.config.image_size, seed=1)
    made = stylegan.generate(count, model, seed=1).image
    features = {"streets": pooled_features(unseen), "made": pooled_features(made)}
    halves = features["streets"].split(count // 2)
    kernel = kernel_distance(features["streets"], features["made"])
    run.values |= {
        "pictures": count,
        "distance": frechet_distance(features["streets"], features["made"]),
        "distance of two halves of the streets": frechet_distance(*halves),
        "kernel distance": list(kernel),
        "diversity": {"streets": diversity(unseen[:256]), "made": diversity(made[:256])},
    }
    run.images |= {
        "from noise": sheet(stylegan.generate(SHOWN, model, seed=2).image),
        "truncated": sheet(stylegan.generate(SHOWN, model, seed=2, truncation=0.7).image),
        "streets": sheet(unseen[:SHOWN]),
    }


def sheet(images: Tensor, columns: int = 8) -> Tensor:
    """Pictures (N, 3, S, S), N a multiple of `columns`, as one, (1, 3, rows · S, columns · S)."""
    rows = [torch.cat(list(row), -1) for row in images.split(columns)]
    return torch.cat(rows, -2)[None]
