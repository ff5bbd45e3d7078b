"""A child process with a time limit, in a group of its own: it ends whole, with everything that it started.

Children are forked from one server process that has imported PyTorch and the package already (and has never touched a
GPU). An item then begins in a tenth of a second; in a queue of forty that saves minutes of a GPU's time.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from scripts.environment import changed

GRACE = 10.0  # seconds between SIGTERM and SIGKILL
_LOOK = 0.05  # seconds between two looks at the child
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Stop:
    """Whether the person or the system asked the runner to stop, and by which signal.

    Signals are only noted: whoever loops looks at `asked` where stopping is safe.
    """

    def __init__(self) -> None:
        self.asked = ""

    def _note(self, number: int, frame: object) -> None:
        self.asked = self.asked or signal.Signals(number).name

    @contextmanager
    def listening(self) -> Iterator[Stop]:
        """Note SIGINT, SIGTERM and SIGHUP until the ``with`` ends; a SIGHUP that is ignored (nohup) stays ignored."""
        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            numbers.append(signal.SIGHUP)
        before = {number: signal.signal(number, self._note) for number in numbers}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    Attributes:
        code: its exit code; negative for the signal that killed it.
        seconds: that it took.
        how: ``"by itself"``, ``"limit"`` where it ran out of its time, ``"stop"`` where the runner was asked to stop.
    """

    code: int
    seconds: float
    how: str = "by itself"


def run(
    arguments: Sequence[str],
    *,
    log: Path,
    limit: float,
    environment: Mapping[str, str],
    folder: Path,
    stop: Stop,
    preload: Sequence[str] = (),
) -> Ended:
    """Run `task.main` until it ends, its time is over, or `stop` is asked for; nothing of it is left running.

    Args:
        arguments: of `task.main`.
        log: takes in what it prints, errors included; an older log is replaced.
        limit: seconds.
        environment: all of its environment.
        folder: to run in.
        stop: looked at all the time.
        preload: modules that the server imports before its first child; what the first call says holds for all.
    """
    began = time.monotonic()
    log.parent.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    child = context.Process(target=_child, args=(list(arguments), str(log), dict(environment), str(folder)))
    with changed(_told(environment)):  # the server is started by the first child
        child.start()
    assert child.pid is not None
    how = "by itself"
    while child.is_alive():
        if stop.asked or time.monotonic() - began > limit:
            how = "stop" if stop.asked else "limit"
            _signal_group(child.pid, signal.SIGTERM)
            child.join(GRACE)
            break
        child.join(_LOOK)
    _signal_group(child.pid, signal.SIGKILL)  # the child, or workers that outlived it
    child.kill()  # one that had no group of its own yet
    child.join()
    assert child.exitcode is not None
    return Ended(child.exitcode, time.monotonic() - began, how)


def _child(arguments: list[str], log: str, environment: dict[str, str], folder: str) -> None:
    """What the forked process does: a group, an output and an environment of its own, then the task."""
    os.setsid()
    with open(log, "wb") as stream, open(os.devnull, "rb") as nothing:
        for target, source in ((0, nothing), (1, stream), (2, stream)):
            os.dup2(source.fileno(), target)
    os.environ.clear()
    os.environ.update(environment)
    if sys.platform.startswith("linux"):  # loaders fork their workers; a fork server takes 256 open tensors at most
        multiprocessing.set_start_method("fork", force=True)
    os.chdir(folder)
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda._is_in_bad_fork():  # something imported has woken the GPU: begin from nothing
        os.execv(sys.executable, [sys.executable, "-m", "scripts.paper_queue.task", *arguments])
    from scripts.paper_queue.task import main

    sys.exit(main(arguments))


def _told(environment: Mapping[str, str]) -> dict[str, str]:
    """What the server must know before it imports anything: where the package lies, and to leave the GPU alone."""
    return {"PYTHONPATH": environment.get("PYTHONPATH", ""), "PYTORCH_NVML_BASED_CUDA_CHECK": "1"}


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # an empty group; on macOS one of zombies
        os.killpg(group, number)


# --- logs
def lines_of(log: Path, most: int = 262_144) -> list[str]:
    """The last lines of a log, without colors; [] where there is no log."""
    try:
        with open(log, "rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - most))
            text = stream.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    return [line.rstrip() for line in _ESCAPES.sub("", text).replace("\r", "\n").splitlines()]


def last_words(log: Path) -> str:
    """The error that ended a run: the type and message under the last traceback, else the last line of the log."""
    lines = [line for line in lines_of(log) if line.strip()]
    starts = [k for k, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    if starts:
        after = lines[starts[-1] + 1 :]
        lines = [line for line in after if re.match(r"[A-Za-z_][\w.]*(:|$)", line)][:1] or after or lines
    return lines[-1].strip()[:300] if lines else "it printed nothing"


def notes_of(log: Path, mark: str) -> list[str]:
    """The notes of a log: lines that begin with `mark`, each with the indented lines below it."""
    notes: list[str] = []
    inside = False
    for line in lines_of(log):
        if line.startswith(mark):
            notes.append(line[len(mark) :])
        elif inside and line.startswith("    "):
            notes[-1] += "\n" + line[4:]
        inside = line.startswith(mark) or (inside and line.startswith("    "))
    return notes
