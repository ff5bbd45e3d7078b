"""Many pictures in one command: which ones, where the results go, what is refused before, and what one failure does."""

import os
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from course_lib import runtime
from course_lib.__main__ import main
from course_lib.cli import batch, plans
from course_lib.cli.batch import Job, Made, Plan, plan
from course_lib.images import load_image, load_with_alpha, save_image
from course_lib.methods import johnson, pix2pix, super_resolution

SMALL = {"width": 0.1, "num_blocks": 1, "weights": None, "device": "cpu", "precision": "float32"}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with pictures: two of one name in different folders, a hidden one, a note."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.png", "photos/a.jpg", "photos/c.bmp", "photos/sub/a.jpg", "photos/sub/d.png"):
        place = tmp_path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 12), (40, 90, 200)).save(place)
    (tmp_path / "photos" / "notes.txt").write_text("a note")
    (tmp_path / "photos" / "._a.jpg").write_text("what macOS leaves")
    return tmp_path


@pytest.fixture
def models(tmp_path):
    """Untrained networks as files: one that paints, one that doubles, one that translates pictures of 8 px."""
    made = {}
    for method, config in (
        (johnson, johnson.Config(**SMALL, norm="instance", upsampling="resize")),
        (super_resolution, super_resolution.Config(**SMALL, factor=2)),
        (pix2pix, pix2pix.Config(image_size=8, load_size=None, width=0.05, norm="instance", dropout=())),
    ):
        made[method.KIND] = tmp_path / f"{method.KIND}.safetensors"
        method.save(method.Model(method.build(config), config, {}), made[method.KIND])
    return made


def named(work):
    return {str(job.source): str(job.target) for job in work.jobs}


# --- which pictures, and where they go ---


def test_one_picture_goes_into_the_file_that_is_named(here):
    assert plan(["a.jpg"], "new.png").folder is None
    assert named(plan(["a.jpg"], "new.png")) == {"a.jpg": "new.png"}
    assert named(plan(["b.*"], "new.png")) == {"b.png": "new.png"}  # a pattern that one file matches
    assert named(plan(["b.*"], "new")) == {"b.png": "new/b.png"}


@pytest.mark.parametrize("out", ["photos", "new/"])
def test_one_picture_may_go_into_a_folder(here, out):
    work = plan(["b.png"], out)
    assert named(work) == {"b.png": os.path.join(out, "b.png")}
    assert work.folder is not None


def test_a_folder_keeps_names_and_with_recursive_its_tree(here):
    assert named(plan(["photos"], "out")) == {"photos/a.jpg": "out/a.jpg", "photos/c.bmp": "out/c.bmp.png"}
    assert named(plan(["photos"], "out", recursive=True)) == {
        "photos/a.jpg": "out/a.jpg",
        "photos/c.bmp": "out/c.bmp.png",
        "photos/sub/a.jpg": "out/sub/a.jpg",
        "photos/sub/d.png": "out/sub/d.png",
    }


def test_files_folders_and_patterns_together(here):
    assert named(plan(["b.png", "photos"], "out")) == {
        "b.png": "out/b.png", "photos/a.jpg": "out/a.jpg", "photos/c.bmp": "out/c.bmp.png",
    }  # fmt: skip
    assert set(named(plan(["photos/*/*.png", "photos/*.bmp"], "out"))) == {"photos/sub/d.png", "photos/c.bmp"}
    assert set(named(plan(["**/d.png", "b.png"], "out"))) == {"photos/sub/d.png", "b.png"}
    assert set(named(plan(["b.png", "*.png"], "new.png"))) == {"b.png"}  # the same file twice is one picture


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(here):
    (here / "a[1].png").write_bytes((here / "b.png").read_bytes())
    assert named(plan(["a[1].png"], "new.png")) == {"a[1].png": "new.png"}


@pytest.mark.parametrize("one_file", [True, False])
def test_names_that_differ_in_upper_case_are_one_file_on_some_systems(here, monkeypatch, one_file):
    (here / "photos" / "sub" / "B.JPG").write_bytes((here / "a.jpg").read_bytes())
    (here / "b.jpg").write_bytes((here / "a.jpg").read_bytes())
    monkeypatch.setattr(plans, "_CASE_IS_NO_DIFFERENCE", one_file)
    words = ["b.jpg", "photos/sub/B.JPG"]
    if one_file:
        with pytest.raises(ValueError, match="b.jpg and photos/sub/B.JPG would both become out/B.JPG"):
            plan(words, "out")
    else:
        assert len(plan(words, "out").jobs) == 2


