"""Painted clips whose motion is known: what a temporal term, its mask, and a long memory change (chapter 20).

    python -m benchmarks.video_scores                    # all runs that are missing
    python -m benchmarks.video_scores --share 1/2        # every second run; another process does the rest
    python -m benchmarks.video_scores --record           # all runs that are missing, then the record

A camera moves over a photo, and a flower crosses the picture in front of it (`data.camera`). The clip is painted by
optimization, in four ways that differ in one thing at a time (Ruder et al. 2016), and frame by frame by two networks.
Seed k stands for clip k: another photo, camera and painting. Results of single runs are kept in ``_build/scores``.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from benchmarks import score_runs
from course_lib import gram_matrix, sample_image
from course_lib.data import camera
from course_lib.evaluation import metrics, temporal
from course_lib.evaluation.votes import kendall_tau
from course_lib.flow import Motion, warp
from course_lib.methods import johnson, stable_painter, video_optimization
from course_lib.pretrained.vgg import VGGFeatures
from course_lib.teaching import records

ALONE, EVERYWHERE, MASKED, LONG = OPTIMIZED = ("no term", "term everywhere", "masked term", "long term")
PAINTER, STABLE = NETWORKS = ("painter", "stable painter")
RUNS = (*OPTIMIZED, *NETWORKS)
PAINTERS = ("great_wave", "composition_viii", "cafe_terrace", "church_at_auvers", "poppies")  # with the package
LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")  # Johnson's, for the trace
CASES = (
    ("mont_saint_michel", "pan", "great_wave"),
    ("eilean_donan", "zoom", "composition_viii"),
    ("neuschwanstein", "handheld", "cafe_terrace"),
    ("golden_temple", "turn", "church_at_auvers"),
    ("chenonceau", "pan", "poppies"),
    ("schwerin_palace", "handheld", "night_cafe"),
)
WATCHED = (0, 7, 8)  # frames that are kept; the flower has just left the middle
RECORD = "20_scores"


@dataclass(frozen=True)
class Scale:
    """Size and length of the runs, and the folder for the results of single runs."""

    size: tuple[int, int] = (120, 160)
    length: int = 10
    first_steps: int = 60  # of the first frame
    steps: int = 25  # of each other one
    past: tuple[int, ...] = (1, 2, 4, 6)  # of the long-term term
    folder: Path = score_runs.FOLDER
    device: str = "auto"
    weights: str | None = "default"  # of the network of the losses


LAPTOP = Scale()


@lru_cache(maxsize=2)
def clip(seed: int, scale: Scale = LAPTOP) -> camera.Clip:
    """The clip of a case: a flower crosses the picture from left to right, ten times as fast as the camera pans."""
    photo, path, _ = CASES[seed]
    width = scale.size[1]
    flower = sample_image("dahlia", 256)
    speed = 0.7 * width / scale.length
    sprite = camera.Sprite(flower, camera.ellipse(flower), 0.5, camera.Path(at=(0.45, 0.55), pan=(speed, 0.0)))
    return camera.clip(photo, path, [sprite], length=scale.length, size=scale.size, seed=seed)


def painting(name: str, seed: int) -> Tensor:
    """What a run should look like: the case's painting, or the one that the two networks have learned."""
    return sample_image("great_wave" if name in NETWORKS else CASES[seed][2], 256)


def config_of(name: str, seed: int, scale: Scale = LAPTOP) -> video_optimization.Config:
    """One thing at a time: without the term, with it everywhere, masked, and with a long memory."""
    config = replace(
        video_optimization.Config.fast(), num_steps=scale.steps, first_steps=scale.first_steps, device=scale.device,
        past=scale.past if name == LONG else (1,), weights=scale.weights, scales=None,
    )  # fmt: skip
    return replace(config, temporal_weight=0.0) if name == ALONE else config


def everywhere(motion: Motion) -> Motion:
    """The same flow with a mask that hides nothing."""
    return Motion(motion.flow, torch.ones_like(motion.visible))


def paint(name: str, seed: int, scale: Scale = LAPTOP) -> Tensor:
    """The painted clip, (T, 3, H, W)."""
    made = clip(seed, scale)
    if name == PAINTER:
        return johnson.stylize(made.frames, johnson.load("great_wave"), device=scale.device).image
    if name == STABLE:
        return stable_painter.stylize(made.frames, stable_painter.load("great_wave_stable"), device=scale.device).image
    known = (lambda t, s: everywhere(made.motion(t, s))) if name == EVERYWHERE else made.motion
    config = config_of(name, seed, scale)
    return video_optimization.stylize(made.frames, painting(name, seed), config, motion=known).image


def score(painted: Tensor, style: Tensor, made: camera.Clip, scale: Scale = LAPTOP) -> dict[str, float]:
    """Change along the true motion, style, sharpness, and both questions about what was hidden."""
    return {
        "change": temporal.temporal_error(painted, made.motion),
        "style": mean(sum(metrics.gram_distance(frame, style).values()) for frame in painted.split(1)),
        "sharpness": temporal.sharpness(painted),
        "content where hidden": hidden_content(painted, made, scale),
        "return": returned(painted, made),
    }


