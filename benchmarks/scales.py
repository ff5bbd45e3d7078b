"""From coarse to fine against one size, in equal seconds.

    python -m benchmarks.scales --into _build/scales             # two and a half hours on one core, resumable
    python -m benchmarks.scales --into _build/scales --record    # store what the folder holds for chapter 4

Three ways to paint the same pair from noise: `Config.fast()`, from coarse to fine with balanced layers; the same at one
size; and at one size with equal weights, as the paper's text has it. The first way sets the time; the others are looked
at after a quarter, half, three quarters and all of it.

Scores: the loss of the balanced objective at the full size (content and style together), the Gram distance at each
layer, and speckle (`course_lib.evaluation.structure.speckle`) over the painting's.

The claim, stated before the run: *in the time that coarse to fine takes, one size reaches neither its loss nor its mean
Gram distance at relu4_1 and relu5_1, and has more speckle.* One pair for which one of the three is false refutes it.
"""

from __future__ import annotations

import argparse
import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from benchmarks.measure import clock
from course_lib import load_image, metrics, sample_image, save_image
from course_lib.atomic import atomic_write
from course_lib.evaluation.structure import speckle
from course_lib.images import resize
from course_lib.methods import gatys
from course_lib.runtime import Progress
from course_lib.teaching import records

PAIRS = (
    ("eilean_donan", "great_wave", 512),
    ("neuschwanstein", "cafe_terrace", 512),
    ("schwerin_palace", "composition_viii", 512),
    ("chenonceau", "church_at_auvers", 512),
    ("neuschwanstein", "cafe_terrace", 1024),
    ("schwerin_palace", "composition_viii", 1024),
)
STEPS = 60  # at the final size
LOOKS = (0.25, 0.5, 0.75, 1.0)
COARSE = "coarse to fine"
ONE_SIZE = {"one size": {"scales": None}, "one size, equal": {"scales": None, "style_layer_weights": "equal"}}


class OutOfTime(Exception):
    """The seconds of a run are over; it holds the pictures."""


def within(seconds: float, content: Tensor, style: Tensor, config: gatys.Config) -> list[Tensor]:
    """The pictures of a run after the shares `LOOKS` of these seconds."""
    pictures: list[Tensor] = []
    began = clock(content.device)

    def watch(progress: Progress) -> None:
        while len(pictures) < len(LOOKS) and clock(content.device) - began >= LOOKS[len(pictures)] * seconds:
            pictures.append(progress.image())
        if len(pictures) == len(LOOKS):
            raise OutOfTime

    with suppress(OutOfTime):
        gatys.stylize(content, style, replace(config, num_steps=100_000), callback=watch)
    return pictures


def scores(image: Tensor, content: Tensor, style: Tensor) -> dict[str, float]:
    loss = sum(value for value, _ in gatys.dissect(image, content, style, gatys.Config(precision="float32")).values())
    painting = resize(style, max(content.shape[-2:]))
    gram = metrics.gram_distance(image, painting)
    deep = (gram["relu4_1"] + gram["relu5_1"]) / 2
    return {"loss": loss, "deep": deep, "speckle": speckle(image) / speckle(painting), **gram}


def compare(content_name: str, style_name: str, size: int, into: Path) -> None:
    """Run the three ways on one pair; write their last pictures and, at the end, the scores."""
    content, style = sample_image(content_name, size), sample_image(style_name)
    config = replace(gatys.Config.fast(), num_steps=STEPS)
    pair = key(content_name, style_name, size)
    began = clock(content.device)
    result = gatys.stylize(content, style, config)
    seconds = clock(content.device) - began
    found: dict[str, Any] = {"seconds": seconds, COARSE: scores(result.image, content, style)}
    save_image(result.image, into / f"{pair}, {COARSE}.png")
    for name, change in ONE_SIZE.items():
        pictures = within(seconds, content, style, replace(config, **change))
        found[name] = [scores(image, content, style) for image in pictures]
        save_image(pictures[-1], into / f"{pair}, {name}.png")
    with atomic_write(into / f"{pair}.json") as stream:
        stream.write(json.dumps(found).encode())
    print(f"{pair}: {seconds:.0f} s", flush=True)
    for name in (COARSE, *ONE_SIZE):
        last = found[name] if name == COARSE else found[name][-1]
        print(f"{name:>16}", *(f"{score} {value:.3f}" for score, value in last.items()), flush=True)


def key(*pair: str | int) -> str:
    return ", ".join(map(str, pair))


def record(into: Path) -> None:
    """Store the finished pairs, with the pictures of the first of each size."""
    finished = [pair for pair in PAIRS if (into / f"{key(*pair)}.json").exists()]
    first = {size: pair for *pair, size in reversed(finished)}
    settings = {"steps": STEPS, "pairs": finished, "looks": LOOKS}
    command = f"python -m benchmarks.scales --into {into} --record"
    with records.run("04_scales", profile="laptop", seed=0, config=settings, command=command) as run:
        for *names, size in finished:
            pair = key(*names, size)
            found = run.values[pair] = json.loads((into / f"{pair}.json").read_text(encoding="utf-8"))
            run.minutes += 3 * found["seconds"] / 60
            if names == first[size]:
                for name in (COARSE, *ONE_SIZE):
                    run.images[f"{pair}, {name}"] = load_image(into / f"{pair}, {name}.png")
            sample_image(names[0], size), sample_image(names[1])  # noted among the inputs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, required=True, help="a folder for pictures and scores; runs resume there")
    parser.add_argument("--pairs", type=int, nargs="+", default=list(range(len(PAIRS))), help="numbers of the pairs")
    parser.add_argument("--record", action="store_true", help="only store what the folder holds for chapter 4")
    options = parser.parse_args()
    if options.record:
        record(options.into)
        return
    options.into.mkdir(parents=True, exist_ok=True)
    for pair in (PAIRS[k] for k in options.pairs):
        if not (options.into / f"{key(*pair)}.json").exists():
            compare(*pair, options.into)


if __name__ == "__main__":
    main()
