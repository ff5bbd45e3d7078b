"""`train-upscale`: from a folder of photos to a network that `upscale` uses; stopped, resumed, and what it refuses."""

import functools
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from course_lib import load_image, save_image
from course_lib.__main__ import main
from course_lib.methods import super_resolution
from course_lib.methods.super_resolution import Config
from course_lib.training import loop, run

TINY = Config(
    factor=2, loss="pixel", num_steps=6, batch_size=2, image_size=16, width=0.1, num_blocks=0, upsampling="resize",
    norm="none", skip=True, weights=None, device="cpu",
)  # fmt: skip


@pytest.fixture
def photos(tmp_path, picture, monkeypatch):
    """A folder of two photos; `--config quick` is tiny; a checkpoint after every second step."""
    (tmp_path / "photos").mkdir()
    for k in range(2):
        save_image(picture(40, 36, k), tmp_path / "photos" / f"{k}.png")
    monkeypatch.setattr(Config, "quick", classmethod(lambda cls: TINY))
    monkeypatch.setattr(run, "fit", functools.partial(loop.fit, checkpoint_every=2))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(*more, folder="photos"):
    return main(["train-upscale", folder, "-o", "mine.safetensors", "--config", "quick", *map(str, more)])


def one_sentence(capsys):
    captured = capsys.readouterr()
    assert captured.err.startswith("course_lib: ")
    assert captured.err.count("\n") == 1, captured.err
    assert captured.out == ""
    return captured.err


def test_what_is_trained_enlarges(photos, capsys):
    assert train("--preview", "photos/0.png", "--preview-every", 3) == 0
    assert capsys.readouterr().out.startswith("mine.safetensors: 6 steps in ")
    assert super_resolution.load("mine.safetensors").config == replace(TINY, device="auto")
    assert main(["upscale", "photos/1.png", "-o", "large.png", "--model", "mine.safetensors", "--device", "cpu"]) == 0
    assert load_image("large.png").shape == (1, 3, 80, 72)


def test_the_preview_is_the_photo_reduced_and_enlarged_again(photos, picture):
    """By a network that only interpolates: with skip and no steps to learn, it returns bicubic interpolation."""
    save_image(picture(41, 37, 5), "odd.png")
    assert train("--preview", "odd.png", "--preview-every", 6) == 0
    shown, original = load_image("mine.preview.jpg"), load_image("odd.png")[..., :40, :36]
    assert shown.shape == original.shape
    small = super_resolution.reduce(original, 2, TINY.blur)
    made = super_resolution.upscale(small, super_resolution.load("mine.safetensors"), device="cpu").image
    assert (shown - made).abs().mean() < 0.02  # a JPEG of it


def test_the_options_are_fields_of_the_configuration(photos):
    options = {"--factor": 4, "--steps": 2, "--size": 24, "--batch": 1, "--seed": 7, "--device": "cpu"}
    assert train(*(word for pair in options.items() for word in pair)) == 0
    changed = {"factor": 4, "num_steps": 2, "image_size": 24, "batch_size": 1, "seed": 7}
    assert super_resolution.load("mine.safetensors").config == replace(TINY, **changed)
    assert train(*(word for pair in options.items() for word in pair), "--start", "mine.safetensors", "--fresh") == 0
    assert super_resolution.load("mine.safetensors").facts["started_from"] == "mine"


def test_ctrl_c_and_the_same_command_again_give_what_was_never_stopped(photos, monkeypatch, capsys):
    original, calls = super_resolution._reduced, []

    def counted(*arguments):
        calls.append(1)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)
        return original(*arguments)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(super_resolution, "_reduced", counted)
            assert train() == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert "the same command resumes from the last checkpoint" in capsys.readouterr().err
    assert not Path("mine.safetensors").exists()
    assert train("--batch", 1) == 2  # another run
    assert "--batch 2 (now 1); give the old values to resume it, or --fresh" in one_sentence(capsys)
    assert train() == 0
    stopped = super_resolution.load("mine.safetensors").network.state_dict()
    assert train("--fresh") == 0
    whole = super_resolution.load("mine.safetensors").network.state_dict()
    assert all(torch.equal(stopped[name], whole[name]) for name in whole)


@pytest.mark.parametrize(
    ("more", "folder", "said"),
    [
        (["--size", 15], "photos", "--size must be a multiple of the factor 2 and at least 10"),
        ([], "nowhere", "nowhere is not a folder; FOLDER needs a folder with pictures"),
        (["--preview", "small.png"], "photos", "small.png has 9 × 30 px; a photo for the preview needs sides"),
        (["--start", "nowhere.safetensors"], "photos", "there is no model file nowhere.safetensors"),
        (["--size", 100], "photos", "none of the 2 photos in photos can be used"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_said_in_one_sentence(photos, picture, capsys, more, folder, said):
    save_image(picture(30, 9, 1), "small.png")
    assert train(*more, folder=folder) == 2
    assert said in capsys.readouterr().err
    assert not Path("mine.safetensors").exists()


@pytest.mark.parametrize("word", ["fast", "quick", "paper", "released", None])
def test_the_configurations(monkeypatch, tmp_path, word):
    configs = []

    def never(photos, config, **options):
        configs.append(config)
        raise ValueError("enough")

    monkeypatch.setattr(super_resolution, "train", never)
    chosen = [] if word is None else ["--config", word]
    assert main(["train-upscale", "-o", str(tmp_path / "m.safetensors"), *chosen]) == 2
    assert configs == [Config() if word == "paper" else getattr(Config, word or "fast")()]
