"""Kim et al. 2020 at a small scale: what the classifiers and the mixture of two normalizations are worth.

    python -m benchmarks.attention_scores                    # all runs that are missing
    python -m benchmarks.attention_scores --share 1/2        # every second run; another process does the rest
    python -m benchmarks.attention_scores --record           # all runs that are missing, then the record

A run learns to turn plastered walls into brick ones, without pairs; nothing else of a street changes. Both versions of
the streets of the scores are known, and so are the pixels that change. One run has a task of shape in place of texture:
the streets of B are plastered, too, and lower. Results of single runs are kept in ``_build/scores``.
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
from course_lib.methods import ugatit
from course_lib.networks.adalin import AdaLIN, rhos
from course_lib.teaching import records
from scripts.attention_model import MATERIALS, changed, correlations, streets
from scripts.unpaired_model import color_transfer, error

FULL, SHAPE = "U-GAT-IT", "shape"
LOWER = 0.7  # of their height is left of the streets of B, in the task of shape
WATCHED = (0, 3)  # of the test streets
RUNS: dict[str, dict[str, Any]] = {  # → what differs
    FULL: {},
    "no classifiers": {"cam_weight": 0.0},
    "instance": {"norm": "instance"},
    "layer": {"norm": "layer"},
    SHAPE: {},
}
MEASURES = ("error", "error on walls", "correlation", "correlation, untrained", "rho", "rho of each layer")


@dataclass(frozen=True)
class Scale:
    """Size and length of the runs, and the folder for the results of single runs."""

    size: int = 32
    steps: int = 180
    trained: int = 300  # streets of each domain
    tested: int = 24
    width: float = 0.125
    folder: Path = score_runs.FOLDER
    device: str = "auto"


LAPTOP = Scale()
RECORD = "19_scores"


def config_of(name: str, seed: int, scale: Scale = LAPTOP) -> ugatit.Config:
    """Small light networks with one residual block on each side."""
    config = replace(
        ugatit.Config.quick(), image_size=scale.size, num_steps=scale.steps, width=scale.width, seed=seed,
        device=scale.device,
    )  # fmt: skip
    return replace(config, **RUNS[name])


def lowered(pictures: Tensor, left: float = LOWER) -> Tensor:
    """Pictures squeezed to a part of their height; the lower border stays, the upper row fills what is free.

    Args:
        pictures: (N, 3, H, W) in [0, 1].
        left: of the height, above 0.

    >>> ramp = torch.linspace(1, 0, 10).view(1, 1, 10, 1).expand(1, 3, 10, 4)
    >>> [round(value, 2) for value in lowered(ramp, 0.5)[0, 0, :, 0].tolist()[::3]]
    [1.0, 1.0, 0.72, 0.06]
    """
    theta = pictures.new_tensor([[1.0, 0.0, 0.0], [0.0, 1 / left, 1 - 1 / left]])  # y = 1 is the lower border
    grid = F.affine_grid(theta.expand(len(pictures), 2, 3), list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False).clamp(0, 1)


@lru_cache(maxsize=2)
def data(shape: bool, scale: Scale = LAPTOP) -> dict[str, Tensor]:
    """Pictures (N, 3, S, S): "A" and "B" to learn from, "given" and "truth" to score; of the task of shape or not."""
    plaster, brick = MATERIALS
    count = scale.trained
    b = plaster if shape else brick
    sets = {
        "A": streets(plaster, range(count), scale.size),
        "B": streets(b, range(count, 2 * count), scale.size),
        "given": streets(plaster, range(scale.tested), scale.size, seed=1),
        "truth": streets(b, range(scale.tested), scale.size, seed=1),
    }
    return sets | ({name: lowered(sets[name]) for name in ("B", "truth")} if shape else {})


def blocks_rho(network: torch.nn.Module) -> float:
    """The mean ρ of the residual blocks of both generators: layers whose γ and β come from the attention."""
    kept = [module.rho.mean().item() for module in network.modules() if type(module) is AdaLIN]
    return mean(kept)


def score(model: ugatit.Model, shape: bool, scale: Scale = LAPTOP) -> dict[str, Any]:
    """Errors against the truth, where the generator looks, before training as well, and every ρ."""
    sets = data(shape, scale)
    given, truth = sets["given"], sets["truth"]
    made, walls = ugatit.translate(given, model, precision="float32").image, changed(given, truth)
    untrained = ugatit.Model(ugatit.build(model.config), model.config, {})
    heats = [ugatit.attention(given, each, precision="float32") for each in (model, untrained)]
    trained, before = (mean(correlations(heat, walls)) for heat in heats)
    return {
        "error": error(made, truth),
        "error on walls": float(((made - truth).abs() * walls).sum() / (3 * walls.sum())),
        "correlation": trained,
        "correlation, untrained": before,
        "rho": blocks_rho(model.network),
        "rho of each layer": {name: rho.mean().item() for name, rho in rhos(model.network["AB"]).items()},
    }


def file_of(name: str, seed: int, scale: Scale = LAPTOP) -> Path:
    return score_runs.file_of(scale.folder, "attention", name, seed)


def make(name: str, seed: int, scale: Scale = LAPTOP) -> None:
    """One run: train, score, and save the result."""
    file, shape = file_of(name, seed, scale), name == SHAPE
    sets = data(shape, scale)
    checkpoint = score_runs.checkpoint_of(file)
    model = ugatit.train(sets["A"], sets["B"], config_of(name, seed, scale), checkpoint=checkpoint)
    if model.stopped:
        raise SystemExit(f"{name}, seed {seed}: {model.stopped}")
    result = score(model, shape, scale) | {"seconds": model.facts["seconds"], "steps": model.facts["steps"]}
    score_runs.keep(file, result, {k: row(model, sets, k) for k in WATCHED})
    print(f"{name}, seed {seed}: {result['error']:.3f} in {result['seconds']:.0f} s", flush=True)


def row(model: ugatit.Model, sets: dict[str, Tensor], k: int) -> Tensor:
    """A street, its translation, the truth, where the generator looks, and what changes, side by side."""
    given, truth = (sets[name][k : k + 1] for name in ("given", "truth"))
    made, heat = ugatit.translate(given, model).image, ugatit.attention(given, model)
    maps = [each.expand(-1, 3, -1, -1) for each in (heat, changed(given, truth))]
    return torch.cat([given, made, truth, *maps], -1)


def store(run: records.Record, seeds: range, scale: Scale = LAPTOP) -> None:
    """Fill the record that chapter 19 shows with the results of all runs."""
    results = score_runs.finished(lambda name, seed: file_of(name, seed, scale), RUNS, seeds)
    run.values |= score_runs.columns(results, MEASURES)
    run.values["baselines"] = {}
    for task, shape in (("texture", False), (SHAPE, True)):
        sets = data(shape, scale)
        moved = color_transfer(sets["given"], sets["B"])
        run.values["baselines"][task] = {
            "as it is": error(sets["given"], sets["truth"]), "color transfer": error(moved, sets["truth"])
        }  # fmt: skip
    run.minutes = score_runs.minutes(results)
    for k in WATCHED:
        run.images |= {f"{name} · {k}": score_runs.picture(file_of(name, 0, scale), k) for name in results}
    score_runs.claim(run, score_runs.decided(RECORD), numbers(run.values))


def numbers(values: dict[str, Any]) -> dict[str, list[float]]:
    """What rules can ask of a record, one number for each seed."""
    found = {f"error, {name}": series for name, series in values["error"].items()}
    rho = values["rho"]
    found |= {task: rho[name] for name, task in ((FULL, "rho, texture"), (SHAPE, "rho, shape")) if name in rho}
    found["correlation, trained"] = values["correlation"][FULL]
    return found | {"correlation, untrained": values["correlation, untrained"][FULL]}


def settings() -> dict[str, Any]:
    """What the record says of the configuration."""
    return asdict(config_of(FULL, 0)) | {"trained": LAPTOP.trained, "tested": LAPTOP.tested, "lower": LOWER}


BENCHMARK = score_runs.Benchmark("attention_scores", RECORD, [*RUNS], file_of, make, store, settings)

if __name__ == "__main__":
    sys.exit(score_runs.main(BENCHMARK, __doc__))
