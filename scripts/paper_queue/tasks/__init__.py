"""One module a kind of item, each with ``run(job)``: it makes the item's stored runs and model files, or raises."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from course_lib.teaching import records
from scripts.paper_queue.items import Job

ROOT = Path(__file__).resolve().parents[3]
REDUCED = {"full": "", "tenth": "a trial at a tenth of its steps", "toy": "a rehearsal at toy size"}


@contextmanager
def stored(job: Job, name: str, config: Any = None, *, seed: int = 0) -> Iterator[records.Record]:
    """A stored run of this job; what is smaller than the paper says so."""
    command = f"make paper ONLY={job.item.name}"
    with records.run(name, profile="paper", seed=seed, config=config, command=command) as run:
        run.reduced = REDUCED[job.scale]
        yield run
