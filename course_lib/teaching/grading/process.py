"""Run one submission in a separate process with limits on time and memory, and end everything it started.

Memory is limited in two ways: by the system where it counts private memory (Linux, `grading.runner`), and by watching
the process and its children, which also works on macOS. Neither is a sandbox: students' code runs with the permissions
of the user who grades.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil

from course_lib.arguments import is_number, plain

_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "XDG_CACHE_HOME")
_RUNNER = Path(__file__).with_name("runner.py")
_START = 120.0  # seconds allowed for the imports of the assignment, on a slow disk
_GRACE = 5.0  # seconds between the limit of the notebook and the end of the process
_LONGEST = 20_000_000  # bytes of reports
_SHARED = 1.25  # resident memory may exceed private memory by this factor, because of shared libraries
_MOST_PROCESSES = 64  # of one submission at the same time
_MARK = "COURSE_LIB_GRADING"  # in the environment of every process that a submission starts


@dataclass(frozen=True)
class Limits:
    """Limits of one submission.

    Raises:
        ValueError: not a number, or outside the range in which a notebook with PyTorch can be run and ended.
    """

    seconds: float = 300.0  # for the whole notebook, from 1 to a day; a single cell gets a third of it
    memory: float = 4.0  # GB of private memory, from 0.5 to 1000

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("the time limit (seconds)", self.seconds, 1, 86_400),
            ("the memory limit (GB)", self.memory, 0.5, 1000),
        ):
            number = plain(value)
            if not is_number(number) or not least <= number <= most:
                raise ValueError(f"{name} must be a number from {least:g} to {most:,}, got {value!r}")


def run(
    cells: list[tuple[str, str, str]], limits: Limits, stop: Event | None = None
) -> tuple[list[dict[str, Any]], str]:
    """Run cells in a process of their own.

    Args:
        cells: from `course_lib.teaching.assignments.for_grading`.
        limits: on time and memory.
        stop: ends the run when it is set.

    Returns:
        A report for each cell that was run (``"kind"``, ``"name"``, ``"message"``, which is empty if nothing went
        wrong, and ``"seconds"``), and the reason why the run ended early (empty if it did not).
    """
    token, ending = secrets.token_hex(16), ""
    job = {
        "cells": cells,
        "token": token,
        "memory": int(limits.memory * 1e9),
        "cell_seconds": max(1.0, limits.seconds / 3),
    }
    root = str(Path(__file__).resolve().parents[3])
    environment = {key: value for key, value in os.environ.items() if key in _KEPT or key.startswith("COURSE_LIB_")}
    environment |= {"PYTHONPATH": root, "MPLBACKEND": "agg", "PYTHONIOENCODING": "utf-8"}
    reading, writing = os.pipe()
    said = bytearray()
    with tempfile.TemporaryDirectory(prefix="grade_", ignore_cleanup_errors=True) as place:
        mark = secrets.token_hex(8)
        environment |= {"IPYTHONDIR": place, "TMPDIR": place, _MARK: mark}  # its temporary files are deleted, too
        process = subprocess.Popen(
            [sys.executable, "-P", str(_RUNNER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(writing,),
            cwd=place,
            env=environment,
            start_new_session=True,
        )
        os.close(writing)
        reader = Thread(target=_listen, args=(reading, said), daemon=True)
        reader.start()
        try:
            assert process.stdin is not None
            with suppress(BrokenPipeError):
                process.stdin.write(json.dumps({**job, "report": writing}).encode())
                process.stdin.close()
            ending = _watch(process, limits, stop or Event(), said)
        finally:
            _end(process, mark)
        reader.join(_GRACE)
    reports = [report for report in map(_parsed, bytes(said).splitlines()) if report.get("token") == token]
    if not any(report.get("started") for report in reports):
        why = next((report["failed"] for report in reports if "failed" in report), "")
        why = why or "do the assignment's own imports work here, within this memory, and is IPython installed?"
        return [], ending or f"the run could not be started: {why}"
    if not ending and not any(report.get("finished") for report in reports):
        code = process.returncode
        killed = f"it was ended by signal {-code}" if code < 0 else f"exit code {code}"
        ending = f"the notebook ended its own process ({killed}); cells before that count"
    return [report for report in reports if "name" in report], ending


def _listen(pipe: int, said: bytearray) -> None:
    """Collect what is written to the pipe, up to a size that no genuine report reaches; ignore the rest."""
    with suppress(OSError):
        while len(said) < _LONGEST and (part := os.read(pipe, 65536)):
            said += part
    with suppress(OSError):
        os.close(pipe)


def _watch(process: subprocess.Popen[bytes], limits: Limits, stop: Event, said: bytearray) -> str:
    """Wait for the process to end; returns why it must be ended, or an empty string if it ended by itself.

    The time starts with the first report, since the student is not responsible for the time that PyTorch takes to load.
    """
    deadline, started = time.monotonic() + _START, False
    while True:
        if said and not started:
            deadline, started = time.monotonic() + limits.seconds + _GRACE, True
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.2)
            return ""
        if stop.is_set():
            return "grading was stopped"
        if time.monotonic() > deadline:
            return f"stopped after {limits.seconds if started else _START:g} s; cells before that count"
        if _memory(process.pid) > _SHARED * 1e9 * limits.memory:
            return f"stopped at {limits.memory:g} GB of memory; cells before that count"
        if len(_family(process.pid)) > _MOST_PROCESSES:
            return f"stopped at {_MOST_PROCESSES} processes; cells before that count"


def _family(number: int) -> list[psutil.Process]:
    with suppress(psutil.Error):
        first = psutil.Process(number)
        return [*first.children(recursive=True), first]
    return []


def _memory(number: int) -> float:
    total = 0.0
    for process in _family(number):
        with suppress(psutil.Error):
            total += process.memory_info().rss
    return total


def _end(process: subprocess.Popen[bytes], mark: str) -> None:
    """Kill the process, its group, and whatever else carries its mark: daemons leave the group and the family."""
    family = _family(process.pid)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for _ in range(5):  # a process may have started another one in the meantime
        for member in family:
            with suppress(psutil.Error):
                member.kill()
        process.wait()
        if not (family := list(_marked(mark))):
            return


def _marked(mark: str) -> Iterator[psutil.Process]:
    """Living processes with this mark in their environment, which children inherit."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(_MARK) == mark:
                yield process


def _parsed(line: bytes) -> dict[str, Any]:
    with suppress(ValueError):
        report = json.loads(line)
        if isinstance(report, dict):
            return report
    return {}
