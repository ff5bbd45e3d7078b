"""A painter at the paper's scale: the paper's network, batches and steps, as many as the seconds allow."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from course_lib import sample_image
from course_lib.methods import johnson
from scripts.models import RECIPES, Recipe, describe
from scripts.paper_queue.items import Job
from scripts.paper_queue.tasks import by_time, stored

# the paper's but for three things that its readers changed since: instance normalization (Ulyanov et al. 2016),
# upsampling without a checkerboard (Odena et al. 2016), and a rate that falls over the last quarter
CONFIG = replace(johnson.Config(), norm="instance", upsampling="resize", cooldown=0.25)
TOY = {"image_size": 32, "style_size": 32, "width": 0.1, "num_blocks": 1, "batch_size": 1}


def run(job: Job) -> None:
    """Train, store what was learned, and write the model file in half precision."""
    style = job.item.settings["style"]
    config = replace(CONFIG, style_weight=RECIPES[style].config.style_weight, device=job.device)
    if job.scale == "toy":
        config = replace(config, **TOY)
    painting, whole = sample_image(style), CONFIG.num_steps

    def train(steps: int, **more: Any) -> johnson.Model:
        return johnson.train(painting, None, replace(config, num_steps=steps), **more)

    chosen = by_time.plan(job, johnson.KIND, whole, train)
    with stored(job, job.item.records[0], config) as record:
        model = train(chosen.steps, start=chosen.start, checkpoint=chosen.checkpoint, callback=by_time.watch(style))
        facts = {**by_time.finish(job, chosen, whole, model, record), "style": style}
        model = replace(model, facts=facts)
        describe(record, Recipe(johnson, config, None, style), model)
        record.values["started from"] = None if chosen.start is None else f"{chosen.before:,} steps of its own"
        johnson.save(model, job.into / "models" / f"{job.item.models[0]}.safetensors", half=True)
    by_time.put_away(chosen)
