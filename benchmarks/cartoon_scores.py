"""Chen et al. 2019 at a small scale: what each part of AnimeGAN's recipe is for.

    python -m benchmarks.cartoon_scores                    # all runs that are missing
    python -m benchmarks.cartoon_scores --share 1/2        # every second run; another process does the rest
    python -m benchmarks.cartoon_scores --record           # all runs that are missing, then the record

Every run learns to draw cartoons from photographs and from cartoons that a filter made of others; it leaves one part
out. Of the photographs of the scores the filter's cartoon is known. Each part has a measure of what it is there for.
Results of single runs are kept in ``_build/scores``.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from statistics import mean
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import score_runs
from course_lib import sample_image
from course_lib.colors import luminance
from course_lib.data.cartoon import canny, xdog
from course_lib.losses.cartoon import content_l1, to_yuv
from course_lib.methods import animegan
from course_lib.pretrained.vgg import VGGFeatures
from course_lib.teaching import records
from scripts.cartoon_model import LINE, UNSEEN, agreement, domains, drawn
from scripts.unpaired_model import error

FULL = "all terms"
WATCHED = (0, 1)  # of the unseen photographs
RUNS: dict[str, dict[str, Any]] = {  # → what differs
    FULL: {},
    "no style": {"style_weight": 0.0},
    "no color": {"color_weight": 0.0},
    "no blurred edges": {"edge_weight": 0.0},
    "no first phase": {"init_epochs": 0},
}
MEASURES = ("colors", "lines", "edges", "content", "error", "agreement")


@dataclass(frozen=True)
class Scale:
    """Size and length of the runs, and the folder for the results of single runs."""

    side: int = 256  # px, longer side of a photograph
    tile: int = 64
    trained: int = 60  # tiles of each domain
    epochs: int = 4  # the first one is the phase of content alone
    batch: int = 2
    tested: int = len(UNSEEN)
    width: float = 0.25
    weights: str | None = "default"  # of the loss network
    folder: Path = score_runs.FOLDER
    device: str = "auto"


LAPTOP = Scale()
RECORD = "19_cartoon"


def config_of(name: str, seed: int, scale: Scale = LAPTOP) -> animegan.Config:
    """A quarter of version 2's channels and one block."""
    config = replace(
        animegan.Config.quick(), image_size=scale.tile, load_size=None, mirror=False, num_epochs=scale.epochs,
        init_epochs=1, batch_size=scale.batch, width=scale.width, weights=scale.weights, seed=seed,
        device=scale.device,
    )  # fmt: skip
    return replace(config, **RUNS[name])


