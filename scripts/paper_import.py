"""Takes in what a queue of runs made on another machine: make paper-import ARCHIVES="paper-1-of-2.zip paper-2-of-2.zip"

Stored runs go to data/results/paper, models to data/models, checkpoints to _build/paper/checkpoints, and the report to
data/results/paper/report.json. Everything is verified first; unless all of it is well, nothing changes. What is there
already is left alone, and a run that was cut short never replaces the same run in full.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from course_lib.atomic import atomic_folder, atomic_write
from scripts.notebook_script import Refused
from scripts.paper_queue import intake
from scripts.paper_queue.contents import Unfit, read_record
from scripts.paper_queue.intake import Found
from scripts.paper_queue.items import SCALES, Item
from scripts.paper_queue.task import QUEUE, queue_of

ROOT = Path(__file__).resolve().parents[1]


def take_in(found: Found, queue: Sequence[Item], root: Path) -> Iterator[str]:
    """Put verified files where they belong, each whole or not at all.

    Args:
        found: by `intake.read`.
        queue: says which model belongs to which stored run.
        root: of the checkout.

    Yields:
        A line for each thing: what happened to it.
    """
    results = root / "data" / "results" / "paper"
    kept = set()
    for name in found.records:
        fresh, target = found.folder / "results" / "paper" / name, results / name
        if _same(fresh, target):
            yield f"{name}: already there"
        elif _whole_already(found.records[name], target):
            kept.add(name)
            cut = found.records[name]["reduced"]
            yield f"{name}: kept; the one here is whole, and the one that comes is reduced ({cut})"
        else:
            word = "replaced" if target.exists() else "taken in"
            with atomic_folder(target) as folder:
                shutil.copytree(fresh, folder, dirs_exist_ok=True)
            yield f"{name}: {word}"
    makers = {model: item for item in queue for model in item.models}
    for name in found.models:
        if kept & set(makers[name].records):
            yield f"models/{name}: kept, as its stored run was"
        else:
            file = f"{name}.safetensors"
            yield f"models/{name}: {_put(found.folder / 'models' / file, root / 'data' / 'models' / file)}"
    for file in found.checkpoints:
        target = root / "_build" / "paper" / "checkpoints" / file
        yield f"checkpoints/{file}: {_put(found.folder / 'checkpoints' / file, target)}"
    if (found.folder / "report.json").is_file():
        yield f"report.json: {_put(found.folder / 'report.json', results / 'report.json')}"


def _whole_already(incoming: dict[str, object], target: Path) -> bool:
    """Whether a reduced run would replace the same run in full."""
    if not incoming.get("reduced"):
        return False
    try:
        here = read_record(target)
    except Unfit:
        return False
    return here.get("digest") == incoming["digest"] and not here.get("reduced")


def _same(fresh: Path, target: Path) -> bool:
    """Whether two folders hold the same files."""
    if not target.is_dir():
        return False
    there = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in (fresh, target)]
    return there[0] == there[1]


def _put(fresh: Path, target: Path) -> str:
    content = fresh.read_bytes()
    if target.is_file() and target.read_bytes() == content:
        return "already there"
    word = "replaced" if target.exists() else "taken in"
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as stream:
        stream.write(content)
    return word


def _archives(given: Sequence[Path]) -> list[Path]:
    """The archives that were named; a folder stands for those in it."""
    return [path for each in given for path in (sorted(each.glob("paper-*-of-*.zip")) if each.is_dir() else [each])]


def main(arguments: list[str], root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archives", nargs="*", type=Path, metavar="ARCHIVE", help="all of one run, or their folder")
    parser.add_argument("--check", action="store_true", help="verify only, and change nothing")
    parser.add_argument(
        "--scale", choices=SCALES, default="full", help="of the run; others than full with --check only"
    )
    parser.add_argument("--queue", default=QUEUE, help="the module that lists the queue (default %(default)s)")
    chosen = parser.parse_args(arguments)
    if chosen.scale != "full" and not chosen.check:
        parser.error(f"a run at the {chosen.scale} scale can be verified with --check, and is never kept")
    queue = queue_of(chosen.queue)
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = intake.read(_archives(chosen.archives), queue, Path(folder), chosen.scale)
            if chosen.check:
                print(f"all is well: {len(found.records)} stored runs, {len(found.models)} models")
                return 0
            for line in take_in(found, queue, root):
                print(line, flush=True)
    except Refused as refusal:
        print(f"paper-import: {refusal}", file=sys.stderr)
        return 2
    except OSError as error:
        reason = "what was taken in before is whole, and the same call goes on from there"
        print(f"paper-import: a file could not be written ({error}); {reason}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("paper-import: stopped; what was taken in is whole, and the same call goes on.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
