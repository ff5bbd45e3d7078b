"""A chapter's stored runs at the ``paper`` profile, through the notebook's script form."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from course_lib.methods import johnson
from course_lib.teaching import checks, claims, records
from course_lib.training.model_files import ModelError
from scripts.paper_queue import cells
from scripts.paper_queue.digest import notebook_text
from scripts.paper_queue.items import Job
from scripts.paper_queue.tasks import REDUCED, ROOT, smaller


def run(job: Job) -> None:
    """Run the notebook's cells; those that make other stored runs than this item's leave them alone.

    Raises:
        RuntimeError: one of the item's stored runs was not made; names it and what went wrong first.
    """
    wanted = [name for name in job.item.records if not _there(name)]
    os.environ["COURSE_LIB_RECORDS"] = ",".join(wanted)  # see `course_lib.teaching.records.missing`
    if job.datasets is not None:
        os.environ["COURSE_LIB_DATASETS"] = str(job.datasets)
    number = job.item.settings["notebook"]
    smaller.shrink_library(job.scale, job.device, whole_samples=number == "02")
    _say_what_is_reduced(job)
    _report_what_does_not_hold()
    if job.scale == "full":
        _painters(job)
    script = smaller.shrink_code(notebook_text(number, ROOT), job.scale)
    notes = cells.run(script)
    if missing := [name for name in job.item.records if not _there(name)]:
        reason = f"; first: {notes[0].splitlines()[0]}" if notes else ""
        raise RuntimeError(f"not made: {', '.join(missing)}{reason}")


def _there(name: str) -> bool:
    """Whether this queue has the run already, made by the same code."""
    try:
        stored = records.load(name, profile="paper")
    except records.RecordError:
        return False
    return stored.digest == os.environ.get("COURSE_LIB_DIGEST", stored.digest)


def _painters(job: Job) -> None:
    """Which painters a chapter gets by the package's names: those of this queue, or ones that have learned nothing.

    With the setting ``painters="trained here"`` a name means the painter at the paper's scale, where it is there. With
    ``"untrained"`` a painter that did not come along is an untrained one: its speed is the same.
    """
    load, wish = johnson.load, job.item.settings.get("painters")

    def chosen(name: str | Path) -> johnson.Model:
        places = (job.into / "models", ROOT / "data" / "models")
        trained = [place / f"{name}_paper.safetensors" for place in places]
        if wish == "trained here" and (there := [file for file in trained if file.exists()]):
            return load(there[0])
        try:
            return load(name)
        except ModelError:
            if wish != "untrained":
                raise
            print(f"{cells.NOTE}no painter {name} here: an untrained one, for its speed", flush=True)
            config = johnson.Config.fast()
            return johnson.Model(johnson.build(config).eval(), config, {"name": "untrained"})

    johnson.load = chosen


def _report_what_does_not_hold() -> None:
    """A property of a live cell that does not hold at this scale is noted; the rest of its cell runs all the same."""
    for module, name in ((checks, "holds"), (claims, "check")):
        original = getattr(module, name)

        def report(*arguments: Any, original: Any = original, **options: Any) -> Any:
            try:
                return original(*arguments, **options)
            except AssertionError as error:
                print(f"{cells.NOTE}does not hold at this scale: {error}", flush=True)

        setattr(module, name, report)


def _say_what_is_reduced(job: Job) -> None:
    """A run at another scale than the paper's says so, whatever the notebook calls it."""
    write = records._write

    def reduced(record: records.Record) -> None:
        record.reduced = REDUCED[job.scale]
        record.command = f"make paper ONLY={job.item.name}"
        write(record)

    records._write = reduced