def test_results_of_an_earlier_run_are_no_input(here):
    (here / "photos" / "out").mkdir()
    (here / "photos" / "out" / "a.jpg").write_bytes((here / "a.jpg").read_bytes())
    found = named(plan(["photos"], "photos/out", recursive=True))
    assert "photos/out/a.jpg" not in found
    assert len(found) == 4


@pytest.mark.parametrize(
    ("words", "out", "message"),
    [
        (["a.jpg", "photos/a.jpg"], "out", "a.jpg and photos/a.jpg would both become out/a.jpg; rename one"),
        (["photos", "photos/sub"], "out", "photos/a.jpg and photos/sub/a.jpg would both become out/a.jpg"),
        (["a.jpg"], "a.jpg", "a.jpg would be overwritten by a result; give another name after -o"),
        (["a.jpg"], "./photos/../a.jpg", "a.jpg would be overwritten by a result"),
        (["a.jpg"], "b.png", "b.png would be overwritten by a result"),  # another file that the command reads
        (["photos"], "photos", "photos/a.jpg would be overwritten by a result"),
        (["a.jpg", "photos"], "b.png", "b.png is a file, and 3 pictures need a folder"),
        (["a.jpg", "b.png"], "new.png", "2 pictures need a folder, and new.png is the name of a picture"),
        (["photos"], "new.png", "2 pictures need a folder, and new.png is the name of a picture"),
        (["*.gif"], "out", "no file matches the pattern [*].gif"),
        (["a.jpg"], "new.gif", "new.gif: unknown suffix '.gif'"),
        (["a.jpg"], "new", "new: unknown suffix ''"),
        (["a.jpg"], "", "the word after -o is empty"),
        (["a.jpg", " "], "out", "one of the words for pictures is empty"),
        (["a.jpg"], f"{'n' * 252}.png", "has a name of 256 bytes, and 255 are allowed; use a shorter one"),
        (["a.jpg"], "nowhere/new.png", "nowhere/new.png cannot be written, because .*nowhere does not exist"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_computed(here, words, out, message):
    with pytest.raises(ValueError, match=message):
        plan(words, out, others=[Path("b.png")])
    assert not (here / "out").exists()


def test_an_output_folder_with_another_picture_of_that_name_gets_the_new_one(here):
    assert named(plan(["a.jpg"], "photos")) == {"a.jpg": "photos/a.jpg"}


def test_hard_and_symbolic_links_to_an_input_are_inputs(here):
    (here / "soft.jpg").symlink_to(here / "a.jpg")
    os.link(here / "a.jpg", here / "hard.jpg")
    for out in ("soft.jpg", "hard.jpg"):
        with pytest.raises(ValueError, match="a.jpg would be overwritten"):
            plan(["a.jpg"], out)


def test_a_folder_without_pictures(here):
    (here / "empty").mkdir()
    with pytest.raises(ValueError, match="empty has no pictures$"):
        plan(["empty"], "out")
    (here / "nested").mkdir()
    (here / "photos" / "sub").rename(here / "nested" / "sub")
    with pytest.raises(ValueError, match="nested has no pictures; its subfolders have 2: add --recursive"):
        plan(["nested"], "out")


def test_a_word_that_is_neither_a_file_nor_a_picture_of_the_project(here):
    assert plan(["great_wave"], "new.png").jobs[0].source.name == "great_wave.jpg"
    with pytest.raises(ValueError, match=r"there is no file great_wav, and no picture .* Did you mean 'great_wave'"):
        plan(["great_wav"], "new.png")


# --- one that fails ---

MADE = Made(torch.zeros(1, 3, 4, 4), None, "made")


def work_of(here, *names):
    return Plan([Job(here / f"{name}.png", here / "out" / f"{name}.png") for name in names], here / "out")


def test_the_others_are_made_the_one_is_reported_and_the_code_is_1(here, capsys):
    def make(job):
        if job.source.stem == "bad":
            raise ValueError("it is bad")
        if job.source.stem == "big":
            raise RuntimeError("out of memory\nlong story")
        return MADE

    assert batch.run(work_of(here, "one", "bad", "big", "two"), make) == 1
    said = capsys.readouterr()
    assert said.out == f"{here / 'out'}: 2 pictures, 2 skipped\n"
    assert f"course_lib: skipped: {here / 'bad.png'}: it is bad\n" in said.err
    assert f"course_lib: skipped: {here / 'big.png'}: the memory is too small (out of memory)\n" in said.err
    assert sorted(path.name for path in (here / "out").iterdir()) == ["one.png", "two.png"]
    assert batch.run(work_of(here, "one", "two"), make) == 0


def test_if_all_fail_it_is_an_error_and_no_folder_is_left(here, capsys):
    def fail(job):
        raise ValueError("bad")

    with pytest.raises(ValueError, match="none of the 2 pictures could be made"):
        batch.run(work_of(here, "one", "two"), fail)
    assert capsys.readouterr().err.count("course_lib: skipped: ") == 2
    assert not (here / "out").exists()


def test_ctrl_c_says_what_is_there(here, capsys):
    def make(job):
        if job.source.stem == "two":
            raise KeyboardInterrupt
        return MADE

    with pytest.raises(KeyboardInterrupt):
        batch.run(work_of(here, "one", "two", "three"), make)
    said = capsys.readouterr()
    assert f"1 of 3 pictures were done before that; they are in {here / 'out'}" in said.err
    assert said.out == ""


def test_the_only_picture_of_a_folder_fails_with_its_own_sentence(here, capsys):
    def fail(job):
        raise ValueError("it is bad")

    with pytest.raises(ValueError, match="^it is bad$"):
        batch.run(work_of(here, "one"), fail)
    assert capsys.readouterr() == ("", "")
    assert not (here / "out").exists()


def test_a_folder_that_cannot_be_made_is_refused_before_anything_is_computed(here):
    with pytest.raises(ValueError, match="n* has a name of 256 bytes, and 255 are allowed"):
        plan(["a.jpg", "b.png"], "n" * 256)
    with pytest.raises(ValueError, match="a.jpg/out cannot be made, because a.jpg is a file"):
        plan(["a.jpg", "b.png"], "a.jpg/out")


def test_a_folder_that_cannot_be_made_later_is_said_without_the_number_of_the_error(here, models, capsys):
    out = f"deep/{'n' * 256}"
    assert main(["upscale", "a.jpg", "b.png", "-o", out, "--model", str(models["super_resolution"])]) == 2
    said = capsys.readouterr().err
    assert f"skipped: a.jpg: {out}: file name too long\n" in said
    assert "Errno" not in said
    assert not (here / "deep").exists()


def test_a_mistake_of_the_program_is_not_hidden(here):
    def broken(job):
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        batch.run(work_of(here, "one"), broken)


@pytest.mark.parametrize(
    ("verb", "kind", "shape"),
    [("stylize", "johnson", (12, 16)), ("upscale", "super_resolution", (24, 32)), ("translate", "pix2pix", (12, 16))],
)
def test_every_verb_takes_folders_and_skips_what_fails(here, models, capsys, verb, kind, shape):
    (here / "photos" / "sub" / "broken.png").write_text("no picture")
    (here / "photos" / "gone.png").symlink_to("nowhere.png")
    (here / "out").mkdir()
    (here / "out" / "c.bmp.png").mkdir()  # a target that cannot be written
    words = [verb, "photos", "-o", "out", "--model", str(models[kind]), "--device", "cpu", "--recursive"]
    assert main(words) == 1
    said = capsys.readouterr()
    assert said.out == "out: 3 pictures, 3 skipped\n"
    assert "photos/sub/broken.png is not a picture" in said.err
    assert "photos/gone.png is a link to nowhere.png, which does not exist" in said.err
    assert "out/c.bmp.png is a folder" in said.err
    for name in ("a.jpg", "sub/a.jpg", "sub/d.png"):
        assert load_image(here / "out" / name).shape == (1, 3, *shape)


def test_a_result_too_large_for_its_format_is_refused_before_it_is_computed(here, models, monkeypatch, capsys):
    save_image(torch.zeros(1, 3, 8, 8200), here / "wide.webp")
    monkeypatch.setattr(super_resolution, "upscale", lambda *a, **k: pytest.fail("computed"))
    for out in ("new.webp", "out/"):
        assert main(["upscale", "wide.webp", "-o", out, "--model", str(models["super_resolution"])]) == 2
        assert "will be 16,400 x 16, and .webp can hold at most 16,383 pixels" in capsys.readouterr().err
    assert not (here / "out").exists()


def test_a_result_too_large_for_the_memory_is_refused_before_it_is_computed(here, models, monkeypatch, capsys):
    monkeypatch.setattr(super_resolution, "upscale", lambda *a, **k: pytest.fail("computed"))
    monkeypatch.setattr(runtime, "available_memory", lambda device: 45 * 12 * 16)
    assert main(["upscale", "a.jpg", "-o", "new.png", "--model", str(models["super_resolution"])]) == 2
    said = capsys.readouterr().err
    assert "new.png: a picture of 24×32 px needs about" in said
    assert "the largest that fits has a long side of 16 px" in said


class Bar:
    """What a progress bar was told."""

    def __init__(self, **about):
        self.about, self.n, self.closed = about, 0, False

    def update(self, count):
        self.n += count

    def close(self):
        self.closed = True


def test_tiles_have_a_bar_and_a_picture_in_one_piece_has_none(here, models, monkeypatch):
    shown = []
    monkeypatch.setattr(batch, "bar", lambda **about: shown.append(Bar(**about)) or shown[-1])
    words = ["upscale", "a.jpg", "-o", "new.png", "--model", str(models["super_resolution"]), "--device", "cpu"]
    assert main(words) == 0
    assert shown == []
    assert main([*words, "--tile", "8"]) == 0
    (told,) = shown
    assert told.n == told.about["total"]
    assert told.about["desc"] == "a.jpg"
    assert told.closed


# --- opacity ---


@pytest.fixture
def cutout(here):
    """Blue on the left, nothing on the right, half of it in between."""
    pil = Image.new("RGBA", (16, 12), (0, 0, 0, 0))
    pil.paste((40, 90, 200, 255), (0, 0, 6, 12))
    pil.paste((40, 90, 200, 128), (6, 0, 8, 12))
    pil.save(here / "cutout.png")
    return here / "cutout.png"


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_a_painted_picture_keeps_its_opacity(cutout, models, suffix):
    assert main(["stylize", "cutout.png", "-o", f"new{suffix}", "--model", str(models["johnson"])]) == 0
    color, alpha = load_with_alpha(cutout)
    painted, kept = load_with_alpha(f"new{suffix}")
    assert torch.equal(kept, alpha)
    expected = johnson.stylize(color, johnson.load(models["johnson"])).image
    assert (painted - expected)[..., :6].abs().max() < (0.003 if suffix == ".png" else 0.1)


def test_an_enlarged_picture_keeps_its_opacity(cutout, models):
    assert main(["upscale", "cutout.png", "-o", "new.png", "--model", str(models["super_resolution"])]) == 0
    _, alpha = load_with_alpha("new.png")
    assert alpha.shape == (1, 1, 24, 32)
    assert alpha[..., :11].min() > 0.95
    assert alpha[..., 18:].max() < 0.05


def test_a_jpeg_is_laid_on_white_and_says_so(cutout, models, capsys):
    assert main(["stylize", "cutout.png", "-o", "new.jpg", "--model", str(models["johnson"])]) == 0
    said = capsys.readouterr().err
    assert said == (
        "course_lib: new.jpg: JPEG has no transparency, so cutout.png was blended with white; .png and .webp keep it\n"
    )
    on_white = johnson.stylize(load_image(cutout), johnson.load(models["johnson"])).image
    assert (load_image("new.jpg") - on_white).abs().mean() < 0.03


def test_a_sketch_on_transparent_paper_is_laid_on_white(cutout, models, monkeypatch):
    seen, original = [], pix2pix.translate
    monkeypatch.setattr(pix2pix, "translate", lambda image, *a, **k: seen.append(image) or original(image, *a, **k))
    assert main(["translate", "cutout.png", "-o", "new.png", "--model", str(models["pix2pix"])]) == 0
    assert torch.equal(seen[0], load_image(cutout))
    assert load_with_alpha("new.png")[1] is None


# --- the home folder, and what a shell leaves to the program ---


def test_the_home_folder_in_every_word_and_option(here, models, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(here))
    words = ["stylize", "~/a.jpg", "-o", "~/new.png", "--model=~/johnson.safetensors", "--device", "cpu"]
    assert main(words) == 0
    assert (here / "new.png").exists()
    assert main(["stylize", "~/photos/*.bmp", "--output=~/painted/", "--model=~/johnson.safetensors"]) == 0
    assert (here / "painted" / "c.bmp.png").exists()
    assert not (here / "~").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="colons are no part of names there")
def test_unusual_names(here, models):
    for name in ("with space.png", "täxt ½.png", "-dash.png", "a'b\"c.png", "semi;colon.png", "new\nline.png"):
        save_image(torch.zeros(1, 3, 12, 12), here / name)
        assert main(["upscale", "-o", f"out/{name}", "--model", str(models["super_resolution"]), "--", name]) in (0, 2)
    (here / "out").mkdir()
    for name in ("with space.png", "täxt ½.png", "-dash.png", "a'b\"c.png", "semi;colon.png"):
        assert main(["upscale", "-o", "out/", "--model", str(models["super_resolution"]), "--", name]) == 0
        assert load_image(here / "out" / name).shape == (1, 3, 24, 24)


def test_what_is_said_of_one_of_many_has_the_words_of_the_command(here, models, capsys):
    (here / "photos" / "gone.png").symlink_to("nowhere")
    (here / "photos" / "tiny.png").write_bytes((here / "b.png").read_bytes()[:40])
    words = ["upscale", "a.jpg", "b.png", "-o", "out", "--model", str(models["super_resolution"]), "--device", "mps:7"]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.count("Use --device auto.") == 2
    assert "device=" not in said
