"""Everything `make test` checks, in one go, with one summary line at the end.

    python tests/run.py [--all] [pytest's arguments]

Tests and notebooks run side by side, one thread each, as many at a time as there are cores. Every notebook is executed
once, by nbval, which compares what comes out with what is committed. Tests that are marked slow are left out unless
`--all` is given; the tests in tests/properties then draw 500 examples each, other ones every time. Other arguments are
handed to pytest: `python tests/run.py --all -k gram`.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOG = ROOT / "_build" / "pytest.log"
MOST_WORKERS = 8  # each may have a kernel beside it; both take about a gigabyte
CLOSING = re.compile(r"^=+ (.*(?:passed|failed|error|no tests ran).*?) =+$", re.MULTILINE)
LEFT_OUT = re.compile(r"^\d+ slow tests? left out: .*$", re.MULTILINE)


def run(*command: str, log: Path | None = None) -> tuple[int, str]:
    """Runs a command, shows its output line by line, and returns its exit code and output."""
    lines = []
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        print(line, end="", flush=True)
    code = process.wait()
    if log is not None:
        log.parent.mkdir(exist_ok=True)
        log.write_text("".join(lines), encoding="utf-8")
    return code, "".join(lines)


def pytest_command(arguments: list[str]) -> list[str]:
    """pytest with its workers; what the caller gives comes last, and so has the last word."""
    workers = min(MOST_WORKERS, max(2, os.cpu_count() or 1))
    chosen = [] if "--all" in arguments else ["--quick"]
    # A file stays with one worker: a notebook has one kernel, and fixtures are made once. conftest.py orders the files.
    spread = ["-n", str(workers), "--dist", "loadfile", "--no-loadscope-reorder"]
    return ["-m", "pytest", "--nbval", *spread, *chosen, *(word for word in arguments if word != "--all")]


def main(arguments: list[str]) -> int:
    python, started, words, failed = sys.executable, time.monotonic(), [], False
    if "--all" in arguments:  # of each test in tests/properties
        os.environ.setdefault("COURSE_LIB_EXAMPLES", "500")
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # two workers must not fight for the cores
        os.environ[name] = "1"

    def note(name: str, code: int, output: str) -> None:
        nonlocal failed
        last = output.strip().splitlines()[-1] if output.strip() else f"exit code {code}"
        words.append(f"{name}: {'ok' if code == 0 else last}")
        failed |= code != 0

    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:  # mypy runs beside the tests
        types = subprocess.Popen([python, "-m", "mypy"], cwd=ROOT, stdout=said, stderr=subprocess.STDOUT)
        try:
            note("ruff check", *run(python, "-m", "ruff", "check", "--output-format=concise", "."))
            note("ruff format", *run(python, "-m", "ruff", "format", "--check", "."))
            code, output = run(python, *pytest_command(arguments), log=LOG)
            types.wait()
        finally:
            types.kill()
        said.seek(0)
        print(found := said.read(), end="")
        note("mypy", types.returncode, found)
    closing, left_out = CLOSING.findall(output), LEFT_OUT.findall(output)
    words += [f"pytest: {closing[-1] if closing else f'exit code {code}'}", *left_out[-1:]]
    failed |= code != 0
    minutes = (time.monotonic() - started) / 60
    print(f"{'FAILED' if failed else 'All green'} in {minutes:.1f} min · " + " · ".join(words))
    return int(failed)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print("Stopped before everything was checked.")
        sys.exit(130)
