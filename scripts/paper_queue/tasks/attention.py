"""Brick walls from plastered ones: U-GAT-IT's light version at 128 px, half the paper's width, on drawn streets."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from course_lib.methods import ugatit
from scripts import attention_model
from scripts.paper_queue.items import Job
from scripts.paper_queue.tasks import scored
from scripts.paper_queue.tasks.drawn import by_all_cores

PAPER = replace(ugatit.Config.light_version(), image_size=128, load_size=143)
TOY: dict[str, Any] = {
    "image_size": 32, "load_size": 36, "num_blocks": 1, "width": 0.05, "global_patch": 34, "local_patch": 16,
}  # fmt: skip


def _one(k: int, material: str, size: int) -> Tensor:
    return attention_model.streets(material, (k,), size)[0]


def run(job: Job) -> None:
    """Train both directions, score translation and attention on streets they have not seen, and write the model file.

    The weights of the narrower network start larger, as in `ugatit.Config.fast`, which says why.
    """
    toy = job.scale == "toy"
    config = replace(PAPER, width=job.item.settings["width"], init_std=attention_model.CONFIG.init_std)
    config = replace(config, device=job.device, **(TOY if toy else {}))
    count, size = 4 if toy else attention_model.SCENES, config.load_size or config.image_size
    a, b = (
        torch.stack(by_all_cores(partial(_one, material=material, size=size), range(k * count, (k + 1) * count)))
        for k, material in enumerate(attention_model.MATERIALS)
    )

    def train(steps: int, **more: Any) -> ugatit.Model:
        return ugatit.train(a, b, replace(config, num_steps=steps), **more)

    scored.run(
        job, ugatit, config, PAPER.num_steps, train, partial(attention_model.Scores, config.image_size)
    )  # fmt: skip
