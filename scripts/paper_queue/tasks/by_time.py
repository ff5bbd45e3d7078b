"""Networks trained for so many seconds: how many steps that is, from which weights, and where a stopped run goes on.

The learning rate may fall over the last part of a run, so its length must be known before it begins: a few steps are
timed, and the seconds given are divided by what one takes. A run that was stopped goes on from its checkpoint with the
length it began with. A run that ended before the paper's number of steps is *reduced*; the next call trains its weights
further.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_lib.atomic import atomic_write
from course_lib.methods import (
    adain,
    animegan,
    cyclegan,
    johnson,
    multi_style,
    pix2pix,
    stargan,
    stylegan,
    super_resolution,
    ugatit,
)
from course_lib.training.loop import seconds_a_step
from course_lib.training.model_files import ModelError
from scripts.paper_queue.items import Job
from scripts.paper_queue.tasks import REDUCED, ROOT

METHODS = {
    method.KIND: method
    for method in (
        johnson, multi_style, adain, pix2pix, cyclegan, stylegan, stargan, ugatit, animegan, super_resolution,
    )
}  # fmt: skip
TIMED = {"full": 60, "tenth": 60, "toy": 2}  # steps that are timed; looks at the numbers come every ten
_SHARE = 0.9  # of the seconds given that are trained; the rest is for loading, timing and saving


@dataclass(frozen=True)
class Plan:
    """A training: its steps, what was trained before, and the model to start from."""

    steps: int
    before: int
    start: Any
    checkpoint: Path
    note: Path

    def reduced(self, whole: int) -> str:
        """What is missing of `whole` steps, in words; nothing where all are done."""
        done = self.before + self.steps
        return "" if done >= whole else f"{done:,} of {whole:,} steps"


def plan(job: Job, kind: str, whole: int, timed: Callable[[int], Any], *, start: Any = None, warm_up: int = 1) -> Plan:
    """How many steps this job trains.

    Args:
        job: its ``item.models[0]``, or its first record's name, names the checkpoint.
        kind: of the model file.
        whole: steps of the paper.
        timed: trains so many steps into nowhere and returns the model; its history is what is timed.
        start: the model to begin with where none was trained before.
        warm_up: so many times the usual steps are timed, where shapes change from step to step.
    """
    name = (job.item.models or job.item.records)[0]
    checkpoint = job.into / "checkpoints" / f"{name}.checkpoint"
    note = checkpoint.with_suffix(".json")
    before, model = trained_before(job, kind)
    begin = model if model is not None else start
    if checkpoint.exists() and note.exists():
        told = json.loads(note.read_text(encoding="utf-8"))
        if told["before"] == before and told["start"] == _known(begin):
            return Plan(told["steps"], before, begin, checkpoint, note)
    checkpoint.unlink(missing_ok=True)
    left = max(1, job.steps(whole) - before)
    began = time.perf_counter()
    each = seconds_a_step(timed(warm_up * TIMED[job.scale]).facts["history"]["seconds"])
    room = _SHARE * job.seconds * (0.1 if job.scale == "tenth" else 1.0) - (time.perf_counter() - began)
    steps = left if job.scale == "toy" else max(1, min(left, int(room / each)))
    print(f"{name}: {each * 1000:.2f} ms a step; {steps:,} steps of {left:,} that are left", flush=True)
    note.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(note) as stream:
        stream.write(json.dumps({"steps": steps, "before": before, "start": _known(begin)}).encode())
    return Plan(steps, before, begin, checkpoint, note)


def _known(model: Any) -> str | None:
    """What tells the model that a training starts from."""
    if model is None:
        return None
    return f"{sum(value.double().sum().item() for value in model.network.state_dict().values()):.9g}"


def trained_before(job: Job, kind: str) -> tuple[int, Any]:
    """Steps of this item's model as an earlier call left it, and the model; 0 and None where there is none."""
    if not job.item.models or job.scale != "full":
        return 0, None
    for folder in (job.into / "models", ROOT / "data" / "models"):
        file = folder / f"{job.item.models[0]}.safetensors"
        if file.exists():
            try:
                model = METHODS[kind].load(file)
            except ModelError as error:
                print(f"{file.name} cannot be trained further: {error}", flush=True)
                continue
            return int(model.facts.get("steps in all", model.facts["steps"])), model
    return 0, None


def watch(name: str, every: float = 10.0) -> Callable[[Any], None]:
    """A callback that prints a line now and then."""
    last = [time.perf_counter()]

    def callback(progress: Any) -> None:
        if time.perf_counter() - last[0] > every:
            last[0] = time.perf_counter()
            print(f"{name}: step {progress.step:,} of {progress.num_steps:,}", flush=True)

    return callback


def finish(job: Job, chosen: Plan, whole: int, model: Any, record: Any) -> dict[str, Any]:
    """Check a finished training, write on the record what was reduced; the facts that the model file keeps.

    Raises:
        RuntimeError: the training stopped early.
    """
    if model.stopped:
        chosen.checkpoint.unlink(missing_ok=True)
        raise RuntimeError(f"{job.item.name}: {model.stopped}")
    record.reduced = REDUCED[job.scale] or chosen.reduced(whole)
    record.values["steps in all"] = chosen.before + chosen.steps
    record.values["seconds a step"] = seconds_a_step(model.facts["history"]["seconds"])
    return {**model.facts, "steps in all": chosen.before + chosen.steps}


def put_away(chosen: Plan) -> None:
    """A run that is stored needs no checkpoint any more."""
    for file in (chosen.checkpoint, chosen.note):
        file.unlink(missing_ok=True)
