"""Checkpoints: the state of a training run as a file that is complete, verified and safe to read.

A file is written whole or not at all, its checksums are verified when it is read, and nothing in it is executed. It
carries the *fingerprint* of its run: everything that makes the run what it is (configuration, data, length of the data
set, …), and the digest of that. A run with another fingerprint refuses it and names what differs.

If a checkpoint cannot be written, for example on a full disk, the run warns, goes on and tries again at the next one.
"""

from __future__ import annotations

import glob
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.atomic import atomic_write, is_full, room_for
from course_lib.training import optimizers
from course_lib.training.collapse import Watch
from course_lib.training.distributed import Group
from course_lib.training.fingerprints import Change, changes, describe, digest
from course_lib.training.optimizers import Optimizers
from course_lib.training.schedules import Schedule

_FORMAT = 2
ADVICE = "delete it, or name another, to start over"


class CheckpointError(ValueError):
    """A checkpoint that is damaged, belongs to another run, or could not be written."""


class OtherRun(CheckpointError):
    """A checkpoint of another run.

    Attributes:
        file: the checkpoint.
        changes: what differs, as `fingerprints.changes` lists it.
    """

    def __init__(self, file: Path, changes: Sequence[Change]) -> None:
        self.file, self.changes = file, changes
        about = describe(changes)
        super().__init__(
            f"{file} belongs to a run with another configuration: {about}; give the old values to resume it, or "
            "delete it to start over"
        )

    def __reduce__(self) -> tuple[type[OtherRun], tuple[Path, Sequence[Change]]]:
        return type(self), (self.file, self.changes)  # the first of several processes sends it to the others


