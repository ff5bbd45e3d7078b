"""Isola et al. 2017, Tables 1 to 3 and Figure 5, at a small scale: losses, patch sizes and skip connections.

    python -m benchmarks.translation_scores FOLDER                 # a folder with facades256/train and facades256/test
    python -m benchmarks.translation_scores FOLDER --share 1/2     # every second run; another process does the rest
    python -m benchmarks.translation_scores FOLDER --record        # all runs that are missing, then the record

Every run trains pix2pix on 400 pairs of labels and photographs and is scored on 100 others: a segmenter, trained on
445 further photographs, predicts the labels of the generated pictures, and the score is the fraction of pixels that it
gets right. Results of single runs are kept in ``_build/scores``, so that the benchmark can be stopped at any time.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Subset

from course_lib import load_image, save_image
from course_lib.atomic import atomic_write
from course_lib.data.facades import CLASSES, class_map
from course_lib.data.pairs import PairedImages
from course_lib.evaluation.metrics import luma
from course_lib.evaluation.segmenter import Segmenter, find_classes, pixel_accuracy, train_segmenter
from course_lib.methods import pix2pix
from course_lib.teaching import records, registry

SCORES = Path(__file__).resolve().parents[1] / "_build" / "scores"
TRAINED = 400
WATCHED = {"house": 24, "avenue": 16}  # of the test pairs
PATCHES = (1, 16, 34, 70)
L1, CGAN = {"gan_weight": 0.0}, {"l1_weight": 0.0}


@dataclass(frozen=True)
class Scale:
    """Size and length of the runs, and the folder for the results of single runs."""

    size: int = 64
    load_size: int = 72
    epochs: int = 25
    patch: int = 16  # a quarter of the side, as in the paper: 70 of 256
    width: float = 0.25
    scorer_steps: int = 400
    tested: int = 100
    folder: Path = SCORES
    device: str = "auto"


LAPTOP = Scale()


def runs_of(scale: Scale) -> dict[str, dict[str, Any]]:
    """The rows of the paper's tables → the settings that they change."""
    return {
        "L1": L1,
        "GAN": {"l1_weight": 0.0, "conditional": False},
        "cGAN": CGAN,
        "L1+GAN": {"conditional": False},
        "L1+cGAN": {},
        **{f"{patch} px": {"patch": patch} for patch in PATCHES if patch != scale.patch},
        "no skips, L1": L1 | {"skips": False},
        "no skips, L1+cGAN": {"skips": False},
        "to labels, L1": L1,
        "to labels, L1+cGAN": {},
    }


def config_of(name: str, seed: int, scale: Scale = LAPTOP) -> pix2pix.Config:
    """The paper's weights and rate; by default a quarter of its width and side and an eighth of its epochs."""
    config = replace(
        pix2pix.Config.fast(),
        num_epochs=scale.epochs,
        image_size=scale.size,
        load_size=scale.load_size,
        width=scale.width,
        mirror=True,
        patch=scale.patch,
        seed=seed,
        device=scale.device,
    )
    return replace(config, **runs_of(scale)[name])


def data(folder: Path, split: str, size: int, which: range, reverse: bool = False) -> Subset[Tensor]:
    pairs = PairedImages(folder / "facades256", split, size=size, label_maps=True, reverse=reverse)
    return Subset(pairs, which)


def test_pairs(folder: Path, scale: Scale) -> tuple[Tensor, Tensor]:
    """Label maps and photographs, (100, 3, size, size) each."""
    pairs = data(folder, "test", scale.size, range(scale.tested))
    labels, photos = torch.stack([pairs[k] for k in range(scale.tested)]).unbind(1)
    return labels, photos


def scorer(folder: Path, scale: Scale) -> Segmenter:
    """The segmenter; it is trained once and then read from its checkpoint."""
    others = data(folder, "train", scale.size, range(TRAINED, 845))
    return train_segmenter(others, num_steps=scale.scorer_steps, checkpoint=scale.folder / "segmenter.checkpoint")


def sharpness(images: Tensor) -> float:
    """Mean difference of neighboring pixels of the luma."""
    y = luma(images)
    return float((y.diff(dim=-1).abs().mean() + y.diff(dim=-2).abs().mean()) / 2)


def score(made: Tensor, labels: Tensor, network: Segmenter | None) -> dict[str, Any]:
    """Accuracy per pixel, overall and for each class, and sharpness; without a segmenter, `made` holds label maps."""
    predicted = class_map(made) if network is None else find_classes(made, network)
    truth = class_map(labels)
    each = {name: float((predicted == k)[truth == k].float().mean()) for k, name in enumerate(CLASSES) if k > 0}
    return {"accuracy": pixel_accuracy(predicted, labels), "classes": each, "sharpness": sharpness(made)}


