"""Stored runs: the results of a long run, with everything needed to check them.

A record is a folder ``data/results/NAME`` with ``record.json`` and its pictures as WebP. The run itself writes it;
nothing in it is typed by hand. The record of a run at the ``paper`` profile is in ``data/results/paper/NAME``. Both
records are kept, and pages show both.

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

from course_lib import samples
from course_lib.atomic import atomic_folder
from course_lib.images import resize, to_pil
from course_lib.paths import data_path
from course_lib.teaching.figures import Figure, sheet

_FOLDER = Path(__file__).resolve().parent
_WEBP_QUALITY = 90
_asked: dict[str, str] = {}  # name → profile in this process, set by `missing` and `run`
_reading: dict[str, list[samples.Seen]] = {}  # name → the pictures read since `missing` asked for the run


class RecordError(ValueError):
    """A record that is missing or cannot be written; the message says what to do."""


@dataclass
class Record:
    """One stored run. `values` holds plain numbers, strings and lists, `images` pictures (1, 3, H, W) in [0, 1]."""

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
    claims: dict[str, Any] = field(default_factory=dict)  # measurements for the ledger, see `claim`
    reduced: str = ""  # how the run falls short of its profile, in words: "12,000 of 40,000 steps"
    inputs: dict[str, Any] = field(default_factory=dict)  # the package's pictures it read: name → file, sha256, sizes
    digest: str = ""  # of the settings, networks and code of the queue item that made it

    def claim(
        self, name: str, *, holds: Sequence[object], values: dict[str, Sequence[float]], over: str = "seeds"
    ) -> None:
        """Store what this run measured for a claim of ``data/claims.yml``.

        Args:
            name: the claim's id.
            holds: for each seed, whether the claim holds.
            values: our numbers by name, one per seed.
            over: what the numbers vary over if not seeds, for example "pairs" of pictures.

        Raises:
            RecordError: no values, or not as many of each as verdicts.
        """
        lengths = {len(holds), *map(len, values.values())}
        if len(lengths) != 1 or not values:
            raise RecordError(f"claim {name!r} needs as many numbers under every name as verdicts, got {lengths}")
        numbers = {key: [float(number) for number in series] for key, series in values.items()}
        self.claims[name] = {"holds": [bool(held) for held in holds], "values": numbers, "over": over}

    @property
    def line(self) -> str:
        """One line that says where the numbers come from: profile, device, version, seed and time."""
        profile = f"{self.profile} profile{f', reduced: {self.reduced}' if self.reduced else ''}"
        return (
            f"stored run · {profile} · {self.device} · torch {self.versions.get('torch', '?')} · "
            f"seed {self.seed} · {self.minutes:.1f} min"
        )


def results_folder() -> Path:
    """``data/results``, see `course_lib.paths`."""
    return data_path("results")


def folder_of(name: str, profile: str) -> Path:
    """The folder for the record of a run at `profile`, whether or not it exists.

    It is in ``data/results``, or in the folder ``COURSE_LIB_RESULTS`` if that is set, where a queue collects its runs.
    """
    inner = Path("paper") / name if profile == "paper" else Path(name)
    chosen = os.environ.get("COURSE_LIB_RESULTS")
    return (Path(chosen).expanduser() if chosen else results_folder()) / inner


def missing(name: str, *, profile: str, seed: int) -> bool:
    """Whether the stored run `name` should be made now.

    At the ``quick`` profile it never is. Otherwise it is if there is no intact record of this profile and seed yet, so
    a long notebook that was interrupted resumes where it stopped. The environment variable ``COURSE_LIB_RECORDS``
    overrides this: ``again`` makes every run anew (`make record`); names separated by commas restrict the runs to
    these (a queue). Afterwards, this process shows the run at this profile; a ``quick`` notebook shows the ``laptop``
    run.

    Args:
        name: of the run.
        profile, seed: as in the notebook's parameters cell.
    """
    if profile == "quick":
        return False
    _asked[name] = profile
    wanted = _wanted(name, profile, seed)
    if wanted:  # the pictures of the run are often read before its block
        samples.unwatch(_reading.get(name, []))
        _reading[name] = samples.watch()
    return wanted


def _wanted(name: str, profile: str, seed: int) -> bool:
    """Whether `missing` says yes at a profile other than ``quick``."""
    wanted = os.environ.get("COURSE_LIB_RECORDS", "")
    if wanted == "again":
        return True
    if wanted and name not in wanted.split(","):
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
    """Measure the time and memory of the ``with`` block and store a record at its end; a run that fails stores nothing.

    Args:
        name: name of the folder, for example ``"03_gatys_noise"``.
        profile, seed: as in the notebook's parameters cell. A run at ``"paper"`` does not touch the ``laptop`` record.
        config: a dataclass or a dict of plain values.
        command: the command that makes this run; by default, that of the notebook whose number begins the name.

    Yields:
        A `Record`. The caller fills its `values` and `images`, and adds minutes that were spent earlier to `minutes`.
        Its `inputs` are the pictures that `sample_image` reads in the block, or since `missing` was asked for the run.

    Raises:
        RecordError: a picture is not a tensor.
    """
    settings = dataclasses.asdict(config) if dataclasses.is_dataclass(config) else dict(config or {})  # type: ignore[arg-type]
    record = Record(name, profile, seed, settings, command=command or _command(name, profile, seed))
    record.digest = os.environ.get("COURSE_LIB_DIGEST", "")
    seen = _reading.pop(name) if name in _reading else samples.watch()
    _forget_peak_memory()
    began = time.perf_counter()
    try:
        yield record
    finally:
        samples.unwatch(seen)
    record.inputs = _inputs(seen) | record.inputs
    record.minutes += (time.perf_counter() - began) / 60
    record.peak_memory_gb = _peak_memory_gb()
    record.device = device_name()
    record.versions = {"python": platform.python_version(), "torch": torch.__version__.split("+")[0]}
    record.commit = commit()
    _write(record)
    _asked[name] = profile


def _inputs(seen: Sequence[samples.Seen]) -> dict[str, Any]:
    """Which file each picture was read from, its digest, and the sizes (H, W) at which it was used."""
    rows = {Path(row["file"]).stem: row for row in samples.ledger()} if seen else {}
    inputs: dict[str, Any] = {}
    for name, size in seen:
        known = {"file": rows[name]["file"], "sha256": rows[name]["sha256"], "sizes": []}
        sizes = inputs.setdefault(name, known)["sizes"]
        if [*size] not in sizes:
            sizes.append([*size])
    return inputs


def load(name: str, *, profile: str | None = None) -> Record:
    """The stored run `name`, its pictures as paths.

    Args:
        name: of the run.
        profile: ``"paper"`` for the run at the paper's scale, ``"laptop"`` for the smaller one; None for the profile
            that this process made or asked for (see `missing`), else ``"laptop"``.

    Raises:
        RecordError: the record does not exist or is damaged; the message says how to make it.
    """
    implied, profile = profile is None, profile or _asked.get(name, "laptop")
    places = dict.fromkeys((folder_of(name, profile), _kept(name, profile)))
    if implied:  # if a queue left the run out, fall back to the laptop's
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
    """The stored run `name` at the ``paper`` profile, or None if it does not exist.

    Raises:
        RecordError: the record is damaged.
    """
    places = (folder_of(name, "paper"), _kept(name, "paper"))
    return load(name, profile="paper") if any((place / "record.json").exists() for place in places) else None


def _kept(name: str, profile: str) -> Path:
    """The folder of the record that is part of the project."""
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
    """Show the pictures of a stored run as a sheet; the caption ends with the record's `line`.

    Args:
        name: of the run.
        caption, alt, columns, size: as in `figures.sheet`.
        titles: shown instead of the stored names of the pictures.
        only: the stored names to show, in this order (default: all).
        profile: as in `load`.

    Raises:
        RecordError: no such run, or no such picture in it.
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
    """Write the record's folder atomically: a failure leaves the old one as it was."""
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
    """A plain file name; titles that differ only in punctuation or case get a number."""
    stem = "".join(c if c.isalnum() else "_" for c in title)
    names = (f"{stem}{number}.webp" for number in ("", *(f"_{n}" for n in range(2, len(taken) + 3))))
    return next(name for name in names if name.lower() not in {other.lower() for other in taken})


