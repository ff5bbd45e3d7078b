"""Stored runs: what a long run found, with all that is needed to believe it.

A record is a folder ``data/results/NAME`` with ``record.json`` and its pictures as WebP. It is written by the
run itself; nothing in it is typed by hand. A run at the ``paper`` profile lies beside it, in
``data/results/paper/NAME``: both are kept, and pages show both.

    with records.run("03_gatys_noise", profile=PROFILE, seed=SEED, config=config) as run:
        result = gatys.stylize(content, style, config)
        run.images["result"] = result.image
        run.values["total loss"] = result.history["total"][-1]

    records.show("03_gatys_noise", caption="…", alt="…")
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from course_lib.atomic import atomic_folder
from course_lib.images import resize, to_pil
from course_lib.paths import data_path
from course_lib.teaching.figures import Figure, sheet

_FOLDER = Path(__file__).resolve().parent
_WEBP_QUALITY = 90
_asked: dict[str, str] = {}  # name → the profile at which this process makes it: `missing` and `run` note it


class RecordError(ValueError):
    """A record that is missing or cannot be written; the message says what to do."""


@dataclass
class Record:
    """One stored run. `values` are plain numbers, texts and lists; `images` are pictures in [0, 1]."""

    name: str
    profile: str
    seed: int
    config: dict[str, Any]
    values: dict[str, Any] = field(default_factory=dict)
    images: dict[str, Tensor | Path] = field(default_factory=dict)
    command: str = ""
    device: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    commit: str | None = None
    minutes: float = 0.0
    peak_memory_gb: float | None = None
    claims: dict[str, Any] = field(default_factory=dict)  # what was measured for the ledger: see `claim`
    reduced: str = ""  # what was cut short of the profile's own values, in words: "12,000 of 40,000 steps"
    digest: str = ""  # of the settings, networks and code of the item of a queue that made it

    def claim(
        self, name: str, *, holds: Sequence[object], values: dict[str, Sequence[float]], over: str = "seeds"
    ) -> None:
        """Keep what this run found for a claim of ``data/claims.yml``.

        Args:
            name: the claim's id.
            holds: for each seed, whether it holds.
            values: our numbers by name, one for each seed.
            over: what they are spread over, where it is not seeds: "pairs" of pictures, say.
        """
        lengths = {len(holds), *map(len, values.values())}
        if len(lengths) != 1 or not values:
            raise RecordError(f"claim {name!r} needs as many numbers under every name as verdicts, got {lengths}")
        numbers = {key: [float(number) for number in found] for key, found in values.items()}
        self.claims[name] = {"holds": [bool(held) for held in holds], "values": numbers, "over": over}

    @property
    def line(self) -> str:
        """One line that says where the numbers come from."""
        profile = f"{self.profile} profile{f', reduced: {self.reduced}' if self.reduced else ''}"
        return (
            f"stored run · {profile} · {self.device} · torch {self.versions.get('torch', '?')} · "
            f"seed {self.seed} · {self.minutes:.1f} min"
        )


def results_folder() -> Path:
    """``data/results``, see `course_lib.paths`."""
    return data_path("results")


def folder_of(name: str, profile: str) -> Path:
    """Where the record of a run at `profile` lies, or would lie.

    With ``COURSE_LIB_RESULTS`` in the environment that folder comes first: a queue collects its runs there.
    """
    inner = Path("paper") / name if profile == "paper" else Path(name)
    chosen = os.environ.get("COURSE_LIB_RESULTS")
    return (Path(chosen).expanduser() if chosen else results_folder()) / inner


def missing(name: str, *, profile: str, seed: int) -> bool:
    """Whether the stored run `name` should be made now.

    Never at the ``quick`` profile; otherwise when there is no intact record of this profile and seed yet, so that
    a long notebook that was stopped goes on where it was. ``COURSE_LIB_RECORDS`` in the environment says otherwise:
    ``again`` makes every run anew (`make record`), names separated by commas make these and no others (a queue).
    From here on this process shows the run at this profile; a ``quick`` notebook shows the ``laptop`` run.
    """
    if profile == "quick":
        return False
    _asked[name] = profile
    wish = os.environ.get("COURSE_LIB_RECORDS", "")
    if wish == "again":
        return True
    if wish and name not in wish.split(","):
        return False
    try:
        stored = load(name, profile=profile)
    except RecordError:
        return True
    return (stored.profile, stored.seed, stored.digest) != (
        profile,
        seed,
        os.environ.get("COURSE_LIB_DIGEST", stored.digest),
    )


@contextmanager
def run(name: str, *, profile: str, seed: int, config: Any = None, command: str | None = None) -> Iterator[Record]:
    """Measure what happens inside and store it at the end; a run that fails stores nothing.

    Args:
        name: the folder's name, for example ``"03_gatys_noise"``.
        profile, seed: as in the notebook's parameters cell. A run at ``"paper"`` leaves the ``laptop`` one alone.
        config: a dataclass or a dict of plain values.
        command: that makes this run; by default the notebook whose number the name begins with.

    Yields:
        A `Record` whose `values` and `images` the caller fills; minutes spent earlier may be put into `minutes`.
    """
    settings = dataclasses.asdict(config) if dataclasses.is_dataclass(config) else dict(config or {})  # type: ignore[arg-type]
    record = Record(name, profile, seed, settings, command=command or _command(name, profile, seed))
    record.digest = os.environ.get("COURSE_LIB_DIGEST", "")
    _forget_peak_memory()
    began = time.perf_counter()
    yield record
    record.minutes += (time.perf_counter() - began) / 60
    record.peak_memory_gb = _peak_memory_gb()
    record.device = device_name()
    record.versions = {"python": platform.python_version(), "torch": torch.__version__.split("+")[0]}
    record.commit = os.environ.get("COURSE_LIB_COMMIT") or _commit()  # a folder without a history is told its own
    _write(record)
    _asked[name] = profile


def load(name: str, *, profile: str | None = None) -> Record:
    """The stored run `name`, its pictures as paths.

    Args:
        name: of the run.
        profile: ``"paper"`` for the run at the paper's scale, ``"laptop"`` for the other; None: the one that this
            process made or asked for (`missing`), else the ``laptop`` run.

    Raises:
        RecordError: there is none, or it is damaged; the message says how to make it.
    """
    implied, profile = profile is None, profile or _asked.get(name, "laptop")
    places = dict.fromkeys((folder_of(name, profile), _kept(name, profile)))
    if implied:  # asked for and not made, say by a queue that left it out: the laptop's is better than none
        places[_kept(name, "laptop")] = None
    folder = next((place for place in places if (place / "record.json").exists()), next(iter(places)))
    again = f"make paper ONLY={name}" if profile == "paper" else _command(name, "laptop", 0)
    try:
        stored = json.loads((folder / "record.json").read_text(encoding="utf-8"))
        stored["images"] = {title: folder / file for title, file in stored["images"].items()}
        return Record(**stored)
    except FileNotFoundError:
        known = sorted(path.parent.name for path in folder.parent.glob("*/record.json"))
        raise RecordError(
            f"there is no stored run {name!r} in {folder.parent}; stored: {', '.join(known) or 'none'}. "
            f"Make it with: {again}"
        ) from None
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise RecordError(f"{folder / 'record.json'} is damaged ({error}). Make it again with: {again}") from error


def at_paper_scale(name: str) -> Record | None:
    """The stored run `name` at the ``paper`` profile; None where there is none.

    Raises:
        RecordError: it is damaged.
    """
    places = (folder_of(name, "paper"), _kept(name, "paper"))
    return load(name, profile="paper") if any((place / "record.json").exists() for place in places) else None


def _kept(name: str, profile: str) -> Path:
    """Where the record that comes with the project lies."""
    return results_folder() / ("paper" if profile == "paper" else "") / name


def show(
    name: str,
    *,
    caption: str,
    alt: str,
    titles: Sequence[str] | None = None,
    columns: int | None = None,
    only: Sequence[str] | None = None,
    size: int | None = None,
    profile: str | None = None,
) -> Figure:
    """The pictures of a stored run as a sheet, with the line that says where they come from.

    Args:
        name: of the run.
        caption, alt, columns, size: as in `figures.sheet`.
        titles: shown instead of the pictures' stored names.
        only: the stored names to show, in this order (default: all).
        profile: as in `load`.
    """
    record = load(name, profile=profile)
    names = list(only or record.images)
    unknown = [title for title in names if title not in record.images]
    if unknown:
        raise RecordError(f"stored run {name!r} has no picture {unknown}; it has {', '.join(record.images)}")
    pictures = [record.images[title] for title in names]
    caption = f"{caption} ({record.line})"
    return sheet(pictures, titles=titles or names, caption=caption, alt=alt, columns=columns, size=size)


def _write(record: Record) -> None:
    """Write the record's folder whole: a failure leaves the old one as it was."""
    with atomic_folder(folder_of(record.name, record.profile)) as fresh:
        files: dict[str, str] = {}
        for title, image in record.images.items():
            if isinstance(image, Path):
                raise RecordError(f"picture {title!r} of a new run must be a tensor, got the path {image}")
            files[title] = _file_name(title, taken=files.values())
            pixels = image if max(image.shape[-2:]) <= 1024 else resize(image, 1024)
            to_pil(pixels.detach().clamp(0, 1)).save(fresh / files[title], quality=_WEBP_QUALITY, method=6)
        stored = {**vars(record), "images": files}
        text = json.dumps(stored, indent=1, ensure_ascii=False, default=_plain)
        (fresh / "record.json").write_text(text + "\n", encoding="utf-8")


