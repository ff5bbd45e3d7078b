"""A folder of photos through a painter: the passes alone, one photo after another, and loading and saving beside them.

    python -m benchmarks.folder                    # 20 photos of half a megapixel, three rounds; minutes on one core
    python -m benchmarks.folder --save             # and adds the rows to the table
    python -m benchmarks.folder --count 100 --pixels 2000000
    python -m benchmarks.folder --peak             # GB of a process for a quarter of the photos, and for all of them

Seconds a photo, on the wall: what overlaps does not save work, it saves waiting. In each round, the three take turns.
The first row compares a plain loop over the photos with the command ``stylize``; the second one compares the passes
alone, on pictures that are in memory, with the command, so that its ratio says which share of the network's own rate a
folder has. Photos and results are JPEG files in a temporary folder. A machine that does something else at the same time
has no core left for the two threads, and the ratio falls.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch

from benchmarks import measure, results, steps
from course_lib import runtime, sample_image, sample_names
from course_lib.__main__ import main as run_command
from course_lib.images import load_image, resize, save_image
from course_lib.methods import johnson

PAINTER = "great_wave"
SHAPE = (2, 3)  # height to width


def make_photos(folder: Path, count: int, pixels: int) -> list[Path]:
    """Photos of the project, resized to about so many pixels, as JPEG files."""
    unit = (pixels / (SHAPE[0] * SHAPE[1])) ** 0.5
    size = (round(SHAPE[0] * unit), round(SHAPE[1] * unit))
    names = sample_names("content")
    files = [folder / f"{k:03}.jpg" for k in range(count)]
    for k, file in enumerate(files):
        save_image(resize(sample_image(names[k % len(names)]), size), file)
    return files


def compare(options: argparse.Namespace) -> list[results.Row]:
    """The two rows."""
    device = runtime.pick_device(options.device)
    model = johnson.load(options.model)
    with TemporaryDirectory() as place:
        root = Path(place)
        (root / "photos").mkdir()
        files = make_photos(root / "photos", options.count, options.pixels)
        pictures = [load_image(file) for file in files]
        (root / "plain").mkdir()

        def passes() -> None:
            for picture in pictures:
                johnson.stylize(picture, model, device=options.device)

        def one_by_one() -> None:
            for file in files:
                painted = johnson.stylize(load_image(file), model, device=options.device).image
                save_image(painted, root / "plain" / file.name)

        def command() -> None:
            _paint(root, options)

        seconds = _in_turns({"passes": passes, "one by one": one_by_one, "folder": command}, options.rounds)
    height, width = pictures[0].shape[-2:]
    what = f"{options.count} photos of {width} × {height} px{steps.threads(device)}, seconds a photo"
    each = {name: value / options.count for name, value in seconds.items()}
    return [
        results.Row("folder", f"{what}: beside a loop", each["one by one"], each["folder"]),
        results.Row("folder", f"{what}: beside the passes alone", each["passes"], each["folder"]),
    ]


def _paint(root: Path, options: argparse.Namespace) -> None:
    words = [str(root / "photos"), "-o", str(root / "ours"), "--model", options.model, "--device", options.device]
    if run_command(["stylize", *words, "--quiet"]) != 0:
        raise RuntimeError("the command failed; its message says why")


def _in_turns(ways: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """The median seconds of each way on the wall; each is called once before."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            if turn:
                times[name].append(time.perf_counter() - began)
    return {name: median(seconds) for name, seconds in times.items()}


def peak(count: int, options: argparse.Namespace) -> float:
    """Peak memory in GB of a process of its own that paints so many photos."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak_here, (count, options))


def _peak_here(count: int, options: argparse.Namespace) -> float:
    with TemporaryDirectory() as place:
        root = Path(place)
        (root / "photos").mkdir()
        make_photos(root / "photos", count, options.pixels)
        _paint(root, options)
    return measure.peak_memory(torch.device("cpu"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20, help="photos")
    parser.add_argument("--pixels", type=int, default=500_000, help="of each photo")
    parser.add_argument("--model", default=PAINTER)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--peak", action="store_true", help="measure the memory")
    parser.add_argument("--save", action="store_true", help="add the rows to the table of all machines")
    options = parser.parse_args()
    if options.peak:
        few = max(1, options.count // 4)
        for count in (few, options.count):
            print(f"{count} photos: {peak(count, options):.3f} GB")
        return 0
    rows = compare(options)
    results.report(rows)
    if options.save:
        results.save(rows, runtime.pick_device(options.device))
    return 0


if __name__ == "__main__":
    sys.exit(main())
