"""What the benchmarks of scores share: single runs, whose results are kept, so that a benchmark can be stopped.

A benchmark trains the same thing several times, with something left out, and with several seeds. Each run leaves a file
in ``_build/scores``; runs whose file is there are not made again. When all are there, they fill one record.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from course_lib import load_image, save_image
from course_lib.atomic import atomic_write
from course_lib.teaching import records, registry

FOLDER = Path(__file__).resolve().parents[1] / "_build" / "scores"
Results = Mapping[str, Sequence[Mapping[str, Any]]]  # name of the run → one result for each seed


@dataclass(frozen=True)
class Benchmark:
    """A benchmark of scores, with what its module does for a single run and for the record."""

    module: str  # in this folder: "style_scores"
    record: str  # its stored run: "17_scores"
    runs: Sequence[str]
    file_of: Callable[[str, int], Path]  # of a run and a seed
    make: Callable[[str, int], None]  # makes that file
    store: Callable[[records.Record, range], None]  # fills the record, from the runs of these seeds
    settings: Callable[[], Mapping[str, Any]]  # what the record says of the configuration


def file_of(folder: Path, group: str, name: str, seed: int) -> Path:
    """Where the result of one run lies.

    >>> file_of(Path("scores"), "unpaired", "GAN, forward cycle", 2).name
    'unpaired_GAN_forward_cycle_2.json'
    """
    return folder / f"{group}_{name.replace(' ', '_').replace(',', '')}_{seed}.json"


def checkpoint_of(file: Path) -> Path:
    """The checkpoint of the run that will make `file`."""
    return file.with_suffix(".checkpoint")


def read(file: Path) -> dict[str, Any]:
    """The result of one run."""
    result: dict[str, Any] = json.loads(file.read_bytes())
    return result


def keep(file: Path, result: Mapping[str, Any], pictures: Mapping[Any, Tensor]) -> None:
    """Save the pictures (1, 3, H, W) of a run by name, then its result; its checkpoint is no longer needed."""
    for name, picture in pictures.items():
        save_image(picture, file.with_suffix(f".{name}.png"))
    with atomic_write(file) as stream:
        stream.write(json.dumps(result).encode())
    checkpoint_of(file).unlink(missing_ok=True)


def picture(file: Path, name: object) -> Tensor:
    """A picture that `keep` saved, (1, 3, H, W)."""
    return load_image(file.with_suffix(f".{name}.png"))


def columns(results: Results, measures: Iterable[str]) -> dict[str, dict[str, list[Any]]]:
    """By measure and run: the number of each seed. Runs without a measure are left out of it."""
    return {
        measure: {name: [one[measure] for one in runs] for name, runs in results.items() if measure in runs[0]}
        for measure in measures
    }


def minutes(results: Results) -> float:
    """How long all runs took together."""
    return sum(one["seconds"] for runs in results.values() for one in runs) / 60


def finished(file_of: Callable[[str, int], Path], runs: Iterable[str], seeds: Iterable[int]) -> Results:
    """The results of those runs that have been made with every seed."""
    files = {name: [file_of(name, seed) for seed in seeds] for name in runs}
    return {name: [*map(read, found)] for name, found in files.items() if all(file.exists() for file in found)}


def decided(record: str) -> list[str]:
    """The claims that a stored run decides, by the list of claims."""
    return [claim.id for claim in registry.load().values() if claim.record == record]


def claim(run: records.Record, names: Iterable[str], numbers: Mapping[str, Sequence[float]]) -> None:
    """Store, for each claim, those of our numbers that its rule needs, one per seed."""
    for name in names:
        run.claim(name, {key: numbers[key] for key in registry.Expression(registry.find(name).holds).names})


def main(benchmark: Benchmark, about: str | None, seeds: int = 3) -> int:
    """The command line of a benchmark: make what is missing, then, if asked, the record."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--share", default="1/1", help="K/N: only every N-th run, from the K-th on")
    parser.add_argument("--only", nargs="+", choices=benchmark.runs, metavar="RUN", help="no others")
    parser.add_argument(
        "--record", action="store_true", help=f"store the result for chapter {int(benchmark.record[:2])}"
    )
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    first, step = (int(part) for part in options.share.split("/"))
    runs = [(name, seed) for seed in range(options.seeds) for name in options.only or benchmark.runs]
    for name, seed in runs[first - 1 :: step]:
        if not benchmark.file_of(name, seed).exists():
            benchmark.make(name, seed)
    if options.record:
        command = f"python -m benchmarks.{benchmark.module} --record"
        settings = benchmark.settings()
        with records.run(benchmark.record, profile="laptop", seed=0, config=settings, command=command) as run:
            benchmark.store(run, range(options.seeds))
    return 0
