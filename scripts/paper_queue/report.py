"""What happened to each item, on the disk after every one of them: ``state.json``, ``report.json``, ``report.txt``."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from course_lib.atomic import atomic_write
from scripts.paper_queue.contents import Unfit, not_finite, read_record
from scripts.paper_queue.items import Item

FORMAT = 1
_NUMBERS = 12  # of a stored run that a report repeats
_TAIL = 25  # lines of a log that a report keeps of an item that did not end well
FAILURES = ("failed", "out of memory", "too long", "partly")


@dataclass(frozen=True)
class Entry:
    """What is known of one item.

    Attributes:
        state: ``"done"``; ``"reduced"`` (there, and cut short); ``"partly"`` (some stored runs are missing);
            ``"failed"``, ``"out of memory"``, ``"too long"``; ``"stopped"``; ``"running"``; ``"left out"``.
        seconds: that it took, where it ran.
        estimate: seconds that it was thought to take.
        digest: of what it depends on.
        reason: why the state is no better, one sentence.
        notes: what its cells noted.
        tail: the end of its log, where it did not end well.
    """

    state: str
    seconds: float | None = None
    estimate: float | None = None
    digest: str = ""
    reason: str = ""
    notes: list[str] = field(default_factory=list)
    tail: list[str] = field(default_factory=list)


@dataclass
class Book:
    """The entries of a folder, and everything else that its report says.

    Attributes:
        folder: the report's.
        about: device, versions, commit, scale, when it began.
        items: of the call.
        entries: by the item's name, those of earlier calls included.
        left_out: paths that found no room in the archives, with the reason.
    """

    folder: Path
    about: dict[str, Any]
    items: Sequence[Item]
    entries: dict[str, Entry] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def put(self, item: Item, entry: Entry) -> None:
        """Keep an entry and write everything anew: whatever kills the runner now loses nothing."""
        self.entries[item.name] = entry
        state = {"format": FORMAT, "items": {name: asdict(found) for name, found in self.entries.items()}}
        _write(self.folder / "state.json", json.dumps(state, indent=1, ensure_ascii=False))
        self.write()

    def write(self) -> None:
        """Write ``report.json`` and ``report.txt``."""
        report = self.report()
        _write(self.folder / "report.json", json.dumps(report, indent=1, ensure_ascii=False))
        _write(self.folder / "report.txt", as_text(report))

    def report(self) -> dict[str, Any]:
        """Everything, as plain values."""
        rows = []
        for item in self.items:
            entry = self.entries.get(item.name, Entry("to do"))
            row = {"name": item.name, "kind": item.kind, "title": item.title, **asdict(entry)}
            row["records"] = {name: found for name in item.records if (found := self._numbers(name, entry.digest))}
            rows.append(row)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return {
            "format": FORMAT,
            **self.about,
            "written": now,
            "items": rows,
            "left out of the archives": self.left_out,
        }

    def _numbers(self, name: str, digest: str) -> dict[str, Any]:
        """The key numbers of a stored run: its plain values, where they are few, with minutes and memory."""
        try:
            found = read_record(self.folder / "results" / "paper" / name)
        except Unfit:
            return {}
        if found.get("digest") != digest:
            return {}  # of an earlier call, whose code was other
        values = found.get("values")
        plain = {key: value for key, value in values.items() if _short(value)} if isinstance(values, dict) else {}
        few = plain if len(plain) <= _NUMBERS else {}
        kept = {key: found.get(key) for key in ("minutes", "peak_memory_gb", "reduced") if found.get(key)}
        numbers = {**kept, **few} or {"values": "none"}
        # JSON has no word for NaN, and a report must be readable whatever an item found
        return {key: str(value) if not_finite(value) else value for key, value in numbers.items()}


def read_entries(folder: Path) -> dict[str, Entry]:
    """The entries that an earlier call left; none where there is no file, or none that can be read.

    An item that was running when its runner was killed is called stopped.
    """
    known = {each.name for each in fields(Entry)}
    try:
        found = json.loads((folder / "state.json").read_text(encoding="utf-8"))["items"]
        entries = {
            name: Entry(**{key: value for key, value in row.items() if key in known}) for name, row in found.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    killed = "the runner was killed while it ran"
    return {
        name: replace(entry, state="stopped", reason=killed) if entry.state == "running" else entry
        for name, entry in entries.items()
    }


def commit_of(root: Path) -> str:
    """The commit of a checkout, or the text of a pack's file ``COMMIT``; "" where neither is there."""
    try:
        if (root / ".git").exists():  # a pack may be unpacked inside another repository
            command = ["git", "describe", "--always", "--dirty"]
            return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.strip()
        return (root / "COMMIT").read_text(encoding="utf-8").strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def as_text(report: Mapping[str, Any]) -> str:
    """The report for a person: a line an item, and under it why it is not done."""
    versions = ", ".join(f"{name} {version}" for name, version in report.get("versions", {}).items())
    lines = [
        f"Runs at the papers' scale ({report.get('scale')} scale), begun {report.get('began')}",
        f"{report.get('device') or 'no device'} · {versions} · commit {report.get('commit') or 'unknown'}",
        "",
    ]
    for row in report["items"]:
        took = f"{row['seconds']:.0f} s" if row["seconds"] is not None else ""
        meant = f"({row['estimate']:.0f} s estimated)" if row["estimate"] is not None else ""
        lines.append(f"{row['name']:<26} {row['state']:<13} {took:>6} {meant}".rstrip())
        lines += [f"    {row['reason']}"] * bool(row["reason"])
        lines += [f"    {line}" for note in row["notes"] for line in note.splitlines()]
        for name, numbers in row["records"].items():
            lines.append(f"    {name}: " + ", ".join(f"{key} {_rounded(value)}" for key, value in numbers.items()))
    for title in ("better estimates", "left out of the archives"):
        if report.get(title):
            lines += ["", f"{title[0].upper()}{title[1:]}:"]
            lines += [f"    {name}: {_rounded(value)}" for name, value in report[title].items()]
    for row in report["items"]:
        if row["tail"]:
            lines += ["", f"--- {row['name']}: the end of its log", *row["tail"]]
    return "\n".join(lines) + "\n"


def tail_of(lines: Sequence[str]) -> list[str]:
    """The last lines of a log, each cut to a readable length."""
    return [line[:300] for line in lines[-_TAIL:]]


def _short(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= 80)


def _rounded(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as stream:
        stream.write(text.encode())
