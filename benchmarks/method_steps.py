"""Training steps of StarGAN, U-GAT-IT and AnimeGAN, compared with plain implementations: time and peak memory.

    python -m benchmarks.method_steps stargan                       # a quarter of the papers' width, at 32 and 64 px
    python -m benchmarks.method_steps ugatit animegan --save        # and adds the rows to the table
    python -m benchmarks.method_steps stargan --record              # stores the result for chapter 18
    python -m benchmarks.method_steps ugatit animegan --record      # for chapter 19
    python -m benchmarks.method_steps ugatit --peak 64 --which plain    # peak memory of a few training steps, in GB

The plain steps are those of `benchmarks.tutorial_steps`. Ours are steps of a real training run. StarGAN's generator
learns in every fifth step only, so a number is the mean over five steps in a row; the ways take turns. Beside StarGAN
stands CycleGAN, of which three domains need three.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks import measure, results, steps, tutorial_steps
from course_lib import runtime
from course_lib.data.cartoon import PhotosAndCartoons
from course_lib.methods import animegan, cyclegan, stargan, ugatit
from course_lib.teaching import records

STRETCH = 5  # steps: StarGAN's generator learns in one of them
DOMAINS = 3
BESIDE = "three CycleGANs"
CLAIM = "stargan.cost"
Train = Callable[[Any, list[Tensor], runtime.Callback], object]


@dataclass(frozen=True)
class Method:
    """What the comparison needs to know of a method.

    Attributes:
        title: in the table.
        record: its stored run.
        sets: of pictures that it trains on.
        config: its configuration, from the options, the side of the pictures, and a number of steps.
        train: trains by a configuration on sets of pictures, (N, 3, S, S) each.
        plain: from a configuration, a device and the sets: what takes the plain step of a number.
    """

    title: str
    record: str
    sets: int
    config: Callable[[argparse.Namespace, int, int], Any]
    train: Train
    plain: Callable[[Any, torch.device, list[Tensor]], Callable[[int], object]]


def shared(options: argparse.Namespace, size: int) -> dict[str, Any]:
    """What all configurations have in common; pictures are used as they are."""
    return {
        "image_size": size, "load_size": None, "mirror": False, "width": options.width, "batch_size": options.batch,
        "device": options.device,
    }  # fmt: skip


def star_config(options: argparse.Namespace, size: int, count: int) -> stargan.Config:
    """The paper's; as many halvings of D as leave 2×2 patches, as there."""
    halvings = (size // 2).bit_length() - 1
    return replace(
        stargan.Config(), num_steps=count, num_domains=DOMAINS, layers_D=halvings, **shared(options, size)
    )  # fmt: skip


def cycle_config(options: argparse.Namespace, size: int, count: int) -> cyclegan.Config:
    """The paper's, with the six residual blocks of StarGAN; an epoch is one batch."""
    return replace(cyclegan.Config(), num_epochs=count, num_blocks=6, **shared(options, size))


def attention_config(options: argparse.Namespace, size: int, count: int) -> ugatit.Config:
    """The light version, with patches that fit into small pictures."""
    return replace(
        ugatit.Config.light_version(), num_steps=count, global_patch=70, local_patch=34, **shared(options, size)
    )


def cartoon_config(options: argparse.Namespace, size: int, count: int) -> animegan.Config:
    """Version 2 without its first phase; an epoch is one batch."""
    return replace(
        animegan.Config.v2(), num_epochs=count, init_epochs=0, weights=options.weights, **shared(options, size)
    )


def star_sets(sets: list[Tensor]) -> dict[str, Tensor]:
    return {f"domain {k}": each for k, each in enumerate(sets)}


def plain_star(config: stargan.Config, device: torch.device, sets: list[Tensor]) -> Callable[[int], object]:
    tutorial, count = tutorial_steps.StarGAN(config, device), config.batch_size
    labels = torch.arange(count) % DOMAINS
    pictures = torch.stack([sets[int(label)][k] for k, label in enumerate(labels)])
    pictures, labels = pictures.to(device), labels.to(device)
    return lambda k: tutorial.step(pictures, labels, k)


def plain_attention(config: ugatit.Config, device: torch.device, sets: list[Tensor]) -> Callable[[int], object]:
    tutorial, batch = tutorial_steps.UGATIT(config, device), torch.stack(sets, 1).to(device)
    return lambda k: tutorial.step(batch)


def plain_cartoon(config: animegan.Config, device: torch.device, sets: list[Tensor]) -> Callable[[int], object]:
    pictures = PhotosAndCartoons(*sets, size=config.image_size)
    batch = torch.stack([pictures.item(0, k) for k in range(config.batch_size)]).to(device)
    tutorial = tutorial_steps.AnimeGAN(config, device)
    return lambda k: tutorial.step(batch)


METHODS = {
    "stargan": Method(
        "StarGAN", "18_step", DOMAINS, star_config,
        lambda config, sets, callback: stargan.train(star_sets(sets), config, callback=callback), plain_star,
    ),
    "ugatit": Method(
        "U-GAT-IT, light", "19_step", 2, attention_config,
        lambda config, sets, callback: ugatit.train(*sets, config, callback=callback), plain_attention,
    ),
    "animegan": Method(
        "AnimeGANv2", "19_step", 2, cartoon_config,
        lambda config, sets, callback: animegan.train(*sets, config, callback=callback), plain_cartoon,
    ),
}  # fmt: skip


def pictures_of(options: argparse.Namespace, size: int, sets: int) -> list[Tensor]:
    """Random pictures, a batch in each set: what they show does not change the time of a step."""
    generator = torch.Generator().manual_seed(options.seed)
    return [torch.rand(options.batch, 3, size, size, generator=generator) for _ in range(sets)]


def timed(train: Train, config: Any, sets: list[Tensor], device: torch.device) -> float:
    """Seconds of a step of a real training run, the mean over five after the first."""
    stamps: list[float] = []

    def stamp(progress: runtime.Progress) -> None:
        if progress.step in (1, 1 + STRETCH):
            stamps.append(measure.clock(device))

    train(config, sets, stamp)
    return (stamps[1] - stamps[0]) / STRETCH


def compare(
    options: argparse.Namespace, name: str, size: int, best: dict[str, measure.Machine]
) -> tuple[dict[str, float], list[results.Row]]:
    """The seconds of all ways in turns, and a row for each precision that the machine is good at."""
    method, device = METHODS[name], runtime.pick_device(options.device)
    sets, config = pictures_of(options, size, method.sets), method.config(options, size, 1 + STRETCH)
    tutorial = method.plain(config, device, sets)
    operations = measure.operations(lambda: [tutorial(k) for k in range(STRETCH)]) // STRETCH
    found: dict[str, list[float]] = {}

    def note(way: str, seconds: float) -> None:
        found.setdefault(way, []).append(seconds)

    for _ in range(options.rounds):
        began = measure.clock(device)
        for k in range(STRETCH):
            tutorial(k)
        note("plain", (measure.clock(device) - began) / STRETCH)
        for precision in best:
            note(precision, timed(method.train, replace(config, precision=precision), sets, device))
        if name == "stargan":
            pair = replace(cycle_config(options, size, 1 + STRETCH), precision="float32")
            one = timed(lambda c, s, callback: cyclegan.train(*s[:2], c, callback=callback), pair, sets, device)
            note(BESIDE, DOMAINS * one)
    seconds = {way: median(values) for way, values in found.items()}
    what = f"{method.title}, training step, {options.batch} × {size} px{steps.threads(device)}"
    return seconds, steps.rows("method_steps", what, seconds, operations, best)


def peak(options: argparse.Namespace, name: str, size: int, which: str) -> float:
    """Take five training steps; return the peak memory of this process in GB, NaN if the system does not report it."""
    method, device = METHODS[name], runtime.pick_device(options.device)
    sets, config = pictures_of(options, size, method.sets), method.config(options, size, STRETCH)
    if which == "plain":
        tutorial = method.plain(config, device, sets)
        for k in range(STRETCH):
            tutorial(k)
    else:
        method.train(replace(config, precision=which), sets, lambda progress: None)
    return measure.peak_memory(device)


def peak_elsewhere(options: argparse.Namespace, name: str, size: int, which: str) -> float:
    """`peak` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.method_steps", name, "--peak", str(size), "--which", which]
    for option in ("batch", "width", "seed", "device"):
        command += [f"--{option}", str(getattr(options, option))]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(told.split()[0])


def race(options: argparse.Namespace) -> tuple[dict[str, Any], list[results.Row]]:
    """By method and size: seconds and ratios, and GB at the largest size; and the rows of the table."""
    found: dict[str, Any] = {}
    rows: list[results.Row] = []
    best = steps.machines(runtime.pick_device(options.device))
    for name in options.methods:
        of_method = found.setdefault(METHODS[name].title, {})
        for size in options.size:
            seconds, more = compare(options, name, size, best)
            ratios = {way: seconds["plain"] / seconds[way] for way in best}
            of_method[str(size)] = {"seconds": seconds, "times as fast": ratios}
            rows += more
            results.report(more)
        largest = max(options.size)
        memory = {way: peak_elsewhere(options, name, largest, way) for way in ("plain", *best)}
        of_method[str(largest)]["GB"] = memory
        told = ", ".join(f"{way} {value:.2f}" for way, value in memory.items())
        print(f"{METHODS[name].title}, {largest} px, GB: {told}", flush=True)
    return found | {"threads": torch.get_num_threads()}, rows


def claim(run: records.Record, sizes: list[int]) -> None:
    """Store what StarGAN's claim of its cost needs, one number for each size."""
    found = run.values[METHODS["stargan"].title]
    seconds = [found[str(size)]["seconds"] for size in sizes]
    run.claim(CLAIM, {"StarGAN": [one["float32"] for one in seconds], BESIDE: [one[BESIDE] for one in seconds]},
              over="sizes")  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="+", choices=[*METHODS])
    parser.add_argument("--size", type=int, nargs="+", default=[32, 64], help="sides of the pictures")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--width", type=float, default=0.25, help="factor on the papers' channels")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peak", type=int, metavar="SIZE", help="only take five steps, and print the peak memory")
    parser.add_argument("--which", choices=("plain", "float32", "bfloat16"), default="float32", help="with --peak")
    parser.add_argument("--save", action="store_true", help="add the rows to the table of all machines")
    parser.add_argument("--record", action="store_true", help="store the result for the methods' chapter")
    options = parser.parse_args()
    options.weights = "default"
    if options.peak:
        print(f"{peak(options, options.methods[0], options.peak, options.which):.3f} GB")
        return 0
    if options.record:
        (record,) = {METHODS[name].record for name in options.methods}
        names = ("methods", "size", "batch", "width", "rounds")
        command = " ".join(("python -m benchmarks.method_steps", *sys.argv[1:]))
        settings = {name: getattr(options, name) for name in names}
        with records.run(record, profile="laptop", seed=options.seed, config=settings, command=command) as run:
            found, rows = race(options)
            run.values |= found
            if "stargan" in options.methods:
                claim(run, options.size)
    else:
        _, rows = race(options)
    if options.save:
        results.save(rows, runtime.pick_device(options.device))
    return 0


if __name__ == "__main__":
    sys.exit(main())
