"""Our L-BFGS compared with `torch.optim.LBFGS` at equal numbers of evaluations, on many pairs, starts and seeds.

    python -m benchmarks.optimizer                           # hours on a CPU, a few minutes on a fast GPU
    python -m benchmarks.optimizer --pairs 3 --sizes 128     # a part of the table

The plain loop is `torch.optim.LBFGS` with its defaults (step length 1, 100 pairs, no line search) on a float32 network
with autograd. Both start from the same picture. After 50, 100 and 200 evaluations, and 400 for the first two pairs,
the pictures are scored by the same objective in float64 exactly as they are: not clamped, not rounded.

The claim, stated before the measurement: *at equal numbers of evaluations our picture is never clearly worse than the
plain loop's and almost always better.* It is refuted, for a configuration, if one of its pictures scores more than
1.005 times the plain loop's, or if fewer than 90 % of them score less than the plain loop's.

Where a processor has fast bfloat16, both configurations use it; in float32 they tell what rounding costs. Runs are
taken in the order of their value; `--minutes` ends the script after the run in progress, and `--out` keeps the scores,
so that a second call continues where the first one ended. `--record` stores the scores in `--out` for chapter 5.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from math import inf, isfinite
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks.engine import exact_loss, score
from benchmarks.participants import Plain
from course_lib import VGGFeatures, runtime, sample_image
from course_lib.atomic import atomic_write
from course_lib.losses.perceptual import PerceptualLoss
from course_lib.methods import gatys
from course_lib.optimize.image import stepper
from course_lib.pretrained.vgg import CONTENT_LAYER, STYLE_LAYERS
from course_lib.teaching import records

PAIRS = (
    ("bison", "cafe_terrace"),  # a dark animal, a night sky
    ("eilean_donan", "great_wave"),
    ("cat", "night_cafe"),
    ("dog", "church_at_auvers"),
    ("scarlet_macaw", "composition_viii"),
    ("neuschwanstein", "summertime"),
    ("astronaut", "librarian"),
    ("panda", "road_to_tarascon"),
    ("dahlia", "poppies"),
    ("chenonceau", "harvest"),
    ("mont_saint_michel", "ejiri"),
    ("coffee", "pere_tanguy"),
)
LARGE, LONG = 4, 2  # pairs also run at 256 px; pairs run for 400 evaluations
MARKS, LONG_MARKS = (50, 100, 200), (50, 100, 200, 400)
LIMIT, SHARE = 1.005, 0.9
Optimizer = Callable[[Tensor, gatys.Config], Any]
VARIANTS: dict[str, tuple[gatys.Config, Optimizer]] = {
    "Config()": (gatys.Config(), gatys.optimizer),
    "Config.fast()": (gatys.Config.fast(), gatys.optimizer),
    "Config.fast(), 60 pairs": (replace(gatys.Config.fast(), history_size=60), gatys.optimizer),
    "Config(), float32": (gatys.Config(precision="float32"), gatys.optimizer),
    "Config.fast(), float32": (replace(gatys.Config.fast(), precision="float32"), gatys.optimizer),
}


@dataclass(frozen=True)
class Case:
    content: str
    style: str
    size: int
    start: str
    seed: int
    marks: tuple[int, ...]

    @property
    def key(self) -> str:
        return f"{self.content} {self.style} {self.size} {self.start} {self.seed}"

    def pictures(self, device: torch.device) -> tuple[Tensor, Tensor]:
        return tuple(sample_image(name, self.size).to(device) for name in (self.content, self.style))


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """All cases, the most valuable first: every pair from two starts, then the large pictures, then the other seeds."""
    for seeds in ((0,), (1, 2)):
        for size in options.sizes:
            for index, (content, style) in enumerate(
                PAIRS[: options.pairs if size < 256 else min(options.pairs, LARGE)]
            ):
                marks = tuple(n for n in (LONG_MARKS if index < LONG else MARKS) if n <= options.steps)
                for seed in seeds:
                    yield Case(content, style, size, "noise", seed, marks)
                if seeds[0] == 0:
                    yield Case(content, style, size, "content", 0, marks)


@lru_cache(maxsize=1)
def exact_network(device: torch.device) -> VGGFeatures:
    return VGGFeatures(layers=(*STYLE_LAYERS, CONTENT_LAYER), precision=torch.float64).to(device)


@lru_cache(maxsize=2)
def scorer(case: Case, device: torch.device) -> PerceptualLoss:
    return exact_loss(*case.pictures(device), exact_network(device))


def start_of(case: Case, device: torch.device) -> Tensor:
    config = gatys.Config(start=case.start, seed=case.seed, device="cpu")
    return gatys.first_image(*case.pictures(torch.device("cpu")), config).to(device)


def plain(case: Case, device: torch.device) -> list[float]:
    """The scores of the plain loop at the case's marks."""
    runner, found = Plain(*case.pictures(device), start_of(case, device), gatys.Config()), []
    count = 0

    def watch(x: Tensor) -> None:  # before evaluation count + 1
        nonlocal count
        if count in case.marks:
            value = score(x.detach(), scorer(case, device))
            found.append(value if isfinite(value) else inf)  # it has diverged: any picture scores less
        count += 1

    runner.watch = watch
    while count <= case.marks[-1]:
        before = count
        runner.run()
        if count - before < 2:
            break  # torch considers it finished
    return found + found[-1:] * (len(case.marks) - len(found))


