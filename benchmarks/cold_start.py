"""How long the command line takes to answer `--help`, beside the same answer by a program that imports PyTorch first.

    python -m benchmarks.cold_start            # half a minute
    python -m benchmarks.cold_start --save     # adds its rows to the table

Each answer is a process of its own. The two take turns; the clock is the CPU seconds of the process, so that other
programs on the machine do not count, and the files are in the disk's cache.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

import torch

from benchmarks.results import Row, report, save

ROUNDS = 9
PLAIN = "import course_lib.cli.trained, course_lib.cli.batch; "  # what every command would need at the top of its file
OURS = "import sys; sys.argv[0] = 'paint'; from course_lib.__main__ import main; main()"


def seconds(code: str, words: list[str]) -> float:
    """CPU seconds of a Python process that runs this code with these arguments."""
    before = os.times()
    root = Path(__file__).resolve().parents[1]
    subprocess.run([sys.executable, "-c", code, *words], cwd=root, stdout=subprocess.DEVNULL, check=True)
    after = os.times()
    return (after.children_user - before.children_user) + (after.children_system - before.children_system)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", action="store_true", help="append the rows to results.jsonl")
    options = parser.parse_args()
    rows = []
    for words in (["--help"], ["stylize", "--help"]):
        plain, ours = [], []
        for turn in range(ROUNDS + 1):
            pair = seconds(PLAIN + OURS, words), seconds(OURS, words)
            if turn:  # the first one reads the files from the disk
                plain.append(pair[0])
                ours.append(pair[1])
        rows.append(Row("cold_start", f"paint {' '.join(words)}", median(plain), median(ours)))
    report(rows)
    if options.save:
        save(rows, torch.device("cpu"))


if __name__ == "__main__":
    main()
