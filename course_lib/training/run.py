"""What every method's `train` does around `training.fit`: say which run this is, and what is worth keeping of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from course_lib import runtime
from course_lib.training.loop import Learner, fit


def learn(
    learner: Learner,
    data: Any,
    config: Any,
    *,
    num_steps: int | None = None,
    start: Any = None,
    marks: Mapping[str, object] | None = None,
    callback: runtime.Callback | None = None,
    checkpoint: str | Path | None = None,
) -> tuple[dict[str, Any], str | None]:
    """Train the learner's network in place as `config` says; a checkpoint of any other run is refused.

    Args:
        learner, data, callback, checkpoint: as `training.fit` takes them. Data that has an ``identity`` is known by it.
        config: a method's ``Config``, with ``batch_size``, ``cooldown`` and ``seed``.
        num_steps: how long; None: ``config.num_steps``.
        start: the method's ``Model`` that the weights came from, or None.
        marks: what else tells this run from others.

    Returns:
        The facts of the run: ``"steps"``, ``"seconds"``, ``"device"``, ``"photos"`` (how many; None where nobody
        can count), ``"started_from"``, ``"history"``; and why it ended early, or None.
    """
    network = learner.network
    identity = {**asdict(config), **(marks or {}), "num_steps": None}  # a longer run may go on from a shorter one
    identity["start"] = start is not None and sum(v.double().sum().item() for v in start.network.state_dict().values())
    identity["data"] = getattr(data, "identity", None)
    done = fit(
        learner, data, num_steps=num_steps or config.num_steps, batch_size=config.batch_size,
        cooldown=config.cooldown, seed=config.seed, callback=callback, checkpoint=checkpoint, identity=identity,
    )  # fmt: skip
    facts = {
        "steps": len(done.history["total"]),
        "seconds": done.history["seconds"][-1] if done.history["seconds"] else 0.0,
        "device": str(next(network.parameters()).device),
        "photos": len(getattr(data, "photos", data)) if hasattr(data, "__len__") else None,
        "started_from": None if start is None else start.facts.get("name", "another model"),
        "history": done.history,
    }
    return facts, done.stopped
