"""The engine at one size: `benchmarks/engine.py` with the paper's 500 evaluations."""

from __future__ import annotations

import argparse

from benchmarks import engine, participants
from scripts.paper_queue.items import Job
from scripts.paper_queue.tasks import stored

EVALUATIONS = 500


def run(job: Job) -> None:
    """Ours, the plain loop and the floor, in turns, from noise and from the photograph."""
    turns = {"full": EVALUATIONS // participants.BLOCK, "tenth": 3, "toy": 1}[job.scale]
    options = argparse.Namespace(
        size=job.size(job.item.settings["size"]),
        steps=turns * participants.BLOCK,
        seed=0,
        device=job.device,
        in_process=True,
        square=True,
    )
    settings = {
        "size": [options.size, options.size],
        "steps": options.steps,
        "content": participants.CONTENT,
        "style": participants.STYLE,
    }
    with stored(job, job.item.records[0], settings) as record:
        record.values |= engine.measure(options, ("noise",) if job.scale == "toy" else ("noise", "content"))
