"""Choi et al. 2018 at a small scale: one generator for three weathers, or a pair for every two; and its borders.

    python -m benchmarks.label_scores                    # all runs that are missing
    python -m benchmarks.label_scores --share 1/2        # every second run; another process does the rest
    python -m benchmarks.label_scores --record           # all runs that are missing, then the record

One StarGAN learns to translate between a clear day, an overcast one and dusk, and so do three CycleGANs, which share
its number of steps. The streets of the three sets differ. All are scored in all six directions on other streets, which
code draws in every weather. A second StarGAN has convolutions that reflect their borders. Results of single runs are
kept in ``_build/scores``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from itertools import combinations, permutations
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from benchmarks import score_runs
from course_lib.data.facades import weather_photos
from course_lib.methods import cyclegan, stargan
from course_lib.teaching import records
from scripts.unpaired_model import color_transfer, error

WEATHERS = ("clear", "overcast", "dusk")
DIRECTIONS = tuple(permutations(WEATHERS, 2))
WATCHED = (3, 7)  # of the test streets
ONE, REFLECTED, THREE = RUNS = ("StarGAN", "StarGAN, reflected", "three CycleGANs")
BORDERS = {ONE: "difference, zeros", REFLECTED: "difference, reflected"}  # in the rule
Made = dict[tuple[str, str], Tensor]  # from, to → translations of all test streets


@dataclass(frozen=True)
class Scale:
    """Size and length of the runs, and the folder for the results of single runs."""

    size: int = 32
    steps: int = 600  # of StarGAN; each CycleGAN has a third of them
    batch: int = 4
    trained: int = 200  # streets in each weather
    tested: int = 48
    width: float = 0.25
    blocks: int = 2
    learning_rate: float = 1e-3
    folder: Path = score_runs.FOLDER
    device: str = "auto"


LAPTOP = Scale()
RECORD = "18_scores"


def settings_of(seed: int, scale: Scale) -> dict[str, Any]:
    """What all networks share."""
    return {
        "image_size": scale.size, "load_size": None, "mirror": False, "batch_size": scale.batch, "width": scale.width,
        "num_blocks": scale.blocks, "learning_rate": scale.learning_rate, "seed": seed, "device": scale.device,
    }  # fmt: skip


def config_of(name: str, seed: int, scale: Scale = LAPTOP) -> stargan.Config:
    """StarGAN's, with one of the two borders."""
    padding = "reflect" if name == REFLECTED else "zeros"
    return replace(
        stargan.Config.quick(), num_steps=scale.steps, num_domains=len(WEATHERS), padding=padding,
        **settings_of(seed, scale),
    )  # fmt: skip


def pair_config(seed: int, scale: Scale = LAPTOP) -> cyclegan.Config:
    """That of one of three CycleGANs: its share of the steps. With the identity loss, as in the authors' program."""
    epochs = scale.steps * scale.batch // (3 * scale.trained)
    return replace(cyclegan.Config.quick(), num_epochs=epochs, **settings_of(seed, scale))


@lru_cache(maxsize=1)
def data(scale: Scale = LAPTOP) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """By weather, (N, 3, S, S): streets to learn from, different ones in each; and the same streets to score with."""
    count = scale.trained
    trained = {
        name: weather_photos(name, range(d * count, (d + 1) * count), size=scale.size)
        for d, name in enumerate(WEATHERS)
    }
    return trained, {name: weather_photos(name, range(scale.tested), size=scale.size, seed=1) for name in WEATHERS}


def translated(translate: Callable[[Tensor, str, str], Tensor], scale: Scale = LAPTOP) -> Made:
    """The test streets in all six directions; `translate` gets pictures, their weather and the one asked for."""
    streets = data(scale)[1]
    return {(a, b): translate(streets[a], a, b) for a, b in DIRECTIONS}


def score(made: Made, scale: Scale = LAPTOP) -> dict[str, Any]:
    """The error against the true streets, and how much the answer depends on the weather asked for."""
    streets = data(scale)[1]
    errors = {f"{a} to {b}": error(pictures, streets[b]) for (a, b), pictures in made.items()}
    asked = [[made[a, b] for b in WEATHERS if b != a] for a in WEATHERS]  # each street, sent to both others
    return {
        "error": mean(errors.values()),
        "error of each direction": errors,
        "difference": mean(error(*two) for two in asked),
    }


def file_of(name: str, seed: int, scale: Scale = LAPTOP) -> Path:
    return score_runs.file_of(scale.folder, "labels", name, seed)


