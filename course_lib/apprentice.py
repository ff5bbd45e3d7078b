"""What every method's `train` does around `training.fit`: say which run this is, and what is worth keeping of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from course_lib import runtime
from course_lib.datasets import Crops
from course_lib.training import Loss, fit


def learn(
    network: nn.Module,
    step: Loss,
    names: Sequence[str],
    data: Any,
    config: Any,
    *,
    start: Any = None,
    marks: Mapping[str, object] | None = None,
    callback: runtime.Callback | None = None,
    checkpoint: str | Path | None = None,
) -> tuple[dict[str, Any], str | None]:
    """Train `network` in place as `config` says; a checkpoint of any other run is refused.

    Args:
        network: on its device.
        step, names, data, callback, checkpoint: as `training.fit` takes them.
        config: a method's ``Config``, with ``num_steps``, ``batch_size``, ``learning_rate``, ``cooldown``,
            ``accumulate``, ``precision`` and ``seed``.
        start: the method's ``Model`` that the weights came from, or None.
        marks: what else tells this run from others.

    Returns:
        The facts of the run: ``"steps"``, ``"seconds"``, ``"device"``, ``"photos"`` (how many; None where nobody
        can count), ``"started_from"``, ``"history"``; and why it ended early, or None.
    """
    device = next(network.parameters()).device
    identity = {**asdict(config), **(marks or {}), "num_steps": None}  # a longer run may go on from a shorter one
    identity["start"] = start is not None and sum(v.double().sum().item() for v in start.network.state_dict().values())
    if isinstance(data, Crops):
        identity["photos"] = sum(int(photo.sum()) for photo in data.photos)
    done = fit(
        network, step, names, data,
        num_steps=config.num_steps, batch_size=config.batch_size, learning_rate=config.learning_rate,
        cooldown=config.cooldown, accumulate=config.accumulate,
        precision=runtime.pick_precision(config.precision, device), seed=config.seed,
        callback=callback, checkpoint=checkpoint, identity=identity,
    )  # fmt: skip
    facts = {
        "steps": len(done.history["total"]),
        "seconds": done.history["seconds"][-1] if done.history["seconds"] else 0.0,
        "device": str(device),
        "photos": len(data.photos if isinstance(data, Crops) else data) if hasattr(data, "__len__") else None,
        "started_from": None if start is None else start.facts.get("name", "another model"),
        "history": done.history,
    }
    return facts, done.stopped
