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
import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from course_lib import samples
from course_lib.atomic import atomic_folder
from course_lib.images import resize, to_pil
from course_lib.paths import data_path
from course_lib.teaching import provenance, registry
from course_lib.teaching.figures import Figure, sheet

_ROOT = Path(__file__).resolve().parents[2]
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
    seal: str = ""  # over all of this and the pictures, see `provenance.seal`
    digest: str = ""  # of the settings, networks and code of the queue item that made it

    def claim(
        self, name: str, values: Mapping[str, Sequence[float]], *, over: str = "seeds", cases: Sequence[str] = ()
    ) -> None:
        """Store what this run measured for a claim of ``data/claims.yml``, with the digest of the rule in force.

        Args:
            name: the claim's id.
            values: our numbers by name, one per case; its rule needs to find its own among them.
            over: what the cases are, for example "pairs × seeds".
            cases: what each case is, for example "cat, poppies, seed 0".

        Raises:
            RecordError: no values, or not as many under every name.
            registry.ClaimError: no such claim, or a number that its rule needs is missing.
        """
        lengths = {*map(len, values.values()), *([len(cases)] if cases else [])}
        if len(lengths) != 1 or lengths == {0}:
            raise RecordError(f"claim {name!r} needs one number per case under every name, got {sorted(lengths)}")
        claim = registry.find(name)
        registry.Expression(claim.holds)({key: series[0] for key, series in values.items()})
        numbers = {key: [float(number) for number in series] for key, series in values.items()}
        self.claims[name] = {"rule": claim.digest, "over": over, "cases": list(cases), "values": numbers}

    @property
    def line(self) -> str:
        """One line that says where the numbers come from: profile, device, version, seed and time."""
        profile = f"{self.profile} profile{f', reduced: {self.reduced}' if self.reduced else ''}"
        device = re.sub(r"\b1 threads\b", "1 thread", self.device)  # so the oldest runs wrote it, and a seal holds it
        return (
            f"stored run · {profile} · {device} · torch {self.versions.get('torch', '?')} · "
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
    return (Path(os.path.expanduser(chosen)) if chosen else results_folder()) / inner


def missing(name: str, *, profile: str, seed: int) -> bool:
    """Whether the stored run `name` should be made now.

    At the ``quick`` profile it never is. Otherwise it is if there is no intact record of this profile and seed yet, so
    a long notebook that was interrupted resumes where it stopped. The environment variable ``COURSE_LIB_RECORDS``
    overrides this: ``again`` makes every run anew (`make record`); names separated by commas restrict the runs to
    these (a queue); ``again,NAME`` makes this one anew and no other. Afterwards, this process shows the run at this
    profile; a ``quick`` notebook shows the ``laptop`` run.

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
    words = [word for word in os.environ.get("COURSE_LIB_RECORDS", "").split(",") if word]
    names = [word for word in words if word != "again"]
    if names and name not in names:
        return False
    if "again" in words:
        return True
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
        RecordError: a picture is not a tensor; or the record would go into ``data/results`` of a checkout whose code
            has changes that are not committed (``COURSE_LIB_DIRTY=1`` forces it, and pages then say so).
    """
    settings = dataclasses.asdict(config) if dataclasses.is_dataclass(config) else dict(config or {})  # type: ignore[arg-type]
    record = Record(name, profile, seed, settings, command=command or _command(name, profile, seed))
    record.digest = os.environ.get("COURSE_LIB_DIGEST", "")
    seen = _reading.pop(name) if name in _reading else samples.watch()
    try:
        record.commit = _commit(folder_of(name, profile))
        provenance.forget_peak_memory()
        began = time.perf_counter()
        yield record
    finally:
        samples.unwatch(seen)
    record.inputs = provenance.inputs(seen) | record.inputs
    record.minutes += (time.perf_counter() - began) / 60
    record.peak_memory_gb = provenance.peak_memory_gb()
    record.device = provenance.device_name()
    record.versions = provenance.versions()
    _write(record)
    _asked[name] = profile


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


def _commit(target: Path) -> str | None:
    """The present commit, refused with changes if the record is to become part of the project."""
    name = provenance.commit()
    ours = target.is_relative_to(_ROOT) and not os.environ.get("COURSE_LIB_DIRTY")
    if ours and name and name.endswith("-dirty"):
        raise RecordError(
            f"{target.name} would be stored from code that differs from commit {name.removesuffix('-dirty')}: nobody "
            "could make it again; commit first, or set COURSE_LIB_DIRTY=1 for a run that pages mark as such"
        )
    return name


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
        stored = json.loads(json.dumps({**vars(record), "images": files}, default=_plain))
        text = json.dumps(stored | {"seal": provenance.seal(stored, fresh)}, indent=1, ensure_ascii=False)
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
    if name.startswith("measured_"):  # see course_lib.teaching.measures
        return f"python -m scripts.verify {name.removeprefix('measured_')} --profile {profile} --record"
    return f"python -m scripts.execute {name[:2]} -p PROFILE {profile} -p SEED {seed}"