def _file_name(title: str, taken: Collection[str]) -> str:
    """A plain file name; titles that differ in signs or capitals only get a number."""
    stem = "".join(c if c.isalnum() else "_" for c in title)
    names = (f"{stem}{number}.webp" for number in ("", *(f"_{n}" for n in range(2, len(taken) + 3))))
    return next(name for name in names if name.lower() not in {other.lower() for other in taken})


def _plain(value: object) -> object:
    """What JSON has no word for: tensors and arrays as numbers, paths and the like as text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _command(name: str, profile: str, seed: int) -> str:
    return f"python book/execute.py {name[:2]} -p PROFILE {profile} -p SEED {seed}"


def device_name() -> str:
    """What computes here: the GPU's name, or the processor's with the number of threads in use."""
    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = (line for line in cpuinfo.read_text(errors="replace").splitlines() if "model name" in line)
        model = next(lines, f": {model}").split(":", 1)[1].strip()
    threads = torch.get_num_threads()
    return f"{model}, {threads} thread{'s' if threads > 1 else ''}"


def _forget_peak_memory() -> None:
    """Begin the peak anew, where that can be asked for."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):  # Linux
        Path("/proc/self/clear_refs").write_text("5")


def _peak_memory_gb() -> float | None:
    """Peak memory of the device, or of this process where it runs on the CPU; None where nobody keeps it."""
    if torch.cuda.is_available():
        return round(torch.cuda.max_memory_allocated() / 1e9, 3)
    status = Path("/proc/self/status")
    if status.exists():
        peak = re.search(r"VmHWM:\s+(\d+)", status.read_text())
        return round(int(peak[1]) * 1024 / 1e9, 3) if peak else None
    if sys.platform != "darwin":
        return None
    import resource  # not on Windows

    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e9, 3)  # of the process since it began


def _commit() -> str | None:
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=_FOLDER,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
