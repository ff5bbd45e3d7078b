"""What painting a video costs: CPU seconds a frame beside the bare painter, and the memory by the length of the clip.

    python -m benchmarks.video               # 48 frames of 720p, and 24 and 240 small ones; some minutes on one core
    python -m benchmarks.video --frames 6    # a first look
    python -m benchmarks.video --record      # stores the result for chapter 20

The clip is a window of 1280 × 720 px that moves over a photo, in H.264. Each run of the command is a process of its
own. *A frame* is the difference between a long run and one of two frames, divided by the number of frames, so that
starting does not count. The bare painter paints the first frames in memory, without the first of all. Both are CPU
seconds with one thread of PyTorch; those of the decoder and the encoder count, too. Memory is the peak of the whole
process, with the interpreter and PyTorch.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from course_lib import resize, sample_image
from course_lib.data.frames import FrameWriter, load_clip
from course_lib.methods import johnson
from course_lib.teaching import records

ROOT = Path(__file__).resolve().parents[1]
PAINTER, PHOTO = "great_wave", "eilean_donan"
SHAPE = (720, 1280)  # px, height and width
SMALL = (90, 160)  # of the clips whose memory is compared
LENGTHS = (24, 240)  # frames of these
SHORT = 2  # frames of a run that is almost nothing but starting
RUN = """
import json, sys
from benchmarks import measure
from course_lib.__main__ import main
import torch
code = main(sys.argv[1:])
print(json.dumps([code, measure.peak_memory(torch.device("cpu"))]))
"""


def write_clip(path: Path, count: int, shape: tuple[int, int]) -> None:
    """A window that moves over a photo, at 24 frames a second."""
    height, width = shape
    photo = resize(sample_image(PHOTO), (height + height // 4, width + width // 4))
    with FrameWriter(path, rate=24) as writer:
        for k in range(count):
            y, x = (round(part * (k % 48) / 48) for part in (height // 4, width // 4))
            writer.add(photo[:, :, y : y + height, x : x + width])


def command(clip: Path, out: Path, words: list[str]) -> tuple[float, float]:
    """CPU seconds and peak GB of ``video`` in a process of its own, with one thread of PyTorch."""
    before = os.times()
    asked = ["video", str(clip), "--model", PAINTER, "-o", str(out), "--device", "cpu", "--quiet", *words]
    done = subprocess.run(
        [sys.executable, "-c", RUN, *asked], cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    after = os.times()
    code, memory = json.loads(done.stdout.splitlines()[-1])
    if code:
        raise RuntimeError(f"the command ended with {code}")
    return after.children_user + after.children_system - before.children_user - before.children_system, memory


def bare(frames: Tensor, precision: str) -> float:
    """CPU seconds a frame of the painter alone."""
    torch.set_num_threads(1)
    model = johnson.load(PAINTER)
    began = 0.0
    for k, frame in enumerate(frames.split(1)):
        if k == 1:
            began = time.process_time()
        johnson.stylize(frame, model, device="cpu", precision=precision)
    return (time.process_time() - began) / (len(frames) - 1)


def measured(count: int, lengths: tuple[int, ...], folder: Path) -> dict[str, Any]:
    """Seconds a frame and peak memory.

    Args:
        count: frames of the clip of 720p.
        lengths: of the small clips.
        folder: for the clips.
    """
    clip = folder / "clip.mp4"
    write_clip(clip, count, SHAPE)
    values: dict[str, Any] = {"frames": count}
    for precision in ("float32", "bfloat16"):
        words = ["--precision", precision]
        short, _ = command(clip, folder / "short.mp4", [*words, "--stop", str(SHORT / 24)])
        long, memory = command(clip, folder / "long.mp4", words)
        values[precision] = {
            "seconds a frame": (long - short) / (count - SHORT),
            "bare": bare(load_clip(clip, stop=4 / 24), precision),
            "GB": memory,
        }
    for length in lengths:
        write_clip(folder / "small.mp4", length, SMALL)
        values.setdefault("GB by frames", {})[str(length)] = command(folder / "small.mp4", folder / "out.mp4", [])[1]
    return values


def lines(values: dict[str, Any]) -> str:
    """The result as text."""
    text = [
        f"720p, {precision}: {row['seconds a frame']:.2f} CPU seconds a frame, the painter alone {row['bare']:.2f}, "
        f"peak {row['GB']:.2f} GB"
        for precision, row in values.items()
        if precision in ("float32", "bfloat16")
    ]
    memory = ", ".join(f"{count} frames {gigabytes:.3f} GB" for count, gigabytes in values["GB by frames"].items())
    return "\n".join([*text, f"{SMALL[1]} × {SMALL[0]} px: {memory}"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=48, help="of the clip of 720p (default: 48)")
    parser.add_argument("--record", action="store_true", help="store the result for chapter 20")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if not options.record:
            print(lines(measured(options.frames, LENGTHS, Path(folder))))
            return 0
        settings = {"frames": options.frames, "shape": SHAPE, "lengths": LENGTHS, "model": PAINTER, "threads": 1}
        again = f"python -m benchmarks.video --record --frames {options.frames}"
        with records.run("20_video_cost", profile="laptop", seed=0, config=settings, command=again) as run:
            run.values |= measured(options.frames, LENGTHS, Path(folder))
        print(lines(run.values))
    return 0


if __name__ == "__main__":
    sys.exit(main())
