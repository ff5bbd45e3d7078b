"""Day and dusk without pairs: CycleGAN at 128 px, scored on streets whose true dusk is known."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor

from course_lib.data.facades import weather_photos
from course_lib.methods import cyclegan
from scripts.models import Recipe, describe
from scripts.paper_queue.items import Job
from scripts.paper_queue.tasks import by_time, stored
from scripts.paper_queue.tasks.drawn import by_all_cores
from scripts.unpaired_model import SCENES, Scores

PAPER = replace(cyclegan.Config.released(), image_size=128, load_size=143, num_blocks=6)  # as the paper at 128 px
TOY: dict[str, Any] = {"image_size": 32, "load_size": 36, "num_blocks": 1, "width": 0.1, "patch": 16}


def _one(k: int, weather: str, size: int) -> Tensor:
    return weather_photos(weather, (k,), size=size)


def run(job: Job) -> None:
    """Train both directions, score them on streets they have not seen, and write the model file."""
    settings, toy = job.item.settings, job.scale == "toy"
    weathers = tuple(settings["weathers"])
    config = replace(PAPER, width=settings["width"], device=job.device)
    config = replace(config, **TOY) if toy else config
    count = 4 if toy else SCENES
    assert config.load_size is not None
    a, b = (
        by_all_cores(partial(_one, weather=weather, size=config.load_size), range(first, first + count))
        for weather, first in zip(weathers, (0, count), strict=True)
    )
    whole = PAPER.num_epochs * SCENES

    def train(steps: int, **more: Any) -> cyclegan.Model:
        return cyclegan.train(a, b, replace(config, num_epochs=max(1, round(steps / count))), **more)

    chosen = by_time.plan(job, cyclegan.KIND, whole, train)
    chosen = replace(chosen, steps=count * max(1, round(chosen.steps / count)))  # whole epochs
    scores, watch = Scores(weathers, config.image_size, chosen.checkpoint), by_time.watch(job.item.name)

    def both(progress: Any) -> None:
        watch(progress)
        scores.watch(progress)

    with stored(job, job.item.records[0], config) as record:
        model = train(
            chosen.steps, start=chosen.start, checkpoint=chosen.checkpoint, callback=both, preview=scores.given
        )
        model = replace(model, facts=by_time.finish(job, chosen, whole, model, record))
        describe(record, Recipe(cyclegan, config, weathers=weathers), model)
        record.values["started from"] = None if chosen.start is None else f"{chosen.before:,} steps of its own"
        scores.describe(record, model)
        cyclegan.save(model, job.into / "models" / f"{job.item.models[0]}.safetensors", half=True)
    by_time.put_away(chosen)
    scores.file.unlink(missing_ok=True)
