"""Settings kept in a picture: what is stored and what is not, and ``--like``, which repeats them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from course_lib import __version__, load_image, save_image
from course_lib.__main__ import main
from course_lib.cli import recipe
from course_lib.methods import control, gatys
from course_lib.picture_notes import read_note


@pytest.fixture
def here(files, tmp_path, monkeypatch):
    """The working folder, with a photo and a painting; small networks in place of the real ones."""
    monkeypatch.chdir(tmp_path)
    for method in (gatys, control):
        original = method.stylize

        def stylize(content, styles, config, original=original, **more):
            return original(content, styles, replace(config, weights=None, precision="float32"), **more)

        monkeypatch.setattr(method, "stylize", stylize)
    return tmp_path


def kept(name):
    return json.loads(read_note(name))


WORDS = ["--size", "48", "--steps", "2", "--device", "cpu"]


def test_what_a_picture_keeps(here, tmp_path):
    photo, painting = str(tmp_path / "photo.png"), str(tmp_path / "painting.jpg")
    assert main(["stylize", photo, painting, "-o", "out.png", "--seed", "3", *WORDS]) == 0
    about = kept("out.png")
    assert about["program"] == f"course_lib {__version__}"
    assert about["options"] == {"size": 48, "steps": 2, "seed": 3}
    assert about["seed"] == 3
    assert about["photo"]["name"] == "photo.png"
    assert [entry["name"] for entry in about["styles"]] == ["painting.jpg"]
    assert len(about["photo"]["sha256"]) == 16
    assert str(tmp_path) not in read_note("out.png")  # no folder
    assert main(["stylize", photo, painting, "-o", "bare.png", "--no-settings", *WORDS]) == 0
    assert read_note("bare.png") is None
    assert load_image("bare.png").shape == load_image("out.png").shape


@pytest.mark.parametrize("name", ["out.png", "out.jpg", "out.webp", "out.tif"])
def test_the_same_picture_again(here, name):
    words = ["--style-weight", "70", "--start", "noise", "--seed", "5", "--scales", "off", "--style-scale", "0.9"]
    assert main(["stylize", "photo.png", "painting.jpg", "-o", name, *words, *WORDS]) == 0
    again = f"again{Path(name).suffix}"
    assert main(["stylize", "--like", name, "-o", again, "--device", "cpu"]) == 0
    assert load_image(again).equal(load_image(name))
    assert kept(again)["options"] == kept(name)["options"]


def test_another_photo_and_options_that_come_first(here, picture):
    assert main(["stylize", "photo.png", "painting.jpg", "-o", "out.png", "--keep-colors", *WORDS]) == 0
    save_image(picture(30, 40, 8), "other.png")
    assert main(["stylize", "other.png", "--like", "out.png", "-o", "new.png", "--steps", "1"]) == 0
    assert main(["stylize", "other.png", "painting.jpg", "-o", "expected.png", "--keep-colors", "--size", "48",
                 "--steps", "1"]) == 0  # fmt: skip
    assert load_image("new.png").equal(load_image("expected.png"))
    assert kept("new.png")["options"]["steps"] == 1


def test_networks_and_several_paintings(here, wave, paintings, tmp_path):
    for words in (
        ["--model", str(wave)],
        ["--model", str(paintings), "--style", "red:2", "--style", "blue"],
    ):
        assert main(["stylize", "photo.png", "-o", "out.png", "--device", "cpu", "--tile", "32", *words]) == 0
        assert main(["stylize", "--like", "out.png", "-o", "again.png", "--device", "cpu"]) == 0
        assert load_image("again.png").equal(load_image("out.png"))
    assert kept("again.png")["style names"] == ["red", "blue"]
    assert kept("again.png")["options"]["weights"] == [2, 1]
    assert main(["stylize", "photo.png", "painting.jpg:3", "--style", "great_wave", "-o", "two.png", *WORDS]) == 0
    assert main(["stylize", "--like", "two.png", "-o", "again.png"]) == 0
    assert load_image("again.png").equal(load_image("two.png"))


def test_masks_and_strokes(here, tmp_path):
    left, right = torch.tensor([0.9, 0.1, 0.1]).view(1, 3, 1, 1), torch.tensor([0.1, 0.2, 0.8]).view(1, 3, 1, 1)
    save_image(torch.cat((left.expand(1, 3, 60, 40), right.expand(1, 3, 60, 40)), 3), "mask.png")
    words = ["--mask", "mask.png", "--style-mask", "blue", "--style", "photo.png", "--style-mask", "red"]
    assert main(["stylize", "photo.png", "painting.jpg", "-o", "out.png", *words, *WORDS]) == 0
    assert kept("out.png")["style_mask"] == ["blue", "red"]
    assert main(["stylize", "--like", "out.png", "-o", "again.png"]) == 0
    assert load_image("again.png").equal(load_image("out.png"))


def test_files_are_also_found_beside_the_picture(here, monkeypatch):
    assert main(["stylize", "photo.png", "painting.jpg", "-o", "out.png", *WORDS]) == 0
    (here / "elsewhere").mkdir()
    monkeypatch.chdir(here / "elsewhere")
    assert main(["stylize", "--like", "../out.png", "-o", "again.png"]) == 0
    assert load_image("again.png").equal(load_image("../out.png"))


def test_files_that_are_missing_or_another_one(here, picture, capsys):
    assert main(["stylize", "photo.png", "painting.jpg", "-o", "out.png", *WORDS]) == 0
    capsys.readouterr()
    Path("painting.jpg").rename("renamed.jpg")
    assert main(["stylize", "--like", "out.png", "-o", "again.png"]) == 2
    error = capsys.readouterr().err
    assert error == (
        "course_lib: out.png was made with the painting painting.jpg, which is neither in the working folder nor "
        "beside it; put it there, or leave --like out\n"
    )
    save_image(picture(50, 40, 9), "painting.jpg")
    assert main(["stylize", "--like", "out.png", "-o", "again.png"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("course_lib: painting.jpg is not the painting that out.png was made with: its digest is ")
    assert error.count("\n") == 1
    assert not Path("again.png").exists()


def test_a_picture_that_does_not_say(here, capsys):
    save_image(torch.rand(1, 3, 8, 8), "plain.png")
    save_image(torch.rand(1, 3, 8, 8), "other.png", note='["of another program"]')
    save_image(torch.rand(1, 3, 8, 8), "text.png", note="{half")
    for name in ("plain.png", "other.png", "text.png", "photo.png"):
        assert main(["stylize", "--like", name]) == 2
        assert f"{name} does not say what it was painted with" in capsys.readouterr().err
    assert main(["stylize"]) == 2
    assert "no photo was given; give photos and a painting, or --like" in capsys.readouterr().err


def test_another_version_is_said(here, monkeypatch, capsys):
    monkeypatch.setattr(recipe, "__version__", "0.0.1")
    assert main(["stylize", "photo.png", "painting.jpg", "-o", "out.png", *WORDS]) == 0
    monkeypatch.setattr(recipe, "__version__", "9.9")
    capsys.readouterr()
    assert main(["stylize", "--like", "out.png", "-o", "again.png"]) == 0
    assert "out.png was painted by course_lib 0.0.1; this is 9.9, whose results may differ" in capsys.readouterr().err
