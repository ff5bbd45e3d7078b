"""Time and memory by size: `benchmarks/sizes.py`, further than a laptop goes."""

from __future__ import annotations

import argparse

from benchmarks import sizes
from scripts.paper_queue.items import Job
from scripts.paper_queue.tasks import stored

SIDES = (128, 192, 256, 384, 512, 768, 1024, 1536, 2048)


def run(job: Job) -> None:
    """Seconds of an evaluation, and GB beside the network, for each long side."""
    sides = SIDES if job.scale != "toy" else (48,)
    settings = {"sizes": list(sides), "content": sizes.CONTENT, "style": sizes.STYLE}
    with stored(job, "05_sizes", settings) as record:
        record.values |= sizes.measure(argparse.Namespace(sizes=sides, device=job.device, in_process=True))
