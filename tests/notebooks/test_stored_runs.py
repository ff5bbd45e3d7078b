"""Every stored run of these notebooks comes out of their code: made again at toy scale, it has the same keys.

The cells run with a library in which everything is small: pictures of 48 px, a random network, three steps. What a
number *is* does not matter here; that each one was written by the code does.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from course_lib import sample_image, save_image

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "data" / "results"
NOTEBOOKS = [
    "04_choices",
    "05_what_it_costs",
    "06_fast_style",
    "07_super_resolution",
    "08_two_players",
    "09_pix2pix",
    "10_sketch_to_painting",
    "11_when_it_goes_wrong",
]
TOY = """
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, {root!r})
import nbformat
import course_lib
from course_lib import checks, claims, images, records, segmenter
from course_lib.methods import gan, gatys, johnson, pix2pix, super_resolution

records.results_folder = lambda: Path({folder!r})
original, dissect, sample = gatys.stylize, gatys.dissect, images.sample_image
fixed = dict(weights=None, precision="float32", device="cpu")
small = dict(fixed, style_scale=1.0)


def stylize(content, style, config=None, *, callback=None, **options):
    config, seen = config or gatys.Config(), []
    toy = replace(config, num_steps=min(config.num_steps, 3), **small)
    keep = lambda progress: seen.append(replace(progress, image=lambda picture=progress.image(): picture))
    result = original(content, style, toy, callback=keep, **options)
    if callback is not None:  # every step that a watcher may be waiting for
        for step in range(1, config.num_steps + 1):
            callback(replace(seen[min(step, len(seen)) - 1], step=step))
    long = {{name: (values * config.num_steps)[: config.num_steps] for name, values in result.history.items()}}
    return replace(result, history=long)


gatys.stylize = stylize
gatys.dissect = lambda image, content, style, config: dissect(image, content, style, replace(config, **small))
course_lib.sample_image = lambda name, size=None: sample(name, size=(48, 48) if isinstance(size, tuple) else 48)
tiny = dict(fixed, num_steps=2, batch_size=1, image_size=40, width=0.1)
photos = [sample(name, size=(48, 48)) for name in ("cat", "coffee")]
learn, teach = johnson.train, super_resolution.train
johnson.train = lambda style, _, config, **__: learn(style, photos, replace(config, style_size=48, **tiny))
johnson.load = lambda name: johnson.train(photos[0], None, johnson.Config.fast())
super_resolution.train = lambda _, config: teach(photos, replace(config, **tiny))
super_resolution.load = lambda name: super_resolution.train(
    None, replace(super_resolution.Config.fast(), factor=int(name[len("photo_x")]), loss="pixel")
)
play = gan.train
gan.train = lambda data, config, **more: play(data, replace(config, num_steps=min(config.num_steps, 3)), **more)
translate, teach_segmenter = pix2pix.train, segmenter.train_segmenter
small_pix2pix = dict(num_epochs=1, width=0.05, batch_size=1, precision="float32", device="cpu")
pix2pix.train = lambda pairs, config, **__: translate(pairs[:2], replace(config, **small_pix2pix))
segmenter.train_segmenter = lambda pairs, **__: teach_segmenter(pairs, num_steps=2, weights=None)
checks.holds = claims.check = lambda *_, **__: None
names = {{"__name__": "toy"}}
for cell in nbformat.read({notebook!r}, as_version=4).cells:
    tags = cell.metadata.get("tags", [])
    if cell.cell_type != "code" or {{"bootstrap", "play"}} & set(tags):
        continue
    source = cell.source.replace('PROFILE = "quick"', 'PROFILE = "laptop"').replace('"budget": 12.0', '"budget": 0.5')
    source = source.replace("steps=400", "steps=3").replace("steps=1000", "steps=3")
    source = source.replace('"steps": 80', '"steps": 3')
    try:
        exec(compile(source, "cell", "exec"), names)
    except Exception as error:  # a live cell may stumble over toys; one that makes a stored run must not
        if "records.run(" in source:
            raise
"""


def keys(value):
    """The structure of a record: names all the way down, lists of anything as "list"."""
    if isinstance(value, dict):
        return {name: keys(inner) for name, inner in value.items()}
    return "list" if isinstance(value, list) else "one"


def read(folder):
    return json.loads((folder / "record.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("notebook", NOTEBOOKS)
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
    made_here = [name for name in kept if "benchmarks/" not in read(RESULTS / name)["command"]]
    for name in set(kept) - set(made_here):  # the notebook only reads these
        (folder / name).symlink_to(RESULTS / name)
    toy = TOY.format(root=str(ROOT), folder=str(folder), notebook=str(ROOT / "notebooks" / f"{notebook}.ipynb"))
    environment = {**os.environ, "COURSE_LIB_DATASETS": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", toy], cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert sorted(path.parent.name for path in folder.glob("*/record.json")) == kept
    for name in made_here:
        ours, again = read(RESULTS / name), read(folder / name)
        assert ours["command"] == again["command"], name
        assert set(ours["config"]) == set(again["config"]), name
        for part in ("values", "images", "claims"):
            assert keys(again[part]) == keys(ours.get(part, {})), f"{name}: {part}"
