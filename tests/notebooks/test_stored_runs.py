"""Every stored run comes out of its notebook's code: made again at toy scale, it has the same keys.

The notebook's script form runs with a library in which everything is small: pictures of 48 px, a random network,
three steps. What a number *is* does not matter here; that each one was written by the code does.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "data" / "results"
TOY = """
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, {root!r})
import course_lib
from course_lib import checks, claims, images, metrics, microscope, records
from course_lib.methods import gatys

records.results_folder = lambda: Path({folder!r})
original, sample = gatys.stylize, images.sample_image
small = dict(weights=None, precision="float32", device="cpu")


def stylize(content, style, config=None, *, callback=None, **options):
    config, seen = config or gatys.Config(), []
    toy = replace(config, num_steps=min(config.num_steps, 3), **small)
    result = original(content, style, toy, callback=seen.append, **options)
    for step in range(1, config.num_steps + 1):  # every step that a watcher may be waiting for
        if callback is not None:
            callback(replace(seen[min(step, len(seen)) - 1], step=step))
    long = {{name: (values * config.num_steps)[: config.num_steps] for name, values in result.history.items()}}
    return replace(result, history=long)


gatys.stylize = stylize
dissect = gatys.dissect
gatys.dissect = lambda image, content, style, config=None: dissect(
    image, content, style, replace(config or gatys.Config(), **small)
)
course_lib.sample_image = lambda name, size=None: sample(name, size=48)
checks.holds = claims.check = lambda *_, **__: None
exec(compile(Path({script!r}).read_text(encoding="utf-8"), {script!r}, "exec"), {{"__name__": "toy", "__file__": {script!r}}})
"""


def keys(value):
    """The structure of a record's values: names all the way down, lists of anything as 'list'."""
    if isinstance(value, dict):
        return {name: keys(inner) for name, inner in value.items()}
    return "list" if isinstance(value, list) else type(value).__name__.replace("int", "float")


@pytest.mark.parametrize("notebook", ["04", "05"])
def test_a_stored_run_made_again_has_the_same_keys(notebook, tmp_path, real_network):
    real_network("vgg16", ("relu1_1",))
    script, folder = tmp_path / "toy.py", tmp_path / "results"
    command = [sys.executable, "book/execute.py", "--script", notebook, "--profile", "laptop", "-o", str(script)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    kept = sorted(path.parent.name for path in RESULTS.glob(f"{notebook}_*/record.json"))
    assert kept
    by_benchmarks = [name for name in kept if "benchmarks/" in read(RESULTS / name)["command"]]
    folder.mkdir()
    for name in by_benchmarks:  # the notebook only reads these
        (folder / name).symlink_to(RESULTS / name)
    toy = TOY.format(root=str(ROOT), folder=str(folder), script=str(script))
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", toy], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    made = sorted(path.parent.name for path in folder.glob("*/record.json"))
    assert made == kept
    for name in kept:
        ours, again = read(RESULTS / name), read(folder / name)
        assert set(again["config"]) == set(ours["config"]), name
        for part in ("values", "images", "claims"):
            assert keys(again.get(part, {})) == keys(ours.get(part, {})), f"{name}: {part}"
        assert ours["command"] == again["command"], name


def read(folder):
    return json.loads((folder / "record.json").read_text(encoding="utf-8"))
