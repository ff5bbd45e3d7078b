"""`translate` with a model that was trained without pairs; a method that keeps its calls stands in for the real one."""

from types import SimpleNamespace

import pytest
import torch

from course_lib import load_image, save_image
from course_lib.__main__ import main
from course_lib.cli import trained
from course_lib.methods import cyclegan
from course_lib.training import model_files


@pytest.fixture
def calls(monkeypatch):
    """What `translate` of the method was called with; from A to B a picture gets darker, from B to A brighter."""
    calls = []

    def translate(images, model, *, direction="AB", device="auto"):
        calls.append((tuple(images.shape), direction, device))
        factor = {"AB": 0.5, "BA": 1.5}[direction]
        return SimpleNamespace(image=(factor * images).clamp(0, 1), history={"seconds": [0.1]})

    model = SimpleNamespace(config=SimpleNamespace(image_size=32))
    method = SimpleNamespace(KIND="cyclegan", load=lambda path: model, translate=translate)
    monkeypatch.setitem(trained.METHODS, "cyclegan", method)
    return calls


@pytest.fixture
def seasons(tmp_path):
    """A model file of this method."""
    folder = tmp_path / "data" / "models"
    folder.mkdir(parents=True)
    config = {"image_size": 32, "identity_weight": 0.0}
    model_files.write(folder / "seasons.safetensors", "cyclegan", torch.nn.Linear(2, 2), config, {"steps": 40})
    return folder / "seasons.safetensors"


def test_the_direction_reaches_the_method_and_the_size_stays(files, seasons, calls, capsys):
    words = ["translate", files[0], "-o", files[2], "--model", str(seasons), "--device", "cpu"]
    before = load_image(files[0]).mean()
    for more, brighter in ([], False), (["--direction", "AB"], False), (["--direction", "BA"], True):
        assert main([*words, *more]) == 0
        result = load_image(files[2])
        assert result.shape == (1, 3, 60, 80)
        assert (result.mean() > before) == brighter
    assert calls == [((1, 3, 60, 80), direction, "cpu") for direction in ("AB", "AB", "BA")]
    assert capsys.readouterr().err == ""


def test_size_and_pencil_work_as_with_pairs(files, seasons, calls):
    words = ["translate", files[0], "-o", files[2], "--model", str(seasons), "--size", "41", "--pencil"]
    assert main(words) == 0
    assert load_image(files[2]).shape == (1, 3, 31, 41)
    assert calls[0][0] == (1, 3, 31, 41)


def test_a_picture_far_larger_than_those_of_the_training_is_mentioned(files, seasons, calls, tmp_path, picture, capsys):
    save_image(picture(65, 70, 1), tmp_path / "large.png")
    assert main(["translate", str(tmp_path / "large.png"), "-o", files[2], "--model", str(seasons)]) == 0
    assert "the generator learned from pictures of 32 × 32 px" in capsys.readouterr().err


def test_the_list_of_models_says_that_it_has_both_directions(seasons, monkeypatch, capsys):
    monkeypatch.setenv("COURSE_LIB_DATA", str(seasons.parents[1]))
    assert main(["models"]) == 0
    assert capsys.readouterr().out.startswith("seasons  (cyclegan, both directions, 40 steps, ")


def test_a_real_model_translates_any_size_both_ways(files, tmp_path, capsys):
    """Untrained, but with other colors for each direction."""
    config = cyclegan.Config(image_size=32, load_size=None, mirror=False, width=0.05, num_blocks=1, patch=16)
    generators, path = cyclegan.build(config), tmp_path / "real.safetensors"
    for name, color in (("AB", [3.0, -3, -3]), ("BA", [-3.0, -3, 3])):
        generators[name].layers[-1].bias.data = torch.tensor(color)  # red, blue
    cyclegan.save(cyclegan.Model(generators, config, {"steps": 1}), path)
    words = ["translate", files[0], "-o", files[2], "--model", str(path), "--device", "cpu"]
    for more, size, strongest in (([], (60, 80), 0), (["--direction", "BA", "--size", "37"], (28, 37), 2)):
        assert main([*words, *more]) == 0
        result = load_image(files[2])
        assert result.shape == (1, 3, *size)
        assert result.mean((0, 2, 3)).argmax() == strongest
    assert capsys.readouterr().err == ""
