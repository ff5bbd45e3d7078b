"""A decoder of AdaIN, trained on the package's own photographs and paintings: as many steps as the seconds allow."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from course_lib import sample_image
from course_lib.methods import adain
from scripts.models import RECIPES, describe, varied
from scripts.paper_queue.items import Job
from scripts.paper_queue.tasks import by_time, stored

CONFIG, WHOLE = adain.Config.fast(), adain.Config().num_steps  # the paper's network and batches, a falling rate
TOY = {"image_size": 32, "load_size": 40, "width": 0.1, "batch_size": 1}


def run(job: Job) -> None:
    """Train, store what was learned, and write the model file in half precision."""
    config = replace(CONFIG, device=job.device, **(TOY if job.scale == "toy" else {}))
    recipe = RECIPES[job.item.settings["model"]]
    paintings = varied({each: sample_image(each) for each in recipe.styles})

    def train(steps: int, **more: Any) -> adain.Model:
        return adain.train(paintings, None, replace(config, num_steps=steps), **more)

    chosen, name = by_time.plan(job, adain.KIND, WHOLE, train), job.item.models[0]
    with stored(job, job.item.records[0], config) as record:
        model = train(chosen.steps, start=chosen.start, checkpoint=chosen.checkpoint, callback=by_time.watch(name))
        model = replace(model, facts=by_time.finish(job, chosen, WHOLE, model, record))
        describe(record, replace(recipe, config=config), model)
        record.values["started from"] = None if chosen.start is None else f"{chosen.before:,} steps of its own"
        adain.save(model, job.into / "models" / f"{name}.safetensors", half=True)
    by_time.put_away(chosen)
