"""What the benchmarks measured, machine by machine: `results.jsonl`, and the table of it in `README.md`.

    python -m benchmarks.results                   # writes the table anew

A benchmark called with ``--save`` appends its rows to `results.jsonl` and writes the table anew. Nothing is
overwritten: of several measurements of one row on one device, the table shows the last, and the file keeps all.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from course_lib.atomic import atomic_write
from course_lib.teaching import provenance

FOLDER = Path(__file__).resolve().parent
FILE, PAGE = FOLDER / "results.jsonl", FOLDER / "README.md"
BEGIN, END = "<!-- table: python -m benchmarks.results -->", "<!-- end of the table -->"


@dataclass(frozen=True)
class Row:
    """One comparison: the same work done plainly and by us, in turns, in one run."""

    benchmark: str  # the script's name
    row: str  # what was timed: "painter, forward, 512 px, float32"
    plain: float  # seconds
    ours: float  # seconds
    roofline: float | None = None  # the machine's best time divided by ours, see `benchmarks.measure`
    device: str = ""  # filled in by `save`, like what follows
    torch: str = ""
    commit: str | None = None
    day: str = ""

    @property
    def ratio(self) -> float:
        """How many times as fast as plain we are."""
        return self.plain / self.ours


def report(rows: Sequence[Row]) -> None:
    """Print rows."""
    for row in rows:
        share = "" if row.roofline is None else f", {row.roofline:.0%} of the roofline"
        print(f"{row.row}: {row.ratio:.2f}× plain ({row.plain:.4g} s, ours {row.ours:.4g} s{share})", flush=True)


def save(rows: Sequence[Row], device: torch.device, file: Path = FILE) -> None:
    """Append rows, with device, versions and day, and write the table anew where `file` is the project's own."""
    name = provenance.device_name() if device.type == "cuda" or not torch.cuda.is_available() else "CPU"
    about = {
        "device": name,
        "torch": torch.__version__.split("+")[0],
        "commit": provenance.commit(),
        "day": datetime.now(UTC).date().isoformat(),
    }
    old = file.read_bytes() if file.exists() else b""
    with atomic_write(file) as stream:
        stream.write(old)
        for row in rows:
            stream.write(json.dumps(asdict(row) | about, ensure_ascii=False).encode() + b"\n")
    if file == FILE:
        write_table()


def read(file: Path = FILE) -> list[Row]:
    """All rows, oldest first.

    Raises:
        ValueError: a line that is no row; names the line.
    """
    rows = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines() if file.exists() else [], start=1):
        try:
            rows.append(Row(**json.loads(line)))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{file.name}, line {number} is no row ({error}); take it out") from error
    return rows


def latest(rows: Sequence[Row]) -> list[Row]:
    """Of each row on each device the last measurement, sorted by benchmark, in the order in which they first came."""
    newest = {(row.benchmark, row.row, row.device): row for row in rows}
    return sorted(newest.values(), key=lambda row: row.benchmark)


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    head = (
        "benchmark",
        "what is timed",
        "device",
        "plain, ms",
        "ours, ms",
        "times as fast",
        "roofline",
        "PyTorch, commit",
    )
    lines = [f"| {' | '.join(head)} |", "|---|---|---|--:|--:|--:|--:|---|"]
    for row in latest(rows):
        share = "" if row.roofline is None else f"{row.roofline:.0%}"
        times = (f"{1000 * row.plain:.4g}", f"{1000 * row.ours:.4g}", f"{row.ratio:.2f}", share)
        made_by = f"{row.torch}, {row.commit or 'unknown'}"
        lines.append(f"| {' | '.join((row.benchmark, row.row, row.device, *times, made_by))} |")
    return "\n".join(lines)


def write_table(page: Path = PAGE, file: Path = FILE) -> None:
    """Put the table between its two marks in the README of the benchmarks."""
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    with atomic_write(page) as stream:
        stream.write(f"{before}{BEGIN}\n\n{table(read(file))}\n\n{END}{after}".encode())


if __name__ == "__main__":
    write_table()
    sys.exit(0)
