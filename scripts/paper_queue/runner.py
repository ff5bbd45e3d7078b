"""Runs the queue: one item after the other, each in a process of its own, for as many minutes as there are.

What an item made is on the disk before the next one begins. A crash, a lack of memory or a hang costs the item that it
happens in; Ctrl-C or a kill costs the one that runs. The next call finds what is there by its digest, and goes on.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from scripts.notebook_script import Refused
from scripts.paper_queue import archives, plan, process
from scripts.paper_queue.device import Device, find_device
from scripts.paper_queue.digest import digest as digest_of_item
from scripts.paper_queue.items import Item
from scripts.paper_queue.plan import Call
from scripts.paper_queue.process import Ended, Stop
from scripts.paper_queue.report import FAILURES, Book, Entry, commit_of, read_entries
from scripts.paper_queue.task import QUEUE, queue_of
from scripts.paper_queue.verdict import judge

# what the items import, and takes seconds: it is imported once, see `process`
PRELOAD = (
    "torchmetrics.functional.image",
    "course_lib.evaluation.metrics",
    "course_lib.teaching.records",
    *(f"course_lib.methods.{name}" for name in ("gan", "gatys", "johnson", "pix2pix", "super_resolution")),
    "benchmarks.engine",
)


@dataclass
class Session:
    """One call of the runner, with what it found out; `digest_of` and `device_of` can be put in place for a test."""

    call: Call
    digest_of: Callable[..., str] = digest_of_item
    device_of: Callable[[str, Mapping[str, str]], Device] = find_device
    stop: Stop = field(default_factory=Stop)

    def __post_init__(self) -> None:
        self.began = time.monotonic()
        self.queue = queue_of(self.call.queue)
        self.items = plan.choose(self.queue, self.call.only)
        self.environment = plan.environment_of(self.call)
        self.faults: dict[str, str] = {}
        self.digests: dict[str, str] = {}
        self.better: dict[str, float] = {}

    @property
    def left(self) -> float:
        """Seconds that are left for items."""
        return self.call.minutes * 60 - plan.PACKING - (time.monotonic() - self.began)

    def stand(self, item: Item) -> plan.Stand:
        return plan.stand(item, self.digests.get(item.name, ""), self.call)

    def find_digests(self) -> None:
        """The digest of every item; what cannot be read is a fault of that item alone."""
        for item in self.items:
            try:
                found = self.digest_of(item, self.call.root, self.call.tasks)
                self.digests[item.name] = self.call.prefix + found
            except Exception as error:  # a missing module, a notebook that is no Python, a network that is not listed
                self.faults[item.name] = f"its code cannot be read: {type(error).__name__}: {error}"

    # --- the list
    def show(self) -> int:
        """Print the queue: name, estimate, state, title, and the sum of what is to do."""
        self.find_digests()
        width, total, waiting = max(len(item.name) for item in self.items), 0.0, 0.0
        for item in self.items:
            seconds, word = plan.full_estimate(item, self.call), self._word(item)
            total += seconds
            waiting += seconds if word in ("to do", "partly") else 0
            print(f"{item.name:<{width}} {seconds:5.0f} s  {word:<14} {item.title}")
        for reason in dict.fromkeys(self.faults.values()):
            print(f"broken: {reason}")
        print(f"{len(self.items)} items, {total / 60:.0f} min; to do now: {waiting / 60:.0f} min")
        return 0

    def _word(self, item: Item) -> str:
        stand = self.stand(item).word
        if stand == "done":
            return stand
        missing = [need for need in item.needs if plan.lacks(item, self.environment)]
        return "broken" if item.name in self.faults else f"needs {missing[0]}" if missing else stand

    # --- the run
    def run(self) -> int:
        """Run what is to do and fits; returns the exit code.

        Raises:
            Refused: no device, too little time for any item, or another call at work in the same folder.
        """
        folder = self.call.folder
        with self.stop.listening(), _alone(self.call.into):
            device = self.device_of(self.call.device, self.environment)
            if not device.name:
                remedy = "`make paper REHEARSE=1` runs all of it at toy scale on this processor"
                raise Refused(f"no CUDA device was found{device.trouble}, and the papers' scale needs one; {remedy}.")
            if self.call.scale == "tenth":
                self.items = plan.first_of_each_kind(self.items, self.environment)
            self.find_digests()
            # what was never made comes before what was cut short: more of it can wait
            self.items = sorted(
                self.items, key=lambda item: bool((there := self.stand(item)).reduced) and not there.missing
            )
            self._refuse_too_little()
            if self.call.scale != "full":
                _clear(folder)
            self.environment["COURSE_LIB_COMMIT"] = commit_of(self.call.root)
            about = {
                "scale": self.call.scale,
                "began": datetime.now(UTC).isoformat(timespec="seconds"),
                "minutes": self.call.minutes,
                "device": device.name,
                "versions": device.versions,
                "commit": self.environment["COURSE_LIB_COMMIT"],
            }
            entries = read_entries(folder)
            self.book = Book(folder, about, self.items, entries)
            failed = False
            for number, item in enumerate(self.items, 1):
                if self.stop.asked:
                    break
                failed |= self._one(number, item, device.start)
            return self._close(failed)

    def _refuse_too_little(self) -> None:
        """Minutes in which nothing that could run fits are a mistake, and no reason to run nothing without a word."""
        able = [
            item
            for item in self.items
            if item.name not in self.faults
            and not plan.lacks(item, self.environment)
            and self.stand(item).word != "done"
        ]
        if able and all(plan.estimate(item, self.call) > self.left for item in able):
            shortest = sorted(able, key=lambda item: plan.estimate(item, self.call))[:4]
            spent = time.monotonic() - self.began
            fits = (f"{item.name} in {plan.minutes_for(plan.estimate(item, self.call) + spent)}" for item in shortest)
            minutes = f"{self.call.minutes:g} minute{'s' if self.call.minutes != 1 else ''}"
            raise Refused(f"nothing that is to do fits into {minutes}; with more there fit {', '.join(fits)} minutes.")

    def _one(self, number: int, item: Item, start: float) -> bool:
        """Run one item, or say why not; whether it failed."""
        seconds, digest = plan.estimate(item, self.call), self.digests.get(item.name, "")
        before = self.book.entries.get(item.name)

        def say(words: str, *, left: bool = True) -> None:
            place = f"[{number:>{len(str(len(self.items)))}}/{len(self.items)}]"
            width = max(len(each.name) for each in self.items)
            rest = f", {max(0, self.left):.0f} s left" if left else ""
            print(f"{place} {item.name:<{width}}   {words}{rest}", flush=True)

        def skip(state: str, reason: str) -> bool:
            self.book.put(item, Entry(state, estimate=seconds, digest=digest, reason=reason))
            say(f"{state}: {reason}", left=False)
            return state == "failed"

        if item.name in self.faults:
            return skip("failed", self.faults[item.name])
        if self.stand(item).word == "done":
            known = before is not None and before.digest == digest and before.state == "done"
            self.book.put(item, before if known and before else Entry("done", digest=digest, reason="made earlier"))
            say("already there", left=False)
            return False
        if missing := plan.lacks(item, self.environment):
            return skip("left out", missing)
        if seconds > self.left:
            reason = f"it needs about {seconds:.0f} s, and {max(0, self.left):.0f} s are left"
            if before is not None and before.seconds is not None and before.digest == digest:
                say(f"left out: {reason}", left=False)  # what an earlier call found says more
                return False
            return skip("left out", reason)
        self.book.put(item, Entry("running", estimate=seconds, digest=digest))
        ended = self._child(item, digest, plan.limit(item, self.call, self.left))
        entry = judge(item, digest, self.call, seconds, ended)
        self.book.put(item, entry)
        if self.call.scale == "tenth" and entry.state in ("done", "reduced"):
            self.better[item.name] = plan.from_trial(item, self.call, ended.seconds, start)
        word = {"failed": "FAILED"}.get(entry.state, entry.state)
        reason = f": {entry.reason}" if entry.reason else ""
        say(f"{word} in {ended.seconds:.0f} s ({seconds:.0f} s estimated){reason}")
        return entry.state in FAILURES

    def _child(self, item: Item, digest: str, limit: float) -> Ended:
        call = self.call
        command = [item.name, "--into", str(call.folder)]
        command += ["--scale", call.scale, "--device", call.device, "--queue", call.queue]
        command += ["--seconds", f"{plan.training_seconds(item, call):g}"]
        command += ["--datasets", found] if (found := self.environment.get("COURSE_LIB_DATASETS")) else []
        return process.run(
            command,
            log=call.folder / "logs" / f"{item.name}.log",
            limit=limit,
            environment={**self.environment, "COURSE_LIB_DIGEST": digest},
            folder=call.root,
            stop=self.stop,
            preload=PRELOAD if call.queue == QUEUE else (),
        )

    # --- the end
    def _close(self, failed: bool) -> int:
        """Write the report and the archives; the exit code."""
        if self.stop.asked:
            print(f"stopped by {self.stop.asked}; what was done is kept, and the next call goes on", flush=True)
        if self.better:
            self.book.about["better estimates"] = self.better
            print("estimates at the full scale, from this trial:")
            for item in self.items:
                if item.name in self.better:
                    listed = plan.full_estimate(item, self.call)
                    print(f"    {item.name:<26} {self.better[item.name]:5.0f} s (listed: {listed:.0f} s)")
        self.book.write()
        if self.call.scale != "tenth":
            pack(self.call, self.queue, self.book)
        print(f"report: {self.call.folder / 'report.txt'}", flush=True)
        return 130 if self.stop.asked else int(failed)


def pack(call: Call, queue: Sequence[Item], book: Book | None = None) -> None:
    """Pack what lies in the call's folder; without a book, with the report of the last call."""
    if book is None:
        about = {"scale": call.scale, "commit": commit_of(call.root)}
        with suppress(OSError, ValueError):
            last: dict[str, Any] = json.loads((call.folder / "report.json").read_text(encoding="utf-8"))
            about = {key: value for key, value in last.items() if key not in ("format", "written", "items")}
        book = Book(call.folder, about, queue, read_entries(call.folder))
    trial = call.into / "trial" / "report.json"
    if call.scale == "full" and trial.is_file():
        with suppress(OSError, ValueError):
            book.about["trial"] = json.loads(trial.read_text(encoding="utf-8"))
    made = archives.pack(call.folder, queue, book)
    for path in made:
        print(f"{path}  {path.stat().st_size / 1e6:.2f} MB", flush=True)
    for name, reason in book.left_out.items():
        print(f"not packed: {name}: {reason}", flush=True)


_PATIENCE = 2.0  # seconds: the item of a runner that was killed ends a second after it


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else works in this folder; a killed runner's lock is gone with it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=_PATIENCE)
    except Timeout as error:
        raise Refused(
            f"another call is at work in {folder}; wait for its end, or name another folder by INTO."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _clear(folder: Path) -> None:
    """A trial and a rehearsal begin anew; their folder is the queue's own."""
    for name in ("results", "models", "checkpoints", "logs", "failed", "archives"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("state.json", "report.json", "report.txt"):
        (folder / name).unlink(missing_ok=True)