def train(name: str, seed: int, scale: Scale) -> tuple[Made, float, list[int]]:
    """Train the one network or the three; returns the translations, the seconds, and the steps of each network."""
    sets, checkpoint = data(scale)[0], score_runs.checkpoint_of(file_of(name, seed, scale))
    pair_of = dict[frozenset[str], cyclegan.Model]()
    models: list[stargan.Model | cyclegan.Model] = []
    if name == THREE:
        for a, b in combinations(WEATHERS, 2):
            own = checkpoint.with_suffix(f".{a}_{b}.checkpoint")
            pair_of[frozenset((a, b))] = cyclegan.train(sets[a], sets[b], pair_config(seed, scale), checkpoint=own)
        models += pair_of.values()

        def translate(pictures: Tensor, given: str, to: str) -> Tensor:
            direction = "AB" if WEATHERS.index(given) < WEATHERS.index(to) else "BA"
            model = pair_of[frozenset((given, to))]
            return cyclegan.translate(pictures, model, direction=direction, precision="float32").image
    else:
        one = stargan.train(sets, config_of(name, seed, scale), checkpoint=checkpoint)
        models.append(one)

        def translate(pictures: Tensor, given: str, to: str) -> Tensor:
            return stargan.translate(pictures, one, to=to, precision="float32").image

    for model in models:
        if model.stopped:
            raise SystemExit(f"{name}, seed {seed}: {model.stopped}")
    facts = [model.facts for model in models]
    return translated(translate, scale), sum(one["seconds"] for one in facts), [one["steps"] for one in facts]


def make(name: str, seed: int, scale: Scale = LAPTOP) -> None:
    """One run: train, translate the test streets, score them, and save the result."""
    file = file_of(name, seed, scale)
    made, seconds, steps = train(name, seed, scale)
    result = score(made, scale) | {"seconds": seconds, "steps": steps}
    score_runs.keep(file, result, {k: row(made, k, scale) for k in WATCHED})
    for spare in file.parent.glob(f"{file.stem}.*.checkpoint"):
        spare.unlink()
    print(f"{name}, seed {seed}: {result['error']:.3f}, {result['difference']:.4f} in {seconds:.0f} s", flush=True)


def row(made: Made, k: int, scale: Scale) -> Tensor:
    """A clear street, and what was made of it for the other weathers, side by side, (1, 3, S, 3·S)."""
    given = data(scale)[1][WEATHERS[0]]
    return torch.cat([given[k : k + 1], *(made[WEATHERS[0], to][k : k + 1] for to in WEATHERS[1:])], -1)


def store(run: records.Record, seeds: range, scale: Scale = LAPTOP) -> None:
    """Fill the record that chapter 18 shows with the results of all runs."""
    results = score_runs.finished(lambda name, seed: file_of(name, seed, scale), RUNS, seeds)
    trained, streets = data(scale)
    moved = translated(lambda pictures, given, to: color_transfer(pictures, trained[to]), scale)
    untouched = translated(lambda pictures, given, to: pictures, scale)
    run.values |= {
        "as it is": score(untouched, scale), "color transfer": score(moved, scale),
        **score_runs.columns(results, ("error", "error of each direction", "difference", "steps")),
        "seconds": {name: mean(one["seconds"] for one in runs) for name, runs in results.items()},
    }  # fmt: skip
    run.minutes = score_runs.minutes(results)
    for k in WATCHED:
        run.images |= {f"{name} · {k}": score_runs.picture(file_of(name, 0, scale), k) for name in results}
        run.images[f"color transfer · {k}"] = row(moved, k, scale)
        run.images[f"truth · {k}"] = torch.cat([streets[name][k : k + 1] for name in WEATHERS], -1)
    score_runs.claim(run, score_runs.decided(RECORD), numbers(run.values))


def numbers(values: dict[str, Any]) -> dict[str, list[float]]:
    """What rules can ask of a record, one number for each seed."""
    found = {f"error, {name}": series for name, series in values["error"].items()}
    return found | {BORDERS[name]: series for name, series in values["difference"].items() if name in BORDERS}


def settings() -> dict[str, Any]:
    """What the record says: both configurations."""
    return asdict(config_of(ONE, 0)) | {"CycleGAN": asdict(pair_config(0)), "trained": LAPTOP.trained}


BENCHMARK = score_runs.Benchmark("label_scores", RECORD, RUNS, file_of, make, store, settings)

if __name__ == "__main__":
    sys.exit(score_runs.main(BENCHMARK, __doc__))
