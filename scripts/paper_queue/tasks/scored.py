"""A training that is scored along the way on pictures whose truth is known, and its model file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from scripts.models import Recipe, describe
from scripts.paper_queue.items import Job
from scripts.paper_queue.tasks import by_time, stored


def run(
    job: Job, method: Any, config: Any, whole: int, train: Callable[..., Any], scores_of: Callable[[Path], Any],
    in_full: Callable[[int], int] = int,
) -> None:  # fmt: skip
    """Train for as long as the job allows, store numbers and pictures, and write the model file.

    Args:
        job: its item has one record and one model.
        method: of `course_lib.methods`.
        config: that the record names.
        whole: steps of the paper.
        train: trains so many steps, with the options of ``method.train``.
        scores_of: what watches the run and describes the model, from the path of the checkpoint.
        in_full: the steps that `train` makes of a wish, where it trains whole epochs.
    """
    chosen = by_time.plan(job, method.KIND, whole, train)
    chosen = replace(chosen, steps=in_full(chosen.steps))
    scores, watch = scores_of(chosen.checkpoint), by_time.watch(job.item.name)

    def both(progress: Any) -> None:
        watch(progress)
        scores.watch(progress)

    with stored(job, job.item.records[0], config) as record:
        model = train(
            chosen.steps, start=chosen.start, checkpoint=chosen.checkpoint, callback=both, preview=scores.given
        )
        model = replace(model, facts=by_time.finish(job, chosen, whole, model, record))
        describe(record, Recipe(method, config), model)
        record.values["started from"] = None if chosen.start is None else f"{chosen.before:,} steps of its own"
        scores.describe(record, model)
        method.save(model, job.into / "models" / f"{job.item.models[0]}.safetensors", half=True)
    by_time.put_away(chosen)
    scores.file.unlink(missing_ok=True)
