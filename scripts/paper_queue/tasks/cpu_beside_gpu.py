"""100 iterations on the CPU and on the GPU of one machine, in one run (the table of Peng et al.)."""

from __future__ import annotations

from dataclasses import replace

import torch

from benchmarks.engine import Entry
from benchmarks.participants import CONTENT, STYLE, Ours, Plain
from course_lib import sample_image
from course_lib.methods import gatys
from scripts.paper_queue.items import Job
from scripts.paper_queue.tasks import stored

ITERATIONS = 100
SIZE = 512  # the report does not say; its pictures are about 500 px wide


def seconds(kind: type, config: gatys.Config, size: int, turns: int) -> float:
    """Of 100 iterations, from the median of some turns of twenty; the first step of a turn is not counted."""
    content, style = sample_image(CONTENT, size), sample_image(STYLE, size)
    entry = Entry("plain", kind, content, style, config)
    for _ in range(turns):
        entry.turn()
    return ITERATIONS * entry.seconds


def run(job: Job) -> None:
    """The plain loop and ours, each on both devices."""
    size, turns = job.size(SIZE), 1 if job.scale == "toy" else 3
    config = gatys.Config(optimizer="lbfgs", start="mixed", seed=0)
    with stored(job, "05_cpu_beside_gpu", config) as record:
        found: dict[str, float] = {}
        for device in dict.fromkeys((job.device, "cpu")):
            for name, kind in (("plain loop", Plain), ("ours", Ours)):
                few = 1 if device == "cpu" else turns
                found[f"{name}, {device}"] = seconds(kind, replace(config, device=device), size, few)
        record.values |= {
            "seconds of 100 iterations": found,
            "size": size,
            "threads": torch.get_num_threads(),
        }
        if job.device != "cpu":
            ratios = {name: found[f"{name}, cpu"] / found[f"{name}, {job.device}"] for name in ("plain loop", "ours")}
            record.values["GPU over CPU"] = ratios
