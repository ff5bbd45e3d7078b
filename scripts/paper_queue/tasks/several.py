"""The network of twelve paintings at the paper's scale: full width, batches of 16, as many steps as time allows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from course_lib import sample_image
from course_lib.methods import multi_style
from scripts.models import RECIPES, describe
from scripts.paper_queue.items import Job
from scripts.paper_queue.tasks import by_time, stored

# the paper's, except that the learning rate falls in the last quarter; the balance is that of the package's own network
CONFIG = replace(multi_style.Config(), cooldown=0.25)
TOY = {"image_size": 32, "style_size": 32, "width": 0.1, "num_blocks": 1, "batch_size": 1}


def run(job: Job) -> None:
    """Train, store what was learned, and write the model file in half precision."""
    name = job.item.settings["model"]
    recipe = RECIPES[name]
    balance = {
        key: getattr(recipe.config, key) for key in ("content_layers", "style_weight", "style_rate", "tv_weight")
    }
    config = replace(CONFIG, **balance, device=job.device)
    if job.scale == "toy":
        config = replace(config, **TOY)
    paintings, whole = {each: sample_image(each) for each in recipe.styles}, CONFIG.num_steps

    def train(steps: int, **more: Any) -> multi_style.Model:
        return multi_style.train(paintings, None, replace(config, num_steps=steps), **more)

    chosen = by_time.plan(job, multi_style.KIND, whole, train)
    with stored(job, job.item.records[0], config) as record:
        model = train(chosen.steps, start=chosen.start, checkpoint=chosen.checkpoint, callback=by_time.watch(name))
        model = replace(model, facts=by_time.finish(job, chosen, whole, model, record))
        describe(record, replace(recipe, config=config, start=None), model)
        record.values["started from"] = None if chosen.start is None else f"{chosen.before:,} steps of its own"
        multi_style.save(model, job.into / "models" / f"{job.item.models[0]}.safetensors", half=True)
    by_time.put_away(chosen)
