"""The run time of each chapter, measured whenever `make outputs` executes it: data/chapter_costs.json."""

import json
from pathlib import Path
from typing import Any

from course_lib.atomic import atomic_write

FILE = Path(__file__).resolve().parents[1] / "data" / "chapter_costs.json"


def load(file: Path = FILE) -> dict[str, dict[str, Any]]:
    """Profile → number of a chapter → seconds, device, torch; empty if nothing was measured yet."""
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def keep(profile: str, seconds: dict[str, float], versions: dict[str, str], device: str, file: Path = FILE) -> None:
    """Write the run times of these chapters, in whole seconds, and keep those of the others.

    Args:
        profile: of the runs.
        seconds: by the chapter's number, "04".
        versions, device: as in a stored run.
        file: where they are kept.
    """
    known = load(file)
    rows = known.setdefault(profile, {})
    for number, spent in seconds.items():
        rows[number] = {"seconds": round(spent), "device": device, **versions}
    known[profile] = dict(sorted(rows.items()))
    with atomic_write(file) as stream:
        stream.write((json.dumps(known, indent=1, ensure_ascii=False) + "\n").encode())
