"""Checkpoints: the state of a training run as a file that is complete, verified and safe to read.

A file is written whole or not at all, its checksums are verified when it is read, and nothing in it is executed. It
carries the *fingerprint* of its run, a digest of everything that makes the run what it is (configuration, data, length
of the data set, …); a run with another fingerprint refuses it.
"""

from __future__ import annotations

import glob
import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.atomic import atomic_write
from course_lib.training import optimizers
from course_lib.training.distributed import Group
from course_lib.training.optimizers import Optimizers
from course_lib.training.schedules import Schedule

_FORMAT = 2
_ADVICE = "delete it, or name another, to begin anew"


class CheckpointError(ValueError):
    """A checkpoint that is damaged, or belongs to another run."""


@dataclass
class RunState:
    """All that a training run has to remember between two steps; the random state comes on top.

    Attributes:
        network, optimizers: of the learner; `restore` loads into them.
        file, fingerprint: of the checkpoint; no file: no checkpoint.
        average: the exponential moving averages of the network's parameters by name, if the run keeps them.
        rows: the terms of each step, (steps, K).
        seconds: since the run began, at the end of each step.
        factors: of the learning rates, at each step.
    """

    network: nn.Module
    optimizers: Optimizers
    file: Path | None = None
    fingerprint: str = ""
    average: dict[str, Tensor] | None = None
    rows: list[list[float]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    factors: list[float] = field(default_factory=list)

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    def history(self, names: Sequence[str]) -> dict[str, list[float]]:
        """``"total"``, each term by name, and ``"seconds"``: one number a step."""
        columns = dict(zip(names, map(list, zip(*self.rows, strict=True)), strict=True)) if self.rows else {}
        return {"total": [sum(row) for row in self.rows], **columns, "seconds": list(self.seconds)}

    def save(self, group: Group) -> None:
        """Write the checkpoint; every process calls this, and rank 0 writes."""
        assert self.file is not None
        random = group.gather(random_states(self.device))
        if group.rank > 0:
            return
        state = {
            "fingerprint": self.fingerprint, "rows": self.rows, "seconds": self.seconds, "factors": self.factors,
            "network": self.network.state_dict(), "average": self.average, "random": random,
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
        }  # fmt: skip
        write(self.file, state)

    def restore(self, group: Group, schedule: Schedule, num_steps: int) -> None:
        """Continue from the checkpoint, if there is one: rank 0 reads it and sends it to all.

        A run may be made longer (or shorter) only where `schedule` gives the same factors for the steps done.

        Raises:
            CheckpointError: damaged, or of another run; on every process.
        """
        if self.file is None:
            return
        state = group.broadcast_object(_read_or_error(self.file, self.fingerprint) if group.rank == 0 else None)
        if state is None:
            return
        if isinstance(state, CheckpointError):
            raise state
        if any(schedule(step, num_steps) != factor for step, factor in enumerate(state["factors"])):
            raise CheckpointError(_of_another_run(self.file))
        self.network.load_state_dict(state["network"])
        for name, optimizer in self.optimizers.items():
            optimizers.load_state(optimizer, state["optimizers"][name])
        if state["average"] is not None:
            self.average = {name: value.to(self.device) for name, value in state["average"].items()}
        self.rows, self.seconds, self.factors = state["rows"], state["seconds"], state["factors"]
        if group.rank < len(state["random"]):
            set_random_states(self.device, state["random"][group.rank])


def digest(fingerprint: Mapping[str, object]) -> str:
    """The SHA-256 of a fingerprint as JSON; values that JSON does not know count as their text."""
    return hashlib.sha256(json.dumps(fingerprint, sort_keys=True, default=str).encode()).hexdigest()


def write(file: Path, state: Mapping[str, Any]) -> None:
    """Write beside `file`, flush to the disk, then move into place.

    Args:
        state: tensors, numbers, texts, lists and dicts of them; with the run's digest as ``"fingerprint"``.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as stream:
        torch.save({"format": _FORMAT, **state}, stream)
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
        same_run = state["fingerprint"] == fingerprint and state["format"] == _FORMAT
    except Exception as error:  # torch raises whatever its readers do
        reason = f"{file} is damaged or not a checkpoint ({type(error).__name__})"
        raise CheckpointError(f"{reason}; {_ADVICE}") from error
    if not same_run:
        raise CheckpointError(_of_another_run(file))
    return state


def random_states(device: torch.device) -> list[Tensor]:
    """Torch's random state: of the processor, and of `device` if it is a CUDA device."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def set_random_states(device: torch.device, states: list[Tensor]) -> None:
    """Put back what `random_states` gave."""
    torch.set_rng_state(states[0])
    if device.type == "cuda" and len(states) > 1:
        torch.cuda.set_rng_state(states[1], device)


def _read_or_error(file: Path, fingerprint: str) -> dict[str, Any] | CheckpointError | None:
    try:
        return read(file, fingerprint)
    except CheckpointError as error:  # sent to all processes, which raise it
        return error


def _of_another_run(file: Path) -> str:
    return f"{file} belongs to a run with another configuration; {_ADVICE}"
