"""A training step of the painter and of pix2pix beside the plain way, at the papers' sizes."""

from __future__ import annotations

import argparse

from benchmarks import fast_style, translation
from scripts.paper_queue.items import Job
from scripts.paper_queue.tasks import stored


def run(job: Job) -> None:
    """`benchmarks/fast_style.py` and `benchmarks/translation.py`."""
    toy = job.scale == "toy"
    size, steps, rounds = 64 if toy else 256, {"full": 200, "tenth": 60, "toy": 2}[job.scale], 1 if toy else 3
    common = {"size": size, "steps": steps, "rounds": rounds, "device": job.device, "seed": 0}
    options = argparse.Namespace(**common, batch=4, width=0.1 if toy else 1.0, forward=job.size(512), weights="default")
    settings = {name: getattr(options, name) for name in ("size", "batch", "width", "forward")}
    with stored(job, "06_training_step", settings) as record:
        record.values |= fast_style.race(options)
        record.values["seconds of 40,000 steps"] = 40_000 * record.values["our step"]
    options = argparse.Namespace(**common, batch=1, width=0.1 if toy else 1.0)
    settings = {name: getattr(options, name) for name in ("size", "batch", "width")}
    with stored(job, "09_rate", settings) as record:
        record.values |= translation.race(options)
        record.values["seconds of 200 epochs"] = 200 * record.values["our epoch"]