@lru_cache(maxsize=1)
def data(scale: Scale = LAPTOP) -> tuple[Tensor, Tensor]:
    """Tiles of photographs and tiles of the cartoons of others, (60, 3, 64, 64) each, evenly from all of them."""
    kept = [each[:: max(1, len(each) // scale.trained)][: scale.trained] for each in domains(scale.side, scale.tile)]
    return kept[0], kept[1]


@lru_cache(maxsize=1)
def pairs(scale: Scale = LAPTOP) -> list[tuple[Tensor, Tensor]]:
    """Photographs that no training sees, and the filter's cartoons of them, (1, 3, H, W) each."""
    photos = [sample_image(name, scale.side) for name in UNSEEN[: scale.tested]]
    return [(photo, drawn(photo)) for photo in photos]


@lru_cache(maxsize=1)
def loss_network(scale: Scale = LAPTOP) -> VGGFeatures:
    """The network whose features say what a picture shows."""
    return VGGFeatures("vgg19", [animegan.LAYER], pooling="max", weights=scale.weights)


def ink(picture: Tensor) -> float:
    """The share of a picture (1, 3, H, W) that its dark lines take, as `data.cartoon.xdog` finds them."""
    return float(1 - xdog(picture, sigma=LINE).mean())


def slope(picture: Tensor, where: Tensor) -> float:
    """Mean difference of brightness between neighbors, across and down, at the places `where`, (1, 1, H, W), bool."""
    y = luminance(picture)
    steps = F.pad(y.diff(dim=-1).abs(), (0, 1)) + F.pad(y.diff(dim=-2).abs(), (0, 0, 0, 1))
    return float(steps[where].mean())


def measured(made: Tensor, photo: Tensor, truth: Tensor, scale: Scale = LAPTOP) -> dict[str, float]:
    """What each part is there for; of all but the agreement, less is better.

    Args:
        made, photo, truth: (1, 3, H, W): a drawing, the photograph, and the filter's cartoon of it.
    """
    network = loss_network(scale)
    features = [network(picture)[animegan.LAYER] for picture in (made, photo)]
    where = F.max_pool2d(canny(truth).float(), 3, stride=1, padding=1) > 0
    return {
        "colors": error(to_yuv(made)[:, 1:], to_yuv(photo)[:, 1:]),
        "lines": abs(ink(made) - ink(truth)),
        "edges": abs(slope(made, where) - slope(truth, where)),
        "content": content_l1(*features).item(),
        "error": error(made, truth),
        "agreement": agreement(made, photo, truth),
    }


@torch.no_grad()
def score(drawings: list[Tensor], scale: Scale = LAPTOP) -> dict[str, float]:
    """`measured`, on average over the unseen photographs."""
    found = [measured(made, *pair, scale) for made, pair in zip(drawings, pairs(scale), strict=True)]
    return {name: mean(one[name] for one in found) for name in MEASURES}


def file_of(name: str, seed: int, scale: Scale = LAPTOP) -> Path:
    return score_runs.file_of(scale.folder, "cartoon", name, seed)


def make(name: str, seed: int, scale: Scale = LAPTOP) -> None:
    """One run: train, draw the unseen photographs, score the drawings, and save the result."""
    file = file_of(name, seed, scale)
    model = animegan.train(*data(scale), config_of(name, seed, scale), checkpoint=score_runs.checkpoint_of(file))
    if model.stopped:
        raise SystemExit(f"{name}, seed {seed}: {model.stopped}")
    drawings = [animegan.translate(photo, model).image for photo, _ in pairs(scale)]
    result = score(drawings, scale) | {"seconds": model.facts["seconds"], "steps": model.facts["steps"]}
    score_runs.keep(file, result, {k: drawings[k] for k in WATCHED})
    print(f"{name}, seed {seed}: {result['error']:.3f} in {result['seconds']:.0f} s", flush=True)


def store(run: records.Record, seeds: range, scale: Scale = LAPTOP) -> None:
    """Fill the record that chapter 19 shows with the results of all runs."""
    results = score_runs.finished(lambda name, seed: file_of(name, seed, scale), RUNS, seeds)
    known = pairs(scale)
    run.values |= score_runs.columns(results, MEASURES)
    run.values["photograph"] = score([photo for photo, _ in known], scale)
    run.values["filter"] = score([truth for _, truth in known], scale)
    run.minutes = score_runs.minutes(results)
    for k in WATCHED:
        run.images |= {f"{name} · {k}": score_runs.picture(file_of(name, 0, scale), k) for name in results}
        run.images |= {f"photograph · {k}": known[k][0], f"filter · {k}": known[k][1]}
    score_runs.claim(run, score_runs.decided(RECORD), numbers(run.values))


def numbers(values: dict[str, Any]) -> dict[str, list[float]]:
    """What rules can ask of a record, one number for each seed."""
    found = {f"{key}, {name}": series for key in MEASURES for name, series in values[key].items()}
    return found | {"error, photograph": [values["photograph"]["error"]] * len(values["error"][FULL])}


def settings() -> dict[str, Any]:
    """What the record says of the configuration."""
    return asdict(config_of(FULL, 0)) | {"trained": LAPTOP.trained, "tested": LAPTOP.tested, "side": LAPTOP.side}


BENCHMARK = score_runs.Benchmark("cartoon_scores", RECORD, [*RUNS], file_of, make, store, settings)

if __name__ == "__main__":
    sys.exit(score_runs.main(BENCHMARK, __doc__))
