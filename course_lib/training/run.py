"""What every method's `train` calls: one training run and its summary.

It says which run this is, so that a checkpoint of another one is refused, trains, and collects what is worth keeping.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from course_lib import runtime
from course_lib.training.collapse import Sight, Watch
from course_lib.training.fingerprints import total
from course_lib.training.loop import Learner, fit
from course_lib.training.schedules import Schedule, linear_to_zero


class Summary(NamedTuple):
    """What `train_and_summarize` returns."""

    facts: dict[str, Any]  # "steps", "seconds", "device", "photos", "started_from", "history", …: see there
    stopped: str | None  # why the run ended early, or None
    average: dict[str, Tensor] | None  # see `training.loop.Fit`


def showing(picture: Callable[[], Tensor], callback: runtime.Callback) -> runtime.Callback:
    """Wrap `callback`: the image of its `Progress` becomes ``picture()``, computed only if it is asked for."""
    return lambda progress: callback(replace(progress, image=picture))


def train_and_summarize(
    learner: Learner,
    data: Any,
    config: Any,
    *,
    num_steps: int | None = None,
    schedule: Schedule | None = None,
    ema: float | None = None,
    start: Any = None,
    fingerprint: Mapping[str, object] | None = None,
    sights: Sequence[Sight] = (),
    callback: runtime.Callback | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = True,
) -> Summary:
    """Train the learner's network in place as `config` says; a checkpoint of any other run is refused.

    Args:
        learner, data, ema, callback, checkpoint, resume: as `training.loop.fit` takes them. The ``fingerprint`` of the
            data, if they have one, becomes part of that of the run.
        config: a method's ``Config``, with ``batch_size``, ``seed`` and what the next two defaults need.
        num_steps: None: ``config.num_steps``.
        schedule: of the learning rates; None: they fall to zero over the last part ``config.cooldown``.
        start: the method's ``Model`` that the first weights came from, or None.
        fingerprint: what else tells this run from others.
        sights: what the generator's outputs should follow; where they stop, a warning says so (`training.collapse`).

    Returns:
        The facts are ``"steps"``, ``"seconds"``, ``"device"``, ``"photos"`` (how many; None for data without a
        length), ``"started_from"`` (the name of the model, or None) and ``"history"``. With sights also
        ``"collapsed"``, the step at which the generator collapsed, or None; and ``"looks"``, what was measured: for
        each look, one ratio a sight.
    """
    network, watch = learner.network, Watch(sights)
    done = fit(
        learner, data, num_steps=num_steps or config.num_steps, batch_size=config.batch_size,
        schedule=linear_to_zero(config.cooldown) if schedule is None else schedule, ema=ema, seed=config.seed,
        callback=callback, checkpoint=checkpoint, resume=resume, watch=watch,
        fingerprint={
            **asdict(config), **(fingerprint or {}), "num_steps": None,  # a longer run may continue a shorter one
            "start": start is not None and sum(map(total, start.network.state_dict().values())),
            "data": total(data) if isinstance(data, Tensor) else getattr(data, "fingerprint", None),
        },
    )  # fmt: skip
    facts = {
        "steps": len(done.history["total"]),
        "seconds": done.history["seconds"][-1] if done.history["seconds"] else 0.0,
        "device": str(next(network.parameters()).device),
        "photos": len(getattr(data, "photos", data)) if hasattr(data, "__len__") else None,
        "started_from": None if start is None else start.facts.get("name", "another model"),
        "history": done.history,
        **({"collapsed": watch.collapsed, "looks": watch.looks} if sights else {}),
    }
    return Summary(facts, done.stopped, done.average)
