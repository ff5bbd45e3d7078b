"""A façade translator at 256 px with the paper's configuration, and how believable its streets are."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from course_lib.data.facades import Facades
from course_lib.evaluation.metrics import luma
from course_lib.evaluation.segmenter import find_classes, pixel_accuracy, train_segmenter
from course_lib.methods import pix2pix
from scripts.models import Recipe, describe
from scripts.paper_queue.items import Job
from scripts.paper_queue.tasks import by_time, stored
from scripts.paper_queue.tasks.drawn import by_all_cores

PAPER = pix2pix.Config()
PAIRS, TESTED, SCORER_PAIRS, SCORER_STEPS = 400, 100, 400, 400
TRAINING, TEST, SCORER = 0, 1, 2  # seeds of the streets
TOY = {"image_size": 32, "load_size": 36, "patch": 16}


def _one(k: int, source: str, size: int, seed: int) -> Tensor:
    return Facades(source, size=size, length=k + 1, seed=seed)[k]


def streets(source: str, size: int, count: int, seed: int) -> list[Tensor]:
    """Pairs (2, 3, size, size) of scenes 0 to count − 1."""
    return by_all_cores(partial(_one, source=source, size=size, seed=seed), range(count))


class Unseen:
    """Streets that the translator never sees: to be tested on, with their label maps, and to train the scorer."""

    def __init__(self, source: str, size: int, tested: int, scorer: int) -> None:
        self.tested = streets(source, size, tested, TEST)
        self.labels = self.tested if source == "labels" else streets("labels", size, tested, TEST)
        self.scorer = streets("labels", size, scorer, SCORER)


def run(job: Job) -> None:
    """Train, score on streets it has not seen; at half width also write the model file."""
    source, toy = job.item.settings["source"], job.scale == "toy"
    width = 0.1 if toy else job.item.settings["width"]
    config = replace(PAPER, width=width, device=job.device, **(TOY if toy else {}))
    count = 4 if toy else PAIRS
    assert config.load_size is not None
    pairs = streets(source, config.load_size, count, TRAINING)
    unseen = Unseen(source, config.image_size, 3 if toy else TESTED, 6 if toy else SCORER_PAIRS)
    whole = PAPER.num_epochs * PAIRS

    def train(steps: int, **more: Any) -> pix2pix.Model:
        epochs = max(1, round(steps / count))
        return pix2pix.train(pairs, replace(config, num_epochs=epochs), **more)

    chosen = by_time.plan(job, pix2pix.KIND, whole, train)
    steps = count * max(1, round(chosen.steps / count))  # whole epochs
    chosen = replace(chosen, steps=steps)
    name = job.item.name
    with stored(job, job.item.records[0], config) as record:
        model = train(steps, start=chosen.start, checkpoint=chosen.checkpoint, callback=by_time.watch(name))
        model = replace(model, facts=by_time.finish(job, chosen, whole, model, record))
        describe(record, Recipe(pix2pix, config, None, None, source), model)
        record.values["started from"] = None if chosen.start is None else f"{chosen.before:,} steps of its own"
        record.values |= scores(model, job, unseen)
        if job.item.models:
            pix2pix.save(model, job.into / "models" / f"{job.item.models[0]}.safetensors", half=True)
    by_time.put_away(chosen)


def scores(model: pix2pix.Model, job: Job, unseen: Unseen) -> dict[str, Any]:
    """Per-pixel accuracy of a segmenter trained on true streets, L1, and sharpness, beside those of the truth."""
    (sources, truth), labels = torch.stack(unseen.tested).unbind(1), torch.stack(unseen.labels)[:, 0]
    scorer = train_segmenter(unseen.scorer, num_steps=2 if job.scale == "toy" else job.steps(SCORER_STEPS))
    made = pix2pix.translate(sources, model).image
    scorer.to(job.device)

    def accuracy(images: Tensor) -> float:
        return pixel_accuracy(find_classes(images.to(job.device), scorer).cpu(), labels)

    return {
        "accuracy": accuracy(made),
        "accuracy of the truth": accuracy(truth),
        "L1": float((made - truth).abs().mean()),
        "sharpness over the truth's": sharpness(made) / sharpness(truth),
    }


def sharpness(images: Tensor) -> float:
    """Mean difference of neighboring pixels of the luma."""
    y = luma(images)
    return float((y.diff(dim=-1).abs().mean() + y.diff(dim=-2).abs().mean()) / 2)
