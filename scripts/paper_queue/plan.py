"""Which items of the queue to run, how long each may take, and which are there already."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scripts.notebook_script import Refused
from scripts.paper_queue.contents import Unfit, read_record
from scripts.paper_queue.items import NEEDS, Item
from scripts.paper_queue.task import QUEUE

MINUTES = 12.0
TRAINING = {
    "painter": 90.0,
    "several": 240.0,
    "decoder": 240.0,
    "translator": 150.0,
    "unpaired": 200.0,
    "styles": 200.0,
    "domains": 240.0,
    "attention": 240.0,
    "cartoons": 150.0,
    "enlarger": 60.0,
}  # seconds that the items' estimates count on
PACKING = 10.0  # seconds kept back for the archives
_START = 25.0  # seconds until an item computes: torch, the device, the pretrained networks
_TOY, _TOY_LIMIT = 30.0, 600.0  # seconds of an item in a rehearsal
_FOLDERS = {"full": "", "tenth": "trial", "toy": "rehearsal"}


@dataclass(frozen=True)
class Call:
    """What was asked for on the command line.

    Attributes:
        root: the checkout or the unpacked pack.
        into: where results are collected.
        minutes: wall time of the whole call.
        scale: ``"full"``; ``"tenth"`` for a trial, ``"toy"`` for a rehearsal.
        only: names of items, kinds, stored runs or models; empty for all.
        datasets: the folder of research data sets, or None.
        training: seconds to train for, by `Item.trained`.
        queue: the module that lists the queue.
    """

    root: Path
    into: Path
    minutes: float = MINUTES
    scale: str = "full"
    only: tuple[str, ...] = ()
    datasets: Path | None = None
    training: Mapping[str, float] = field(default_factory=lambda: dict(TRAINING))
    queue: str = QUEUE

    @property
    def folder(self) -> Path:
        """Where this scale's results, logs and report lie: trials and rehearsals stay apart from the real thing."""
        return self.into / _FOLDERS[self.scale]

    @property
    def device(self) -> str:
        """A rehearsal needs no GPU, and uses none."""
        return "cpu" if self.scale == "toy" else "cuda"

    @property
    def prefix(self) -> str:
        """Before the digest of a run that is not of the full scale, so that nothing takes it for one."""
        return "" if self.scale == "full" else f"{self.scale}-"

    @property
    def tasks(self) -> Path:
        """The folder of the modules that run the kinds."""
        return Path(str(importlib.import_module(self.queue).__file__)).parent / "tasks"

    @property
    def results(self) -> list[Path]:
        """Where stored runs may lie already, the queue's own folder first."""
        own = self.folder / "results" / "paper"
        return [own, self.root / "data" / "results" / "paper"] if self.scale == "full" else [own]


# --- which
def choose(queue: Sequence[Item], only: Sequence[str]) -> list[Item]:
    """The items that the words of `only` name, in the queue's order; all where there are none.

    Raises:
        Refused: a word that names nothing; says which names are near.
    """
    called = {item.name: {item.name, item.kind, *item.records, *item.models} for item in queue}
    known = sorted(set().union(*called.values())) if called else []
    for word in only:
        if word not in known:
            near = difflib.get_close_matches(word, known, n=4, cutoff=0.4) or [
                word for word in known if "_" not in word
            ]
            advice = "`make paper ARGS=--list` lists the queue"
            raise Refused(f"nothing in the queue is called {word}; near it are {', '.join(near)}; {advice}.")
    return [item for item in queue if not only or called[item.name] & set(only)]


def first_of_each_kind(items: Sequence[Item], environment: Mapping[str, str]) -> list[Item]:
    """For a trial: of each kind the first that has what it needs, else the first."""
    kinds = dict.fromkeys(item.kind for item in items)
    able = {kind: [item for item in items if item.kind == kind and not lacks(item, environment)] for kind in kinds}
    return [(able[kind] or [item for item in items if item.kind == kind])[0] for kind in kinds]


def lacks(item: Item, environment: Mapping[str, str]) -> str:
    """What an item needs that is not at hand, in words that say how to get it; "" when nothing is missing."""
    for need in item.needs:
        if need not in NEEDS:
            return f"needs {need}, which this queue does not know"
        if not _at_hand(need, environment):
            what, how = NEEDS[need]
            return f"needs {what}: {how}"
    return ""