@dataclass
class RunState:
    """All that a training run has to remember between two steps; the random state comes on top.

    Attributes:
        network, optimizers: of the learner; `restore` loads into them.
        num_steps: of the whole run.
        file: the checkpoint; None: no checkpoint.
        fingerprint: of the run, as `fingerprints.as_json` writes it.
        average: the exponential moving averages of the network's parameters by name, if the run keeps them.
        rows: the terms of each step, (steps, K).
        seconds: since the run began, at the end of each step.
        factors: of the learning rates, at each step.
        watch: over the generator, if there is one.
    """

    network: nn.Module
    optimizers: Optimizers
    num_steps: int = 0
    file: Path | None = None
    fingerprint: str = ""
    average: dict[str, Tensor] | None = None
    rows: list[list[float]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    factors: list[float] = field(default_factory=list)
    watch: Watch | None = None
    unwritten: bool = False  # the latest attempt to write the checkpoint failed
    replaces: bool = False  # the file is a checkpoint of another run, until this one writes its first

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    def history(self, names: Sequence[str]) -> dict[str, list[float]]:
        """``"total"``, each term by name, and ``"seconds"``: one number a step."""
        columns = dict(zip(names, map(list, zip(*self.rows, strict=True)), strict=True)) if self.rows else {}
        return {"total": [sum(row) for row in self.rows], **columns, "seconds": list(self.seconds)}

    def save(self, group: Group) -> None:
        """Write the checkpoint; every process calls this, and rank 0 writes. A failure is a warning, given once."""
        assert self.file is not None
        random = group.gather(random_states(self.device))
        if group.rank > 0:
            return
        state = {
            "fingerprint": digest(self.fingerprint), "run": self.fingerprint, "num_steps": self.num_steps,
            "rows": self.rows, "seconds": self.seconds, "factors": self.factors,
            "network": self.network.state_dict(), "average": self.average, "random": random,
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "watch": None if self.watch is None else self.watch.state(),
        }  # fmt: skip
        step = len(self.rows)
        try:
            write(self.file, state)
        except OSError as error:
            if not self.unwritten:
                later = "training continues and tries again at the next checkpoint" if step < self.num_steps else ""
                warnings.warn(_could_not_write(self.file, state, step, error, later), stacklevel=2)
            self.unwritten = True
            return
        if self.unwritten:
            warnings.warn(f"step {step}: the checkpoint {self.file} could be written again", stacklevel=2)
        self.unwritten = self.replaces = False

    def restore(self, group: Group, schedule: Schedule) -> None:
        """Continue from the checkpoint, if there is one: rank 0 reads it and sends it to all.

        A run may be made longer, or shorter down to the steps done, if `schedule` gives the same factors for the steps
        done.

        Raises:
            CheckpointError: damaged, or of another run; on every process.
        """
        if self.file is None:
            return
        state = group.broadcast_object(self._read_or_error(schedule) if group.rank == 0 else None)
        if state is None:
            return
        if isinstance(state, CheckpointError):
            raise state
        self.network.load_state_dict(state["network"])
        for name, optimizer in self.optimizers.items():
            optimizers.load_state(optimizer, state["optimizers"][name])
        if state["average"] is not None:
            self.average = {name: value.to(self.device) for name, value in state["average"].items()}
        self.rows, self.seconds, self.factors = state["rows"], state["seconds"], state["factors"]
        if self.watch is not None and state.get("watch"):  # earlier versions kept none
            self.watch.restore(state["watch"])
        if group.rank < len(state["random"]):
            set_random_states(self.device, state["random"][group.rank])

    def _read_or_error(self, schedule: Schedule) -> dict[str, Any] | CheckpointError | None:
        assert self.file is not None
        try:
            state = read(self.file, self.fingerprint)
        except CheckpointError as error:  # sent to all processes, which raise it
            return error
        if state is None:
            return None
        done, length = len(state["factors"]), state.get("num_steps", 0)
        same_rates = all(schedule(step, self.num_steps) == factor for step, factor in enumerate(state["factors"]))
        if same_rates and done <= self.num_steps:
            return state
        if length == self.num_steps:
            return OtherRun(self.file, [Change("schedule", None, None)])
        return OtherRun(self.file, [Change("num_steps", length or f"{done} or more", self.num_steps)])


def write(file: Path, state: Mapping[str, Any]) -> None:
    """Write beside `file`, flush to the disk, then move into place.

    Args:
        state: tensors, numbers, texts, lists and dicts of them; with the run's digest as ``"fingerprint"``.

    Raises:
        OSError: it cannot be written, as on a full disk; what was there stays.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with atomic_write(file) as stream:
            torch.save({"format": _FORMAT, **state}, stream)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):  # torch finds its file cut short, and hides why
            raise error.__context__ from None
        raise
    leftovers = f".{glob.escape(file.name)}.{'?' * 8}.tmp"  # of a run that was killed while it wrote
    for leftover in file.parent.glob(leftovers):
        with suppress(OSError):
            leftover.unlink()


def read(file: Path, fingerprint: str) -> dict[str, Any] | None:
    """What `write` wrote, on the CPU; None if there is no file.

    Raises:
        CheckpointError: damaged, not a checkpoint, or of a run with another fingerprint.
    """
    if not file.exists():
        return None
    try:  # weights_only: tensors, numbers and lists; nothing in the file is executed
        with zipfile.ZipFile(file) as archive:  # torch writes checksums, and does not read them
            if archive.testzip() is not None:
                raise zipfile.BadZipFile("wrong checksum")
        state = dict(torch.load(file, map_location="cpu", weights_only=True))
        same_run = state["fingerprint"] == digest(fingerprint) and state["format"] == _FORMAT
        compared = "run" in state and state["format"] == _FORMAT  # earlier versions kept the digest alone
        found = changes(state["run"], fingerprint) if compared else []
    except Exception as error:  # torch raises whatever its readers do
        reason = f"{file} is damaged or not a checkpoint ({type(error).__name__})"
        raise CheckpointError(f"{reason}; {ADVICE}") from error
    if found:
        raise OtherRun(file, found)
    if not same_run and not compared:
        raise CheckpointError(
            f"{file} belongs to a run with another configuration, or to an earlier version of this package; {ADVICE}"
        )
    return state


def random_states(device: torch.device) -> list[Tensor]:
    """Torch's random state: of the processor, and of `device` if it is a CUDA device."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def set_random_states(device: torch.device, states: list[Tensor]) -> None:
    """Put back what `random_states` gave."""
    torch.set_rng_state(states[0])
    if device.type == "cuda" and len(states) > 1:
        torch.cuda.set_rng_state(states[1], device)


def _could_not_write(file: Path, state: Mapping[str, Any], step: int, error: OSError, later: str) -> str:
    text = f"step {step}: the checkpoint {file} could not be written ({error.strerror or error})"
    text = f"{text}; {later}" if later else text
    return f"{text}. {room_for(_bytes(state), file.parent)}" if is_full(error) else text


def _bytes(state: Any) -> int:
    """Of all tensors in it."""
    if isinstance(state, Tensor):
        return state.nbytes
    parts = state.values() if isinstance(state, Mapping) else state if isinstance(state, list | tuple) else ()
    return sum(_bytes(part) for part in parts)
