"""Which balance of the style layers paints best: pictures and numbers for the eye to choose from.

    python -m benchmarks.balance --into _build/balance --shard 0/2 &    # a quarter of an hour each on one core
    python -m benchmarks.balance --into _build/balance --shard 1/2
    python -m benchmarks.balance --into _build/balance --table          # or --record, for chapter 4

The published VGG-19 has a mean activation of one under max pooling; under average pooling the activations shrink with
the depth, and a style term with their fourth power. The study compares four balances, each at several style weights:

- *equal*: the paper's text, w_l = 1/5;
- *square root*: w_l ∝ 1/a_l², with a_l the layer's mean activation over photographs;
- *per layer*: w_l ∝ 1/a_l⁴, which undoes the shrinking of the layers exactly;
- *per filter*: equal weights on a network whose filters are rescaled to a mean activation of one under average pooling.

Every run is one picture at --size px from noise or from the photograph, looked at after several numbers of steps.
Scores of a picture: the relative Gram distance of each layer on the published network, SSIM to the photograph at 64 px,
and its speckle and the size of its structures over those of the painting (`course_lib.evaluation.structure`).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from course_lib import VGGFeatures, load_image, metrics, runtime, sample_image, save_image
from course_lib.atomic import atomic_write
from course_lib.evaluation.structure import speckle, structure_size
from course_lib.images import resize
from course_lib.losses import balance
from course_lib.losses.perceptual import PerceptualLoss
from course_lib.losses.style import SIZE_INDEPENDENT
from course_lib.methods import gatys
from course_lib.optimize.image import optimize_image
from course_lib.optimize.objective import Objective
from course_lib.pretrained.vgg import CONTENT_LAYER, STYLE_LAYERS
from course_lib.teaching import records

PAIRS = (
    ("eilean_donan", "great_wave"),
    ("neuschwanstein", "cafe_terrace"),
    ("schwerin_palace", "composition_viii"),
    ("bison", "church_at_auvers"),
    ("scarlet_macaw", "poppies"),
    ("astronaut", "summertime"),
)
POWERS = {"equal": 0, "square root": 2, "per layer": 4, "per filter": 0}
WEIGHTS = {
    "equal": (100.0, 300.0),
    "square root": (100.0, 150.0, 300.0),  # 150 was added after a look at the others
    "per layer": (100.0, 300.0),
    "per filter": (10.0, 30.0),
}
MARKS = (50, 100)
SHOWN = 2  # pairs whose pictures are stored


@dataclass(frozen=True)
class Case:
    content: str
    style: str
    start: str
    balance: str
    weight: float

    @property
    def key(self) -> str:
        return f"{self.content}, {self.style}, {self.start}, {self.balance}, {self.weight:g}"


def cases(options: argparse.Namespace) -> Iterator[Case]:
    for content, style in PAIRS[: options.pairs]:
        for start in options.starts:
            for name in options.balances:
                for weight in WEIGHTS[name]:
                    yield Case(content, style, start, name, weight)


@lru_cache(maxsize=4)
def network(balance: str, precision: torch.dtype) -> VGGFeatures:
    """The published network, or for "per filter" one whose filters have a mean activation of one."""
    net = VGGFeatures(precision=torch.float32)
    if balance == "per filter":
        convs = list(net.convs.values())
        scale = torch.ones(3)
        with torch.no_grad():
            means = filter_means(net)
            for conv, mean in zip(convs, means, strict=True):
                conv.weight.mul_(scale[:, None, None])
                scale = mean.clamp_min(1e-3 * mean.mean())
                conv.weight.div_(scale[:, None, None, None])
                conv.bias.div_(scale)
    return net.to(precision)


def filter_means(net: VGGFeatures) -> list[Tensor]:
    """The mean rectified activation of every filter over the photographs and their positions, for each convolution."""
    names = [name.replace("conv", "relu") for name in net.convs]
    every = VGGFeatures(net.arch, names, pooling=net.pooling)
    rows = [
        [f.mean((0, 2, 3)) for f in every(sample_image(name, balance.PHOTO_SIZE)).values()] for name in balance.PHOTOS
    ]
    return [torch.stack(column).mean(0) for column in zip(*rows, strict=True)]


def objective(content: Tensor, style: Tensor, case: Case, precision: torch.dtype) -> Objective:
    shares = [mean ** -POWERS[case.balance] for mean in balance.mean_activations(STYLE_LAYERS)]
    loss = PerceptualLoss(
        network(case.balance, precision),
        content=SIZE_INDEPENDENT.join(1.0, [CONTENT_LAYER]),
        style=SIZE_INDEPENDENT.join(case.weight, STYLE_LAYERS, shares),
    )
    loss.set_content(content)
    loss.set_style([resize(style, max(content.shape[-2:]))], None)
    return Objective([loss])


def scores(image: Tensor, content: Tensor, style: Tensor) -> dict[str, float]:
    style = resize(style, max(content.shape[-2:]))
    return {
        **metrics.gram_distance(image, style),
        "SSIM": metrics.ssim(resize(image, 64), resize(content, 64)),
        "speckle": speckle(image) / speckle(style),
    }


def paint(case: Case, options: argparse.Namespace, file: Path) -> None:
    """Run one case; write its pictures and, at the end, its scores."""
    began, device = time.perf_counter(), runtime.pick_device("cpu")
    content, style = sample_image(case.content, options.size), sample_image(case.style, options.size)
    config = replace(gatys.Config.fast(), start=case.start, num_steps=options.marks[-1], device="cpu")
    found: dict[str, dict[str, float]] = {}

    def look(progress: runtime.Progress) -> None:
        if progress.step in options.marks:
            image = progress.image()
            save_image(image, file.with_suffix(f".{progress.step}.png"))
            found[str(progress.step)] = scores(image, content, style)

    optimize_image(
        gatys.optimizer(gatys.first_image(content, style, config), config),
        objective(content, style, case, runtime.pick_precision("auto", device)),
        num_steps=config.num_steps,
        callback=look,
    )
    with atomic_write(file) as stream:
        stream.write(json.dumps({"seconds": time.perf_counter() - began, "scores": found}).encode())


def stored(case: Case, options: argparse.Namespace) -> tuple[float, dict[str, dict[str, float]]]:
    """Seconds and scores of a finished case; the structure size is read from its pictures."""
    file = options.into / f"{case.key}.json"
    kept = json.loads(file.read_text(encoding="utf-8"))
    style = structure_size(resize(sample_image(case.style), options.size))
    for mark, row in kept["scores"].items():
        row["structure"] = structure_size(load_image(file.with_suffix(f".{mark}.png"))) / style
    return kept["seconds"], kept["scores"]


def record(options: argparse.Namespace) -> None:
    """Store what the folder holds for chapter 4: all scores, and the last pictures of the first pairs."""
    settings = {"size": options.size, "steps": options.marks, "weights": WEIGHTS, "photographs": list(balance.PHOTOS)}
    command = f"python -m benchmarks.balance --into {options.into} --record"
    with records.run("04_balance", profile="laptop", seed=0, config=settings, command=command) as run:
        run.values["mean activations"] = dict(zip(STYLE_LAYERS, balance.mean_activations(STYLE_LAYERS), strict=True))
        run.values["scores"] = {}
        for case in cases(options):
            seconds, run.values["scores"][case.key] = stored(case, options)
            run.minutes += seconds / 60
            if (case.content, case.style) in PAIRS[:SHOWN]:
                run.images[case.key] = load_image(options.into / f"{case.key}.{options.marks[-1]}.png")
        for name in {name for pair in PAIRS for name in pair}:
            sample_image(name, options.size)  # noted among the inputs


def table(options: argparse.Namespace) -> None:
    """For each balance, weight and start: the mean scores over the pairs, after the last steps."""
    rows: dict[tuple[str, str, float], list[dict[str, float]]] = {}
    for case in cases(options):
        file = options.into / f"{case.key}.json"
        if file.exists():
            found = stored(case, options)[1][str(options.marks[-1])]
            rows.setdefault((case.start, case.balance, case.weight), []).append(found)
    for (start, name, weight), found in rows.items():
        means = {key: sum(row[key] for row in found) / len(found) for key in found[0]}
        print(f"{start:>8} {name:>12} {weight:6g} {len(found)}", *(f"{key} {x:.3f}" for key, x in means.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, required=True, help="a folder for pictures and scores; runs resume there")
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--pairs", type=int, default=len(PAIRS))
    parser.add_argument("--starts", nargs="+", default=["noise", "content"])
    parser.add_argument("--balances", nargs="+", default=list(POWERS))
    parser.add_argument("--marks", type=int, nargs="+", default=list(MARKS))
    parser.add_argument("--shard", default="0/1", help="i/n: only every n-th case from the i-th, for several processes")
    parser.add_argument("--table", action="store_true", help="only print the mean scores")
    parser.add_argument("--record", action="store_true", help="only store what the folder holds for chapter 4")
    options = parser.parse_args()
    if options.record or options.table:
        (record if options.record else table)(options)
        return
    shard, shards = map(int, options.shard.split("/"))
    options.into.mkdir(parents=True, exist_ok=True)
    for case in list(cases(options))[shard::shards]:
        file = options.into / f"{case.key}.json"
        if not file.exists():
            began = time.perf_counter()
            paint(case, options, file)
            print(f"{time.perf_counter() - began:6.1f} s {case.key}", flush=True)


if __name__ == "__main__":
    main()
