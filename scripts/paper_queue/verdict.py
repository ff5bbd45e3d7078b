"""How an item went: judged by what it stored, then by how its process ended, then by its log."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path

from scripts.paper_queue import process
from scripts.paper_queue.cells import NOTE
from scripts.paper_queue.contents import Unfit, not_finite, read_record
from scripts.paper_queue.items import Item
from scripts.paper_queue.plan import Call, stand
from scripts.paper_queue.process import Ended
from scripts.paper_queue.report import Entry, tail_of
from scripts.paper_queue.task import OUT_OF_MEMORY


def judge(item: Item, digest: str, call: Call, estimate: float, ended: Ended) -> Entry:
    """What an item's stored runs, its exit code and its log say together; what is stored counts most."""
    log = call.folder / "logs" / f"{item.name}.log"
    notes, odd = process.notes_of(log, NOTE), _set_aside(item, digest, call.folder)
    found, how = stand(item, digest, call), _how(ended, log)
    if odd:
        state, reason = "failed", odd
    elif found.word == "done":
        state, reason = "done", f"all is stored; afterwards: {how[1]}" if how[0] else ""
    elif how[0]:
        state, reason = how
    elif found.reduced and not found.missing:
        cut = "; ".join(dict.fromkeys(found.reduced.values()))
        state, reason = "reduced", f"{cut}; the next call goes on"
    else:
        state = "partly" if found.whole or found.reduced else "failed"
        first = f" ({notes[0].splitlines()[0]})" if notes else ""
        reason = f"it ended without {', '.join(found.missing)}{first}"
    if how[0] and state not in ("done", "failed") and (found.whole or found.reduced):
        reason += f"; {len(found.whole) + len(found.reduced)} of its {len(item.records)} stored runs are there"
    tail = [] if state in ("done", "reduced") and call.scale != "tenth" else tail_of(process.lines_of(log))
    return Entry(state, round(ended.seconds, 1), estimate, digest, reason, notes, tail)


def _how(ended: Ended, log: Path) -> tuple[str, str]:
    """The state that an end other than a good one means, and the reason; ("", "") for a good one."""
    if ended.how == "stop":
        return "stopped", "was stopped with the runner"
    if ended.how == "limit":
        return "too long", f"was stopped at its limit of {ended.seconds:.0f} s"
    if ended.code == OUT_OF_MEMORY:
        return "out of memory", process.last_words(log)
    if ended.code < 0:
        number = -ended.code
        name = signal.Signals(number).name if number in signal.valid_signals() else f"signal {number}"
        more = ", perhaps because the host's memory was full" if name == "SIGKILL" else ""
        return "failed", f"was killed by {name}{more}"
    return ("failed", process.last_words(log)) if ended.code else ("", "")


def _set_aside(item: Item, digest: str, folder: Path) -> str:
    """Move a stored run that holds NaN or infinity, and the item's models, into ``failed``; says what was found."""
    found = []
    for name in item.records:
        place = folder / "results" / "paper" / name
        with suppress(Unfit):
            stored = read_record(place)
            if stored.get("digest") == digest and (where := not_finite(stored)):
                found.append(f"{name} holds a number that is not finite ({where})")
                _move(place, folder / "failed" / name)
    for name in item.models if found else ():
        file = folder / "models" / f"{name}.safetensors"
        if file.exists():
            _move(file, folder / "failed" / file.name)
    return f"{'; '.join(found)}; set aside in {folder / 'failed'}" if found else ""


def _move(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(path, target)
