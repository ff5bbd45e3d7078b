"""The panel *Your camera, live* of the page that paints: frames per second, and how much its painters flicker.

    make html && python -m benchmarks.try_camera           # opens the built book in Chromium; two minutes
    python -m benchmarks.try_camera --record               # stores the result for the page itself

The camera is a film of one photograph under fresh noise, so that all change in a painting is flicker. The numbers are
those that the panel shows: medians of its last frames.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.try_it import HTML, opened
from book.try_it import export
from course_lib import resize, sample_image
from course_lib.teaching import records

SIZES = ("128", "192", "256")
PANEL, PHOTO = "#studio-camera", "eilean_donan"
WIDTH, HEIGHT, FILM, RATE = 640, 480, 32, 20  # of the film: pixels, frames, frames a second
FLAGS = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
STATE = f"() => ({{...document.querySelector('{PANEL}').dataset}})"


def film(path: Path, sigma: float) -> None:
    """The photograph in gray, as a film in Y4M; `sigma` is the noise's standard deviation in levels of 255."""
    photo = resize(sample_image(PHOTO, HEIGHT, side="short"), (HEIGHT, WIDTH)).clamp(0, 1)
    still = 16 + 219 * photo[0].mean(0)  # (H, W), in the range of a video
    generator = np.random.default_rng(0)
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{RATE}:1 Ip A1:1 C420jpeg\n".encode())
        for _ in range(FILM):
            noisy = still.numpy() + generator.normal(0, sigma * 219 / 255, still.shape)
            file.write(b"FRAME\n" + noisy.clip(0, 255).round().astype(np.uint8).tobytes())
            file.write(bytes([128]) * (WIDTH * HEIGHT // 2))


def measured(page: Any, size: str, both: bool, frames: int) -> dict[str, str]:
    """What the panel says after `frames` more frames at this size."""
    page.locator(f"{PANEL} input[name=size][value='{size}']").check(force=True)
    if export.stable():
        page.locator(f"{PANEL} input[name=beside][value={'stable' if both else 'none'}]").check(force=True)
    before = int(page.evaluate(STATE).get("frames", 0))
    page.click(f"{PANEL} [data-is=pause]" if before else f"{PANEL} [data-do=go]")
    page.wait_for_function(
        f"(least) => Number(document.querySelector('{PANEL}').dataset.frames) >= least", arg=before + frames + 1
    )
    found: dict[str, str] = page.evaluate(STATE)
    page.click(f"{PANEL} [data-is=pause]")
    return found


def run(html: Path, frames: int, sigma: float) -> dict[str, Any]:
    values: dict[str, Any] = {"fps": {}, "flicker": {}}
    values |= {"load": os.getloadavg()[0], "cores": os.cpu_count()}  # what else the machine was doing
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.y4m"
        film(path, sigma)
        with opened(html, *FLAGS, f"--use-file-for-fake-video-capture={path}") as (page, browser):
            page.wait_for_selector(f"{PANEL}.live")
            for size in SIZES:
                for name, both in (("one", False), ("both", True))[: 1 + len(export.stable())]:
                    found = measured(page, size, both, frames)
                    values["fps"].setdefault(size, {})[name] = float(found["fps"])
                    values["flicker"][size] = json.loads(found["flicker"])
            values |= {"browser": browser, "runs": found["runs"], "runtime": export.locked_version()}
    return values


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=6, help="frames of each size; the panel uses the last 20 at most")
    parser.add_argument("--sigma", type=float, default=4.0, help="standard deviation of the film's noise, in levels")
    parser.add_argument("--html", type=Path, default=HTML, help="the built book")
    parser.add_argument("--record", action="store_true", help="store the result for the page")
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings = {"frames": options.frames, "sigma": options.sigma}
    if not options.record:
        for name, value in run(options.html, **settings).items():
            print(f"{name}: {value}")
        return 0
    command = "python -m benchmarks.try_camera --record"
    config = settings | {"photo": PHOTO, "pixels of the film": [WIDTH, HEIGHT]}
    with records.run("try_camera", profile="laptop", seed=0, config=config, command=command) as record:
        record.values |= run(options.html, **settings)
    for name, value in record.values.items():
        print(f"{name}: {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
