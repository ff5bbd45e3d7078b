"""Streets from noise: StyleGAN2 at 64 px, the paper's batches and losses, on streets that code draws."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from course_lib.data.facades import draw_facade
from course_lib.methods import stylegan
from scripts import stylegan_model
from scripts.models import Recipe, describe
from scripts.paper_queue.items import Job
from scripts.paper_queue.tasks import by_time, stored
from scripts.paper_queue.tasks.drawn import by_all_cores

PAPER = replace(
    stylegan.Config(), image_size=64, width=2048, most=160, z_size=128, w_size=128,
    penalty=stylegan_model.CONFIG.penalty,
)  # fmt: skip
TOY: dict[str, Any] = {"image_size": 32, "width": 128, "most": 8, "batch_size": 4, "z_size": 8, "w_size": 8}


def _one(k: int, size: int) -> Tensor:
    return draw_facade(k, size=size).photo


def run(job: Job) -> None:
    """Train the generator, score it beside unseen streets, and write the model file."""
    toy = job.scale == "toy"
    config = replace(PAPER, **TOY, device=job.device) if toy else replace(PAPER, device=job.device)
    pictures = torch.stack(by_all_cores(partial(_one, size=config.image_size), range(8 if toy else 20_000)))

    def train(steps: int, **more: Any) -> stylegan.Model:
        return stylegan.train(pictures, replace(config, num_steps=steps), **more)

    chosen = by_time.plan(job, stylegan.KIND, PAPER.num_steps, train)
    watch = by_time.watch(job.item.name)
    with stored(job, job.item.records[0], config) as record:
        model = train(chosen.steps, start=chosen.start, checkpoint=chosen.checkpoint, callback=watch)
        model = replace(model, facts=by_time.finish(job, chosen, PAPER.num_steps, model, record))
        describe(record, Recipe(stylegan, config), model, count=24 if toy else stylegan_model.UNSEEN)
        record.values["started from"] = None if chosen.start is None else f"{chosen.before:,} steps of its own"
        stylegan.save(model, job.into / "models" / f"{job.item.models[0]}.safetensors", half=True)
    by_time.put_away(chosen)
