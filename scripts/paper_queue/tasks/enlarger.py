"""A super-resolution network at the paper's size: 288 px, full width, as many of its 200,000 steps as time allows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from course_lib import resize, sample_image, sample_names
from course_lib.evaluation import metrics
from course_lib.images import center_crop
from course_lib.methods import super_resolution
from scripts.models import RECIPES, Recipe, describe
from scripts.paper_queue.items import Job
from scripts.paper_queue.tasks import by_time, stored

PAPER = super_resolution.Config()
TOY = {"image_size": 48, "width": 0.1, "num_blocks": 1, "batch_size": 1}


def run(job: Job) -> None:
    """Train, measure on photographs that it has not seen, and write the model file in half precision."""
    factor, loss = job.item.settings["factor"], job.item.settings["loss"]
    recipe = RECIPES[f"photo_x{factor}_{loss}"]
    # the package's recipe, which learns what bicubic interpolation misses, at the paper's width, size and length
    config = replace(
        recipe.config, num_steps=PAPER.num_steps, width=PAPER.width, image_size=PAPER.image_size, device=job.device
    )
    if job.scale == "toy":
        config = replace(config, **TOY)
    pixel = job.into / "models" / f"photo_x{factor}_pixel_paper.safetensors"
    first = super_resolution.load(pixel) if loss == "feature" and pixel.exists() else None

    def train(steps: int, **more: Any) -> super_resolution.Model:
        return super_resolution.train(None, replace(config, num_steps=steps), **more)

    chosen = by_time.plan(job, super_resolution.KIND, PAPER.num_steps, train, start=first,
                          warm_up=4 if config.shift else 1)  # fmt: skip
    name = job.item.models[0]
    with stored(job, job.item.records[0], config) as record:
        model = train(chosen.steps, start=chosen.start, checkpoint=chosen.checkpoint, callback=by_time.watch(name))
        model = replace(model, facts=by_time.finish(job, chosen, PAPER.num_steps, model, record))
        describe(record, Recipe(super_resolution, config), model)
        record.values["started from"] = None if chosen.start is None else chosen.start.facts.get("name")
        record.values["PSNR, bicubic and ours"] = psnr(model, job)
        super_resolution.save(model, job.into / "models" / f"{name}.safetensors", half=True)
    by_time.put_away(chosen)


def psnr(model: super_resolution.Model, job: Job) -> list[list[float]]:
    """For each content photograph, which no network here has seen: interpolated, and enlarged."""
    factor, side = model.config.factor, job.size(256)
    found = []
    for name in sample_names("content"):
        large = center_crop(sample_image(name, 512), (side, side))
        small = super_resolution.reduce(large, factor)
        ways: list[torch.Tensor] = [resize(small, (side, side)), super_resolution.upscale(small, model).image]
        found.append([metrics.psnr(way, large, crop=factor, luma=True) for way in ways])
    return found
