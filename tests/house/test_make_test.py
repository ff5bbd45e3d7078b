"""How `make test` calls pytest, and in which order its workers take the files."""

import importlib.util
import os
import re
import unittest.mock
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def module(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"suite_{Path(path).stem}", ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture(scope="module")
def run() -> ModuleType:
    return module("tests/run.py")


def test_slow_tests_are_left_out_unless_all_are_asked_for(run: ModuleType) -> None:
    quick, every = run.pytest_command(["-k", "gram"]), run.pytest_command(["-k", "gram", "--all"])
    assert "--quick" in quick
    assert "--quick" not in every
    assert "--all" not in every, "pytest does not know it"
    assert quick[-2:] == every[-2:] == ["-k", "gram"], "the caller has the last word"
    assert "--nbval" in quick
    assert "loadfile" in quick, "the cells of a notebook share a kernel"


@pytest.mark.parametrize(
    "line",
    ["== 3 passed in 2.0s ==", "= 1 failed, 2 passed, 3 skipped in 61.20s (0:01:01) =", "=== no tests ran in 1s ==="],
)
def test_the_closing_line_is_found_here_and_on_build_machines(run: ModuleType, line: str) -> None:
    (pattern,) = re.findall(r"grep -E '([^']*)'", (ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    log = f"tests/a.py::b PASSED\n{line}\n"
    assert run.CLOSING.findall(log) == [line.strip("= ")]
    assert re.search(pattern, line)


def test_what_takes_longest_starts_first() -> None:
    place, seconds = module("conftest.py").place, {"03": 98.0, "07": 33.0}
    files = [
        "tests/house/test_floors.py", "notebooks/07_super_resolution.ipynb", "tests/papers/test_gatys.py",
        "notebooks/03_gatys.ipynb", "tests/browser/test_pages.py", "notebooks/12_new.ipynb",
    ]  # fmt: skip
    assert sorted(files, key=lambda file: place(file, seconds)) == [files[k] for k in (4, 3, 1, 5, 2, 0)]


def test_all_draws_many_examples_for_each_property(run: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []
    monkeypatch.setattr(
        run, "run", lambda *command, log=None: asked.append(os.environ.get("COURSE_LIB_EXAMPLES")) or (0, "")
    )
    monkeypatch.setattr(run.subprocess, "Popen", lambda *command, **options: unittest.mock.MagicMock(returncode=0))
    for given, arguments, expected in ((None, [], None), (None, ["--all"], "500"), ("9", ["--all"], "9")):
        monkeypatch.delenv("COURSE_LIB_EXAMPLES", raising=False)
        if given:
            monkeypatch.setenv("COURSE_LIB_EXAMPLES", given)
        run.main(arguments)
        assert asked[-1] == expected