def hidden_content(painted: Tensor, made: camera.Clip, scale: Scale = LAPTOP) -> float:
    """Mean squared difference of relu2_2 features to the photographed frame, over the mean square of the latter's.

    Both only where a pixel was hidden in the frame before.
    """
    network = VGGFeatures("vgg19", ["relu2_2"], weights=scale.weights)
    above = below = 0.0
    for t in range(1, len(made)):
        hidden = 1 - made.motion(t, t - 1).visible  # (1, 1, H, W)
        with torch.no_grad():
            ours, theirs = (network(frame)["relu2_2"].double() for frame in (painted[t : t + 1], made.frame(t)))
        share = torch.nn.functional.adaptive_avg_pool2d(hidden.double(), ours.shape[-2:])
        above += float(((ours - theirs).square() * share).sum())
        below += float((theirs.square() * share).sum())
    return above / below


def returned(painted: Tensor, made: camera.Clip) -> float:
    """Mean squared difference to the latest earlier frame that showed a pixel, where the frame before did not."""
    squares = count = 0.0
    for t in range(2, len(made)):
        waiting = 1 - made.motion(t, t - 1).visible
        for s in range(t - 2, -1, -1):
            known = made.motion(t, s)
            part = waiting * known.visible
            old = warp(painted[s : s + 1], known.flow)
            squares += float(((painted[t : t + 1] - old).square().mean(1, keepdim=True) * part).sum())
            count += float(part.sum())
            waiting = waiting * (1 - known.visible)
    return squares / count if count else math.nan


def file_of(name: str, seed: int, scale: Scale = LAPTOP) -> Path:
    return score_runs.file_of(scale.folder, "video", name, seed)


def make(name: str, seed: int, scale: Scale = LAPTOP) -> None:
    """One run: paint the clip, score it, and save the result."""
    began, used = time.perf_counter(), time.process_time()
    painted = paint(name, seed, scale)
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    result = score(painted, painting(name, seed), clip(seed, scale), scale)
    kept = {t: painted[t : t + 1] for t in WATCHED if t < len(painted)}
    score_runs.keep(
        file_of(name, seed, scale), result | {"seconds": seconds, "CPU seconds a frame": cpu / len(painted)}, kept
    )
    print(
        f"{name}, clip {seed}: change {result['change']:.5f}, style {result['style']:.3g} in {seconds:.0f} s",
        flush=True,
    )


def traces(paintings: Sequence[str], weights: str | None = "default") -> list[float]:
    """The trace of each painting's Gram matrices, over the layers: each divided by the paintings' mean, then added."""
    network = VGGFeatures("vgg16", LAYERS, pooling="max", weights=weights)
    rows = []
    for name in paintings:
        with torch.no_grad():
            features = network(sample_image(name, 256))
        rows.append(
            [float(gram_matrix(features[layer], mean=True).diagonal(dim1=-2, dim2=-1).sum()) for layer in LAYERS]
        )
    means = [mean(column) for column in zip(*rows, strict=True)]
    return [sum(value / typical for value, typical in zip(row, means, strict=True)) for row in rows]


def gains(seed: int, scale: Scale = LAPTOP) -> list[float]:
    """How much noise each painter makes of the noise of a camera, in the clip's first frame."""
    frame = clip(seed, scale).frame(0)
    models = [johnson.load(name) for name in PAINTERS]

    def painter(model: johnson.Model) -> Callable[[Tensor], Tensor]:
        return lambda picture: johnson.stylize(picture, model, precision="float32").image

    return [temporal.noise_gain(painter(model), frame) for model in models]


def store(run: records.Record, seeds: range, scale: Scale = LAPTOP) -> None:
    """Fill the record that chapter 20 shows with the results of all runs."""
    results = score_runs.finished(lambda name, seed: file_of(name, seed, scale), RUNS, seeds)
    measures = ("change", "style", "sharpness", "content where hidden", "return", "CPU seconds a frame")
    run.values |= score_runs.columns(results, measures)
    clips = [clip(seed, scale) for seed in seeds]
    run.values["photographed"] = {
        "change": [temporal.temporal_error(made.frames, made.motion) for made in clips],
        "sharpness": [temporal.sharpness(made.frames) for made in clips],
    }
    trace = traces(PAINTERS, scale.weights)
    gain = [gains(seed, scale) for seed in seeds]
    run.values["trace"] = dict(zip(PAINTERS, trace, strict=True))
    run.values["gain"] = {name: [row[k] for row in gain] for k, name in enumerate(PAINTERS)}
    run.values["τ of trace and gain"] = [kendall_tau(trace, row) for row in gain]
    run.minutes = score_runs.minutes(results)
    for seed in seeds[:2]:
        for t in WATCHED:
            if t < scale.length:
                run.images[f"clip {seed} · {t}"] = clip(seed, scale).frame(t)
                run.images |= {
                    f"{name} · {seed} · {t}": score_runs.picture(file_of(name, seed, scale), t) for name in results
                }
    score_runs.claim(run, score_runs.decided(RECORD), numbers(run.values))


def numbers(values: Mapping[str, Any]) -> dict[str, list[float]]:
    """What rules can ask of a record, one number for each clip."""
    scores = ("change", "style", "sharpness", "content where hidden", "return")
    found = {f"{measure}, {name}": series for measure in scores for name, series in values[measure].items()}
    return found | {"τ of trace and gain": values["τ of trace and gain"]}


def settings() -> dict[str, Any]:
    """What the record says: the configuration with the masked term, and the cases."""
    return asdict(config_of(MASKED, 0)) | {"clips": [" · ".join(case) for case in CASES], "length": LAPTOP.length}


BENCHMARK = score_runs.Benchmark("video_scores", RECORD, RUNS, file_of, make, store, settings)

if __name__ == "__main__":
    sys.exit(score_runs.main(BENCHMARK, __doc__, seeds=len(CASES)))
