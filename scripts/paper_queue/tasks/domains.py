"""Eight weathers from one generator: StarGAN at 128 px, the paper's networks, on streets that code draws."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from course_lib.data.facades import weather_photos
from course_lib.methods import stargan
from scripts import domains_model
from scripts.paper_queue.items import Job
from scripts.paper_queue.tasks import scored
from scripts.paper_queue.tasks.drawn import by_all_cores

PAPER = replace(stargan.Config(), num_domains=len(domains_model.NAMES))
TOY: dict[str, Any] = {
    "image_size": 32, "load_size": 32, "batch_size": 4, "steps_D": 2, "num_blocks": 1, "layers_D": 3, "width": 0.1,
}  # fmt: skip


def _one(k: int, weather: str, size: int) -> Tensor:
    return weather_photos(weather, (k,), size=size)[0]


def run(job: Job) -> None:
    """Train the generator, score its translations on streets it has not seen, and write the model file."""
    toy = job.scale == "toy"
    config = replace(PAPER, device=job.device, **(TOY if toy else {}))
    count = 4 if toy else domains_model.SCENES
    pictures = {
        name: torch.stack(
            by_all_cores(partial(_one, weather=name, size=config.image_size), range(d * count, (d + 1) * count))
        )
        for d, name in enumerate(domains_model.NAMES)
    }

    def train(steps: int, **more: Any) -> stargan.Model:
        return stargan.train(pictures, replace(config, num_steps=steps), **more)

    few = {"count": 4, "colors": 4} if toy else {}
    scores = partial(domains_model.Scores, config.image_size, **few)
    scored.run(job, stargan, config, PAPER.num_steps, train, scores)
