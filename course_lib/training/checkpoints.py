"""Checkpoints on disk: whole or not at all, verified on the way back, and nothing in them is ever executed."""

from __future__ import annotations

import glob
import hashlib
import json
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from course_lib.atomic import atomic_write

_FORMAT = 1


class CheckpointError(ValueError):
    """A checkpoint that is damaged, or belongs to another run."""


def fingerprint(about: Mapping[str, object]) -> str:
    """One word for everything that makes a run this run and no other; whatever JSON has no word for counts as text."""
    return hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()


def write(file: Path, state: Mapping[str, Any]) -> None:
    """Write beside `file`, make it durable, then put it in the file's place in one move.

    Args:
        state: tensors, numbers, texts, lists and dicts of them; with the run's fingerprint as ``"mark"``.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as stream:
        torch.save({"format": _FORMAT, **state}, stream)
    leftovers = f".{glob.escape(file.name)}.{'?' * 8}.tmp"  # of a run that was killed while it wrote
    for left in file.parent.glob(leftovers):
        with suppress(OSError):
            left.unlink()


def read(file: Path, mark: str) -> dict[str, Any] | None:
    """What `write` wrote, on the CPU; None where there is no file.

    Raises:
        CheckpointError: damaged, no checkpoint, or of a run with another fingerprint than `mark`.
    """
    if not file.exists():
        return None
    advice = "delete it, or name another, to begin anew"
    try:  # weights_only: tensors, numbers and lists; nothing in the file is executed
        with zipfile.ZipFile(file) as archive:  # torch writes checksums, and does not read them
            if archive.testzip() is not None:
                raise zipfile.BadZipFile("wrong checksum")
        state = dict(torch.load(file, map_location="cpu", weights_only=True))
        found, form = state["mark"], state["format"]
    except Exception as error:  # torch raises whatever its readers do
        reason = f"{file} is damaged or not a checkpoint ({type(error).__name__})"
        raise CheckpointError(f"{reason}; {advice}") from error
    if form != _FORMAT or found != mark:
        raise CheckpointError(f"{file} belongs to a run with another configuration; {advice}")
    return state


def random_states(device: torch.device) -> list[Tensor]:
    """Torch's random state: of the processor, and of `device` where it is a CUDA device."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def set_random_states(device: torch.device, states: list[Tensor]) -> None:
    """Put back what `random_states` gave."""
    torch.set_rng_state(states[0])
    if device.type == "cuda" and len(states) > 1:
        torch.cuda.set_rng_state(states[1], device)
