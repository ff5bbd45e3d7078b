"""Every stored run of these notebooks comes out of their code: made again at toy scale, it has the same keys.

The cells run with a library in which everything is small: pictures of 48 px, a random network, three steps. What a
number *is* does not matter here; that each one was written by the code does.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from course_lib import sample_image, save_image

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "data" / "results"
QUICK = "07_super_resolution"  # the one that takes least
NOTEBOOKS = [
    "04_choices",
    "05_what_it_costs",
    "06_fast_style",
    "07_super_resolution",
    "08_two_players",
    "09_pix2pix",
    "10_sketch_to_painting",
    "11_when_it_goes_wrong",
    "12_any_style",
]
TOY = """
import sys
from pathlib import Path

sys.path.insert(0, {root!r})
from course_lib import checks, claims, records
from scripts.notebook_script import script_of, split_script
from scripts.paper_queue.tasks import smaller

records.results_folder = lambda: Path({folder!r})
smaller.shrink_library("toy", weights=None)
checks.holds = claims.check = lambda *_, **__: None
header, cells = split_script(script_of(Path({notebook!r}), {{"PROFILE": "laptop"}}))
names = {{"__name__": "toy", "__file__": {root!r} + "/toy.py"}}
exec(header, names)
for source in (cell.source for cell in cells):
    try:
        exec(compile(smaller.shrink_code(source, "toy"), "cell", "exec"), names)
    except Exception as error:  # a live cell may stumble over toys; one that makes a stored run must not
        if "records.run(" in source:
            raise
"""


def keys(value):
    """The structure of a record: names all the way down, lists of anything as "list"."""
    if isinstance(value, dict):
        return {name: keys(inner) for name, inner in value.items()}
    return "list" if isinstance(value, list) else "one"


def measured(stored):
    """What a record keeps for the ledger: the names of its numbers by claim. Cases and rules are tested elsewhere."""
    return {name: set(found["values"]) for name, found in stored.get("claims", {}).items()}


def read(folder):
    return json.loads((folder / "record.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "notebook", [pytest.param(name, marks=[] if name == QUICK else pytest.mark.slow) for name in NOTEBOOKS]
)
def test_a_stored_run_made_again_has_the_same_keys(notebook, tmp_path, real_network):
    real_network("vgg16", ("relu1_1",))
    for name in ("Set5", "Set14", "BSD68"):  # the notebooks' own test sets do not come with the project
        (tmp_path / "sr" / name).mkdir(parents=True)
        save_image(sample_image("cat", (48, 64)), tmp_path / "sr" / name / "cat.png")
    for name, word in (("facades256", "labels"), ("sketches256", "sketch")):
        for split, count in (("train", 400), ("test", 100)):
            (tmp_path / name / split).mkdir(parents=True)
            for part, suffix in ((word, "png"), ("photo", "jpg")):
                first = tmp_path / name / split / f"0_{part}.{suffix}"
                save_image(sample_image("cat", (32, 32)), first)
                for k in range(1, count):
                    first.with_name(f"{k}_{part}.{suffix}").symlink_to(first)
    folder = tmp_path / "results"
    folder.mkdir()
    kept = sorted(path.parent.name for path in RESULTS.glob(f"{notebook[:2]}_*/record.json"))
    made_here = [name for name in kept if not re.search(r"benchmarks[./]", read(RESULTS / name)["command"])]
    for name in set(kept) - set(made_here):  # the notebook only reads these
        (folder / name).symlink_to(RESULTS / name)
    toy = TOY.format(root=str(ROOT), folder=str(folder), notebook=str(ROOT / "notebooks" / f"{notebook}.ipynb"))
    environment = {**os.environ, "COURSE_LIB_DATASETS": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", toy], cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert sorted(path.parent.name for path in folder.glob("*/record.json")) == kept
    for name in made_here:
        ours, again = read(RESULTS / name), read(folder / name)
        assert ours["command"].replace("book/execute.py", "-m scripts.execute") == again["command"], name
        assert set(ours["config"]) <= set(again["config"]), name  # a setting may be newer than the run
        for part in ("values", "images"):
            assert keys(again[part]) == keys(ours[part]), f"{name}: {part}"
        was, now = measured(ours), measured(again)
        assert set(was) == set(now), f"{name}: claims"
        assert all(was[claim] <= now[claim] for claim in was), f"{name}: claims"  # a number may be newer than the run