def _at_hand(need: str, environment: Mapping[str, str]) -> bool:
    if need == "datasets":
        return Path(environment.get("COURSE_LIB_DATASETS") or "/nowhere").is_dir()
    network = {"vgg16": "vgg16_torchvision", "adain": "adain_decoder"}.get(need)
    return importlib.util.find_spec(need) is not None if network is None else _in_cache(network, environment)


def _in_cache(network: str, environment: Mapping[str, str]) -> bool:
    from course_lib.pretrained.catalog import REGISTRY

    path, chosen = REGISTRY[network].path, environment.get("COURSE_LIB_CACHE")
    return (Path(chosen).expanduser() / path.name if chosen else path).is_file()


def environment_of(call: Call) -> dict[str, str]:
    """The environment that the items of a call share."""
    found = {
        name: value for name, value in os.environ.items() if name not in ("COURSE_LIB_RECORDS", "COURSE_LIB_DIGEST")
    }
    found["COURSE_LIB_RESULTS"] = str(call.folder / "results")
    found["PYTHONPATH"] = os.pathsep.join(filter(None, [str(call.root), os.environ.get("PYTHONPATH")]))
    found["PYTHONUNBUFFERED"] = "1"
    found["COURSE_LIB_RUNNER"] = str(os.getpid())
    if (call.root / "networks").is_dir() and not found.get("COURSE_LIB_CACHE"):
        found["COURSE_LIB_CACHE"] = str(call.root / "networks")
    if call.datasets is not None:
        found["COURSE_LIB_DATASETS"] = str(call.datasets)
    if call.device == "cpu":
        found["CUDA_VISIBLE_DEVICES"] = ""
    return found


# --- how long
def training_seconds(item: Item, call: Call) -> float:
    """What the item is told to train for at the full scale; at a smaller one it trains for less by itself."""
    return call.training.get(item.trained, 0.0)


def full_estimate(item: Item, call: Call) -> float:
    """Seconds at the full scale: what the queue says, with this call's training in place of the usual one."""
    if not item.trained:
        return item.seconds
    return call.training[item.trained] + (item.seconds - TRAINING[item.trained])


def estimate(item: Item, call: Call) -> float:
    """Seconds at the scale of this call."""
    full = full_estimate(item, call)
    return {"full": full, "tenth": min(full, _START + full / 10), "toy": _TOY}[call.scale]


def limit(item: Item, call: Call, left: float) -> float:
    """Seconds after which the item is stopped."""
    seconds = estimate(item, call)
    return min(left, _TOY_LIMIT if call.scale == "toy" else max(2 * seconds, seconds + 60))


def from_trial(item: Item, call: Call, measured: float, start: float) -> float:
    """A better estimate at the full scale, from a trial.

    Args:
        item: that was tried.
        measured: seconds that it took at a tenth of the steps.
        start: seconds of them until it computed, which do not grow with the steps.
    """
    if item.trained:
        return call.training[item.trained] + max(0.0, measured - call.training[item.trained] / 10)
    return start + 10 * max(0.0, measured - start)


def minutes_for(seconds: float) -> float:
    """The minutes to ask for so that an item of so many seconds fits, upwards to a tenth."""
    return math.ceil((seconds + PACKING + 5) / 6) / 10


# --- what is there
@dataclass(frozen=True)
class Stand:
    """How much of an item is there: its stored runs that are whole, cut short (with what was cut), and missing."""

    whole: tuple[str, ...]
    reduced: Mapping[str, str]
    missing: tuple[str, ...]

    @property
    def word(self) -> str:
        if not self.missing:
            return "partly" if self.reduced else "done"
        return "partly" if self.whole or self.reduced else "to do"


def stand(item: Item, digest: str, call: Call) -> Stand:
    """Look for the item's stored runs with this digest; a whole one is better than a reduced one.

    In a trial and in a rehearsal every run is reduced, and as good as it can be.
    """
    whole, reduced, missing = [], {}, []
    for name in item.records:
        found = [_reduced(place / name, digest) for place in call.results]
        if "" in found or (call.scale != "full" and any(found)):
            whole.append(name)
        elif cut := next(filter(None, found), None):
            reduced[name] = cut
        else:
            missing.append(name)
    return Stand(tuple(whole), reduced, tuple(missing))


def _reduced(folder: Path, digest: str) -> str | None:
    """What a stored run with this digest was cut short of; "" for a whole one, None where there is none."""
    try:
        found = read_record(folder)
    except Unfit:
        return None
    return str(found.get("reduced", "")) if found.get("digest") == digest else None
