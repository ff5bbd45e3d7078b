"""Everything `make test` checks, in one go, with one summary line at the end.

Arguments are handed to pytest: `python tests/run.py -k gram`.
"""

import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOG = ROOT / "_build" / "pytest.log"


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


def main(arguments: list[str]) -> int:
    python, started, words, failed = sys.executable, time.monotonic(), [], False
    checks = {
        "ruff check": ("-m", "ruff", "check", "--output-format=concise", "."),
        "ruff format": ("-m", "ruff", "format", "--check", "."),
        "mypy": ("-m", "mypy"),
    }
    for name, command in checks.items():
        code, output = run(python, *command)
        last = output.strip().splitlines()[-1] if output.strip() else "ok"
        words.append(f"{name}: {'ok' if code == 0 else last}")
        failed |= code != 0
    code, output = run(python, "-m", "pytest", "--nbval", *arguments, log=LOG)
    closing = re.findall(r"^=+ (.*(?:passed|failed|error|no tests ran).*?) =+$", output, re.MULTILINE)
    words.append(f"pytest: {closing[-1] if closing else f'exit code {code}'}")
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
