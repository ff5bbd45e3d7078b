"""Runs one item of the queue in a process of its own: python -m scripts.paper_queue.task NAME --into DIR …

The runner starts it. Its exit code says how it ended: 0, `OUT_OF_MEMORY`, or 1 for any other error, whose traceback is
the end of the log.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from types import FrameType

from scripts.paper_queue.items import SCALES, Item, Job

QUEUE = "scripts.paper_queue.items"
OUT_OF_MEMORY = 12  # ENOMEM
TERMINATED = 128 + signal.SIGTERM


def queue_of(module: str = QUEUE) -> tuple[Item, ...]:
    """The items that a module lists as ``QUEUE``."""
    return tuple(importlib.import_module(module).QUEUE)


def tasks_of(module: str = QUEUE) -> str:
    """The package ``tasks`` beside the module that lists the queue."""
    return ".".join([*module.split(".")[:-1], "tasks"])


def out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that it was raised from, is a lack of memory on the device or the host."""
    torch = sys.modules.get("torch")  # who never imported it cannot have filled a GPU
    kinds = (MemoryError, *([torch.cuda.OutOfMemoryError] if torch is not None else []))
    while error is not None:
        if isinstance(error, kinds):
            return True
        error = error.__cause__ or error.__context__
    return False


def _end_in_order(number: int, frame: FrameType | None) -> None:
    """SIGTERM unwinds the stack: half-written files are cleared away, and no stored run is written."""
    print("stopped by SIGTERM", flush=True)
    raise SystemExit(TERMINATED)


def _follow(runner: int) -> None:
    """End this process and its children when the runner is gone: a killed runner must not leave the GPU taken."""
    forked = multiprocessing.parent_process()  # of the server that forked this one: the runner itself

    def watch() -> None:
        if forked is not None:
            multiprocessing.connection.wait([forked.sentinel])
        else:
            while os.getppid() == runner:
                time.sleep(1)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    if os.getpgrp() == os.getpid():  # the runner gives every item a group of its own
        threading.Thread(target=watch, daemon=True).start()


def main(arguments: list[str]) -> int:
    """Run the item that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", metavar="NAME", help="of the item")
    parser.add_argument("--into", type=Path, required=True, help="the queue's folder")
    parser.add_argument("--scale", choices=SCALES, default="full")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--seconds", type=float, default=90.0, help="to train for, where the item is trained")
    parser.add_argument("--datasets", type=Path, help="the folder of research data sets")
    parser.add_argument("--queue", default=QUEUE, help="the module that lists the queue (default %(default)s)")
    chosen = parser.parse_args(arguments)
    items = {item.name: item for item in queue_of(chosen.queue)}
    if chosen.name not in items:
        parser.error(f"no item is called {chosen.name}; there are {', '.join(items)}")
    signal.signal(signal.SIGTERM, _end_in_order)
    if os.environ.get("COURSE_LIB_RUNNER"):
        _follow(int(os.environ["COURSE_LIB_RUNNER"]))
    item = items[chosen.name]
    job = Job(item, chosen.into.resolve(), chosen.scale, chosen.device, chosen.seconds, chosen.datasets)
    try:
        importlib.import_module(f"{tasks_of(chosen.queue)}.{item.kind}").run(job)
    except Exception as error:
        traceback.print_exc()
        return OUT_OF_MEMORY if out_of_memory(error) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