def _plain(value: object) -> object:
    """Values that JSON does not know: tensors and arrays become numbers, everything else text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _command(name: str, profile: str, seed: int) -> str:
    return f"python -m scripts.execute {name[:2]} -p PROFILE {profile} -p SEED {seed}"


def device_name() -> str:
    """Name of the GPU, or of the CPU with the number of threads in use."""
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
    """Reset the peak memory counter, where the system allows it."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):  # Linux
        Path("/proc/self/clear_refs").write_text("5")


def _peak_memory_gb() -> float | None:
    """Peak memory of the GPU in GB, or else of this process; None where the system does not record it."""
    if torch.cuda.is_available():
        return round(torch.cuda.max_memory_allocated() / 1e9, 3)
    status = Path("/proc/self/status")
    if status.exists():
        peak = re.search(r"VmHWM:\s+(\d+)", status.read_text())
        return round(int(peak[1]) * 1024 / 1e9, 3) if peak else None
    if sys.platform != "darwin":
        return None
    import resource  # not on Windows

    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e9, 3)  # since the process started


def commit() -> str | None:
    """The present commit, ``-dirty`` after changes; ``COURSE_LIB_COMMIT`` says it for a folder without git."""
    if named := os.environ.get("COURSE_LIB_COMMIT"):
        return named
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