def ours(case: Case, device: torch.device, config: gatys.Config, make: Optimizer) -> list[float]:
    """The scores of a variant at the case's marks."""
    x, found = start_of(case, device), []
    config = replace(config, start=case.start, seed=case.seed, device=str(device))
    goal = objective(case, device, config.precision)
    step = stepper(make(x, config), goal, torch.zeros_like(x))
    for count in range(1, case.marks[-1] + 1):
        step()
        if count in case.marks:
            found.append(score(x, scorer(case, device)))
    return found


@lru_cache(maxsize=3)
def objective(case: Case, device: torch.device, precision: str) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    config = gatys.Config(precision=precision, device=str(device))
    return gatys.objective(*case.pictures(device), config).with_gradient


def table(results: dict[str, dict[str, list[float]]], plans: list[Case], names: list[str]) -> None:
    """For each variant: how its scores compare with the plain loop's."""
    print(
        f"\n{'':>26} {'worst':>7} {'median':>7} {'lower':>6} {'n':>4} | noise: "
        + "worst at 50, 100, 200, 400; medians | photo: the same"
    )
    for name in names:
        ratios: dict[tuple[str, int], list[float]] = {}
        worst: tuple[float, str] = (0.0, "")
        for case in plans:
            row = results.get(case.key, {})
            if name not in row or "plain" not in row:
                continue
            for mark, a, b in zip(case.marks, row[name], row["plain"], strict=False):
                ratios.setdefault((case.start, mark), []).append(a / b)
                worst = max(worst, (a / b, f"{case.key} {mark}"))
        every = [r for values in ratios.values() for r in values]
        if not every:
            continue
        lower = sum(ratio < 1 for ratio in every) / len(every)
        line = f"{name:>26} {max(every):7.3f} {median(every):7.3f} {lower:6.1%} {len(every):4d} |"
        for start in ("noise", "content"):
            for f in (max, median):
                line += "".join(f" {f(ratios[start, n]):.3f}" for n in LONG_MARKS if (start, n) in ratios) + " ;"
            line += " |"
        verdict = max(every) <= LIMIT and lower >= SHARE
        print(line, "holds" if verdict else "refuted", worst[1], flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", help="names, separated by semicolons (default: all)")
    parser.add_argument("--pairs", type=int, default=len(PAIRS))
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256])
    parser.add_argument("--starts", nargs="+", default=["noise", "content"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=400, help="no more evaluations than this")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--shard", default="0/1", help="i/n: only every n-th case from the i-th, for several processes")
    parser.add_argument("--record", action="store_true", help="store what --out holds for chapter 5; run nothing")
    parser.add_argument("--merge", type=Path, nargs="+", default=(), help="only print the table of these files")
    options = parser.parse_args()
    began = time.perf_counter()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    device = runtime.pick_device(options.device)
    names = [name.strip() for name in options.variants.split(";")] if options.variants else list(VARIANTS)
    results = json.loads(options.out.read_text()) if options.out and options.out.exists() else {}
    plans = [c for c in cases(options) if c.start in options.starts and c.seed in options.seeds]
    if options.merge:
        for path in options.merge:
            for key, row in json.loads(path.read_text()).items():
                results.setdefault(key, {}).update(row)
        table(results, plans, names)
        return
    if options.record:
        if not any(case.key in results for case in plans):
            parser.error(f"--record stores the scores in --out, but {options.out} holds none of this part of the table")
        sizes, seeds = (" ".join(map(str, numbers)) for numbers in (options.sizes, options.seeds))
        part = f"--sizes {sizes} --seeds {seeds} --steps {options.steps}"
        command = f"python -m benchmarks.optimizer {part} --out FILE, and again with --record"
        settings = {"sizes": options.sizes, "limit": LIMIT, "share": SHARE}
        with records.run("05_optimizer", profile="laptop", seed=0, config=settings, command=command) as run:
            found = {case: dict(results[case.key]) for case in plans if case.key in results}
            run.minutes = sum(sum(row.pop("seconds", {}).values()) for row in found.values()) / 60
            run.values = {case.key: {"marks": case.marks, **row} for case, row in found.items()}
        return
    shard, shards = map(int, options.shard.split("/"))
    plans = plans[shard::shards]
    out_of_time = False
    for case in plans:
        row = results.setdefault(case.key, {})
        for name in ["plain", *names]:
            if len(row.get(name, [])) >= len(case.marks):
                continue
            if time.perf_counter() - began > 60 * options.minutes:
                out_of_time = True
                break
            start = time.process_time()  # of one thread, or of a thread that waits for a GPU
            if name == "plain":
                row[name] = plain(case, device)
            else:
                config, make = VARIANTS[name]
                row[name] = ours(case, device, config, make)
            spent = time.process_time() - start
            row.setdefault("seconds", {})[name] = spent
            line = " ".join(f"{a:.4f} ({a / b:.3f})" for a, b in zip(row[name], row["plain"], strict=False))
            print(f"{case.key:>42} {name:>26} {spent:6.1f} s {line}", flush=True)
            if options.out:
                options.out.parent.mkdir(parents=True, exist_ok=True)
                with atomic_write(options.out) as stream:  # hours of scores: a full disk must not lose them
                    stream.write(json.dumps(results, indent=1).encode())
        if out_of_time:
            break
    table(results, plans, names)


if __name__ == "__main__":
    main()
