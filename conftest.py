"""What holds for every test: what the notebooks' kernels import, which tests are slow, and the order they start in."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
os.environ["COURSE_LIB_STRICT"] = "1"  # a false statement of the book is an error, see course_lib.teaching.checks.holds
LEFT_OUT = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="leave out the tests that are marked slow")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LEFT_OUT] = 0
    if config.pluginmanager.hasplugin("xdist") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Workers(config))


@pytest.hookimpl(trylast=True)  # after -k and -m: only what was asked for counts as left out
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("quick"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        items[:] = [item for item in items if item not in set(slow)]
        config.stash[LEFT_OUT] = len(slow)
        if slow:
            config.hook.pytest_deselected(items=slow)
    if hasattr(config, "workerinput"):
        costs = json.loads((ROOT / "data" / "chapter_costs.json").read_text(encoding="utf-8"))["quick"]
        seconds = {number: row["seconds"] for number, row in costs.items()}
        items.sort(key=lambda item: place(item.path.relative_to(ROOT).as_posix(), seconds))


def place(path: str, seconds: dict[str, float]) -> tuple[int, float]:
    """Where a file stands in the order for several workers: the longest files first, so that all end together."""
    folders = ("tests/browser/test_pages.py", "notebooks/", "tests/browser/", "tests/papers/", "tests/notebooks/", "")
    first = next(k for k, folder in enumerate(folders) if path.startswith(folder))
    return first, -seconds.get(Path(path).name[:2], 0.0)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash[LEFT_OUT]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if count := config.stash[LEFT_OUT]:
        terminalreporter.write_line(f"{count} slow test{'s'[: count > 1]} left out: make test ARGS=--all")


class Workers:
    """Takes down what the workers left out; they all collect the same tests."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config

    def pytest_testnodedown(self, node: Any) -> None:
        count = getattr(node, "workeroutput", {}).get("left_out", 0)
        self.config.stash[LEFT_OUT] = max(self.config.stash[LEFT_OUT], count)
