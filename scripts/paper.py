"""Runs at the papers' scale, as many as fit into the minutes that there are: make paper [MINUTES=12] [ONLY=name,name]

    python -m scripts.paper --list                what is in the queue, what it takes, and what is done
    python -m scripts.paper --minutes 12          runs it, most valuable first (needs a CUDA device)
    python -m scripts.paper --trial               one item of each kind at a tenth of its steps, for better estimates
    python -m scripts.paper --rehearse            everything at toy scale on this processor

Results lie in _build/paper (--into): stored runs, models, logs, report.txt, and archives to carry home, which
scripts/paper_import.py takes in. The same call again goes on where this one ended.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from scripts.notebook_script import Refused
from scripts.paper_queue import plan, runner
from scripts.paper_queue.plan import Call
from scripts.paper_queue.task import QUEUE

ROOT = Path(__file__).resolve().parents[1]
_REHEARSAL = 60.0  # minutes: on a processor there is no hurry


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number greater than 0, got {text}")
    return value


def parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="show the queue and run nothing")
    what.add_argument("--trial", action="store_true", help="the first item of each kind, a tenth of its steps")
    what.add_argument("--rehearse", action="store_true", help="everything at toy scale on the processor")
    what.add_argument("--pack", action="store_true", help="only pack what earlier calls made")
    parser.add_argument("--minutes", type=_positive, help=f"wall time of the whole call (default {plan.MINUTES:g})")
    parser.add_argument("--only", type=_words, default=(), help="names of items, kinds, stored runs, with commas")
    parser.add_argument("--into", type=Path, default=ROOT / "_build" / "paper", help="where results are collected")
    parser.add_argument("--datasets", type=Path, help="folder of research data sets (default $COURSE_LIB_DATASETS)")
    for kind, seconds in plan.TRAINING.items():
        text = f"that a {kind} trains (default {seconds:g})"
        parser.add_argument(f"--{kind}-seconds", type=_positive, default=seconds, metavar="S", help=text)
    parser.add_argument("--queue", default=QUEUE, help="the module that lists the queue (default %(default)s)")
    return parser.parse_args(arguments)


def main(arguments: list[str], session: Callable[[Call], runner.Session] = runner.Session) -> int:
    """The exit code: 0; 1 where an item failed; 2 where nothing could be run; 130 where it was stopped."""
    chosen = parsed(arguments)
    datasets = chosen.datasets or os.environ.get("COURSE_LIB_DATASETS")
    call = Call(
        root=ROOT,
        into=chosen.into.expanduser().resolve(),
        minutes=chosen.minutes or (_REHEARSAL if chosen.rehearse else plan.MINUTES),
        scale="toy" if chosen.rehearse else "tenth" if chosen.trial else "full",
        only=chosen.only,
        datasets=Path(datasets).expanduser().resolve() if datasets else None,
        training={kind: getattr(chosen, f"{kind}_seconds") for kind in plan.TRAINING},
        queue=chosen.queue,
    )
    try:
        found = session(call)
        if chosen.list:
            return found.show()
        if chosen.pack:
            runner.pack(call, found.queue)
            return 0
        return found.run()
    except Refused as refusal:
        print(f"paper: {refusal}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
