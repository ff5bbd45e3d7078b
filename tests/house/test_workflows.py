"""The workflows: they parse, their shell parses, and what they call exists. GitHub itself is not here to try them."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from course_lib.pretrained import catalog

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCHEDULED = ROOT / ".github" / "workflows" / "scheduled.yml"
TRUSTED = ("actions/",)


def steps(path: Path) -> list[tuple[str, dict[str, Any]]]:
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    return [(name, step) for name, job in jobs.items() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_is_well_formed(path: Path) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {"name", True, "jobs", "permissions"} <= set(content)  # YAML reads the key `on` as true
    for name, job in content["jobs"].items():
        assert "runs-on" in job, name
        needed = [job["needs"]] if isinstance(job.get("needs", []), str) else job.get("needs", [])
        assert set(needed) <= set(content["jobs"])
    for name, step in steps(path):
        assert ("run" in step) != ("uses" in step), f"{name}: {step}"
        assert "uses" not in step or step["uses"].startswith(TRUSTED), step["uses"]
        assert "uses" not in step or "@" in step["uses"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_its_shell_parses_and_calls_what_exists(path: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for name, step in steps(path):
        script = re.sub(r"\$\{\{.*?\}\}", "value", step.get("run", ""))
        said = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
        assert said.returncode == 0, f"{name}: {said.stderr}"
        assert set(re.findall(r"\bmake ([a-z]+)", script)) <= targets
        for file in re.findall(r"(?:^|\s)(?:/repository/)?(\.(?:github|ci)/[\w./]+)", script):
            assert (ROOT / file).exists(), file


def test_every_scheduled_check_reports_and_may_write_issues() -> None:
    content = yaml.safe_load(SCHEDULED.read_text(encoding="utf-8"))
    times = {entry["cron"] for entry in content[True]["schedule"]}
    for name, job in content["jobs"].items():
        last = job["steps"][-1]
        assert last["run"].startswith(".github/report.sh"), name
        assert last["if"] == "always()"
        assert {"GH_TOKEN", "GH_REPO", "RUN_URL"} <= set(last["env"])
        assert job["permissions"]["issues"] == "write"
        assert set(re.findall(r"schedule == '([^']*)'", job["if"])) <= times
        assert re.search(r"schedule == '", job["if"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_cache_of_networks_follows_the_list_of_networks(path: Path) -> None:
    keys = [step["with"]["key"] for _, step in steps(path) if step.get("uses", "").startswith("actions/cache@")]
    assert keys
    for key in keys:
        assert key == f"networks-${{{{ hashFiles('{Path(catalog.__file__).relative_to(ROOT).as_posix()}') }}}}"


def test_the_nightly_tests_leave_nothing_out() -> None:
    scripts = [step["run"] for name, step in steps(SCHEDULED) if name == "torch" and "make test" in step.get("run", "")]
    assert scripts == ["make test ARGS=--all"]
    options = subprocess.run(["make", "-n", "test", "ARGS=--all"], cwd=ROOT, capture_output=True, text=True).stdout
    assert "tests/run.py --all" in options


def test_eight_nights_run_the_book_with_the_seeds_2_to_9(tmp_path: Path) -> None:
    (script,) = (
        step["run"] for name, step in steps(SCHEDULED) if name == "seed" and "make book" in step.get("run", "")
    )
    (tmp_path / "make").write_text('#!/bin/bash\necho "$@" >> "$0.log"\n')
    (tmp_path / "date").write_text('#!/bin/bash\necho "$NOW"\n')
    for program in ("make", "date"):
        (tmp_path / program).chmod(0o755)
    for night in range(8):
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "NOW": str(1_800_000_000 + 86400 * night)}
        assert subprocess.run(["bash", "-ec", script], env=environment, capture_output=True).returncode == 0
    asked = (tmp_path / "make.log").read_text().splitlines()
    assert sorted(asked) == [f"book ARGS=-p SEED {seed}" for seed in range(2, 10)]


@pytest.fixture
def gh(tmp_path: Path) -> Path:
    """A stand-in for GitHub's program: it writes down what it is asked, and knows an open issue if `open` is there."""
    program = tmp_path / "gh"
    lines = [
        "#!/bin/bash",
        'echo "$1 $2 $3" >> "$0.log"',
        'if [ "$2" = list ]; then cat "$0.open" 2>/dev/null; fi',
        "exit 0",
    ]
    program.write_text("\n".join(lines))
    program.chmod(0o755)
    return program


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash runs the script")
@pytest.mark.parametrize(
    ("result", "already", "asked"),
    [
        ("failure", False, ["issue list", "label create", "issue create"]),
        ("failure", True, ["issue list", "issue comment"]),
        ("success", True, ["issue list", "issue close"]),
        ("success", False, ["issue list"]),
        ("cancelled", True, []),
    ],
)
def test_red_opens_or_comments_and_green_closes(gh: Path, result: str, already: bool, asked: list[str]) -> None:
    if already:
        gh.with_name("gh.open").write_text("7\n")
    environment = {"PATH": f"{gh.parent}:/usr/bin:/bin", "RUN_URL": "https://example.org/1"}
    report = [str(ROOT / ".github" / "report.sh"), "links", result]
    assert subprocess.run(report, env=environment, capture_output=True).returncode == 0
    log = gh.with_name("gh.log")
    lines = log.read_text().splitlines() if log.exists() else []
    assert [" ".join(line.split()[:2]) for line in lines] == asked