def file_of(name: str, seed: int, scale: Scale) -> Path:
    return scale.folder / f"{name.replace(' ', '_').replace(',', '')}_{seed}.json"


def read(name: str, seed: int, scale: Scale) -> dict[str, Any]:
    """The result of one run."""
    result: dict[str, Any] = json.loads(file_of(name, seed, scale).read_bytes())
    return result


def make(name: str, seed: int, folder: Path, scale: Scale = LAPTOP) -> None:
    """One run: train, translate the test pairs, score them, and save the result."""
    reverse = name.startswith("to labels")
    labels, photos = test_pairs(folder, scale)
    pairs = data(folder, "train", scale.load_size, range(TRAINED), reverse)
    file = file_of(name, seed, scale)
    checkpoint = file.with_suffix(".checkpoint")
    model = pix2pix.train(pairs, config_of(name, seed, scale), checkpoint=checkpoint)
    made = pix2pix.translate(photos if reverse else labels, model).image
    result = score(made, labels, None if reverse else scorer(folder, scale))
    ends = {term: mean(values[-100:]) for term, values in model.facts["history"].items() if term != "seconds"}
    result |= {"seconds": model.facts["seconds"], "steps": model.facts["steps"], "stopped": model.stopped, "ends": ends}
    for scene, k in WATCHED.items():
        save_image(made[k : k + 1], file.with_suffix(f".{scene}.png"))
    with atomic_write(file) as stream:
        stream.write(json.dumps(result).encode())
    checkpoint.unlink(missing_ok=True)
    print(f"{name}, seed {seed}: {result['accuracy']:.3f} in {result['seconds']:.0f} s", flush=True)


def store(run: records.Record, folder: Path, seeds: range, scale: Scale = LAPTOP) -> None:
    """Fill the record that chapter 9 shows with the results of all runs."""
    names = runs_of(scale)
    results = {name: [read(name, seed, scale) for seed in seeds] for name in names}
    labels, photos = test_pairs(folder, scale)
    run.values |= {
        "truth": score(photos, labels, scorer(folder, scale)),
        "accuracy": {name: [one["accuracy"] for one in runs] for name, runs in results.items()},
        "classes": {
            name: {c: mean(one["classes"][c] for one in runs) for c in runs[0]["classes"]}
            for name, runs in results.items()
        },
        "sharpness": {name: [one["sharpness"] for one in runs] for name, runs in results.items()},
    }
    run.minutes = sum(one["seconds"] for runs in results.values() for one in runs) / 60
    for name in names:
        for scene in WATCHED:
            run.images[f"{name} · {scene}"] = load_image(file_of(name, 0, scale).with_suffix(f".{scene}.png"))
    claim(run, run.values["accuracy"], scale)


def claim(run: records.Record, accuracy: dict[str, list[float]], scale: Scale) -> None:
    """Store our numbers for the claims of the paper's tables, one per seed."""
    others = [accuracy[f"{patch} px"] for patch in PATCHES if patch != scale.patch]
    named = accuracy | {"a quarter of the side": accuracy["L1+cGAN"]}  # the default's patch
    named["best other patch"] = [max(column) for column in zip(*others, strict=True)]
    for name in ("pix2pix.loss", "pix2pix.patch", "pix2pix.skips", "pix2pix.labels", "wang.condition"):
        run.claim(name, {key: named[key] for key in registry.Expression(registry.find(name).holds).names})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="holds facades256/train and facades256/test")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--share", default="1/1", help="K/N: only every N-th run, from the K-th on")
    parser.add_argument("--record", action="store_true", help="store the result for chapter 9")
    options = parser.parse_args()
    LAPTOP.folder.mkdir(parents=True, exist_ok=True)
    first, step = (int(part) for part in options.share.split("/"))
    runs = [(name, seed) for seed in range(options.seeds) for name in runs_of(LAPTOP)]
    for name, seed in runs[first - 1 :: step]:
        if not file_of(name, seed, LAPTOP).exists():
            make(name, seed, options.folder)
    if options.record:
        command = "python -m benchmarks.translation_scores FOLDER --record"
        settings = asdict(config_of("L1+cGAN", 0)) | {"trained": TRAINED, "tested": LAPTOP.tested}
        with records.run("09_scores", profile="laptop", seed=0, config=settings, command=command) as run:
            store(run, options.folder, range(options.seeds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
