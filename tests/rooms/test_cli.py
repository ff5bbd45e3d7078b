"""`python -m course_lib stylize`: the whole way on tiny pictures, Ctrl-C, and mistakes in one sentence."""

import signal
import subprocess
import sys

import pytest
import torch

from course_lib import __main__ as cli
from course_lib import load_image, save_image
from course_lib.__main__ import main
from course_lib.methods import gatys
from course_lib.weights import WeightsError


@pytest.fixture
def files(tmp_path, picture):
    """A photo, a painting, and where the result goes, as texts."""
    save_image(picture(60, 80, 1), tmp_path / "photo.png")
    save_image(1 - picture(50, 40, 2), tmp_path / "painting.jpg")
    return [str(tmp_path / name) for name in ("photo.png", "painting.jpg", "out.png")]


@pytest.fixture
def used(monkeypatch):
    """A small network in place of the real one; the configurations asked for are kept."""
    configs, original = [], gatys.stylize

    def stylize(content, style, config, **options):
        configs.append(config)
        settings = {**vars(config), "weights": None, "precision": "float32"}
        return original(content, style, gatys.Config(**settings), **options)

    monkeypatch.setattr(gatys, "stylize", stylize)
    return configs


def stylize(files, *more):
    return main(["stylize", files[0], files[1], "-o", files[2], *more])


def test_a_picture_is_painted_and_saved(files, used, capsys):
    assert stylize(files, "--size", "48", "--steps", "4", "--device", "cpu") == 0
    (config,) = used
    assert (config.num_steps, config.start, config.seed, config.device) == (4, "content", 0, "cpu")
    assert config.style_weight == gatys.Config().style_weight
    image = load_image(files[2])
    assert image.shape == (1, 3, 36, 48)
    assert (image - load_image(files[0], 48)).abs().mean() > 0.001
    out = capsys.readouterr().out
    assert out.startswith(f"{files[2]}: 4 steps in ")


def test_the_options_reach_the_method(files, used):
    options = {"--size": 40, "--steps": 2, "--style-weight": 5e3, "--start": "noise", "--device": "cpu", "--seed": 7}
    assert stylize(files, *(str(word) for pair in options.items() for word in pair)) == 0
    (config,) = used
    assert (config.style_weight, config.start, config.seed, config.num_steps) == (5000, "noise", 7, 2)
    assert load_image(files[2]).shape == (1, 3, 30, 40)


def test_ctrl_c_saves_the_picture_so_far(files, used, monkeypatch, capsys):
    # a process started in the background ignores the signal unless told otherwise
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    step, calls = gatys.LBFGS.step, []

    def interrupted(self, gradient):
        calls.append(1)
        if len(calls) == 4:
            signal.raise_signal(signal.SIGINT)  # what Ctrl-C sends, in the middle of the fourth step
        step(self, gradient)

    monkeypatch.setattr(gatys.LBFGS, "step", interrupted)
    try:
        with pytest.raises(SystemExit) as caught:
            stylize(files, "--size", "48", "--steps", "50")
    finally:
        signal.signal(signal.SIGINT, before)
    assert caught.value.code == 130
    error = capsys.readouterr().err
    assert f"stopped after step 3; saved {files[2]}" in error
    saved = load_image(files[2])
    monkeypatch.setattr(gatys.LBFGS, "step", step)
    assert stylize([*files[:2], files[2].replace("out", "three")], "--size", "48", "--steps", "3") == 0
    torch.testing.assert_close(saved, load_image(files[2].replace("out", "three")))


def test_ctrl_c_before_the_first_picture_saves_nothing(files, monkeypatch, capsys):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(gatys, "stylize", interrupted)
    save_image(torch.ones(1, 3, 5, 5), files[2])
    assert stylize(files) == 130
    assert capsys.readouterr().err.strip() == "course_lib: stopped."
    assert load_image(files[2]).shape == (1, 3, 5, 5)  # the old picture stays


@pytest.mark.parametrize("name", ["nowhere/out.png", "out.gif", "photo.png/out.png", "."])
def test_an_output_that_cannot_be_written_is_refused_before_any_work(files, tmp_path, monkeypatch, capsys, name):
    def never(*arguments, **options):
        raise AssertionError("work was done")

    monkeypatch.setattr(cli, "load_image", never)
    monkeypatch.setattr(gatys, "stylize", never)
    assert stylize([*files[:2], str(tmp_path / name)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("course_lib: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--style-weight", "-1"], "style_weight must be a finite number of at least 0, got -1.0"),
        (["--style-weight", "nan"], "style_weight must be a finite number"),
        (["--size", "12"], "relu5_1 needs an image of at least 16 px"),
        (["--device", "gpu"], "unknown device 'gpu'"),
    ],
)
def test_a_mistake_ends_in_one_sentence(files, used, capsys, arguments, message):
    assert stylize(files, "--steps", "1", *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("course_lib: ")
    assert message in error
    assert error.count("\n") == 1


def test_a_missing_photo_and_a_text_that_calls_itself_one(files, tmp_path, capsys):
    assert stylize([str(tmp_path / "phot.png"), *files[1:]]) == 2
    assert "Did you mean 'photo.png'?" in capsys.readouterr().err
    (tmp_path / "text.jpg").write_text("no picture")
    assert stylize([files[0], str(tmp_path / "text.jpg"), files[2]]) == 2
    assert "text.jpg" in capsys.readouterr().err


def test_a_picture_too_large_for_the_memory_ends_in_one_sentence(files, used, monkeypatch, capsys):
    monkeypatch.setattr(gatys.runtime, "available_memory", lambda device: 1_000_000)
    assert stylize(files, "--size", "80", "--steps", "1", "--device", "cpu") == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert error[0].startswith("course_lib: a picture of 60×80 px needs about")
    assert "the largest that fits has a long side of" in error[0]


def test_weights_that_cannot_be_had_end_in_one_sentence(files, monkeypatch, capsys):
    def unavailable(*arguments, **options):
        raise WeightsError("The network 'vgg19_normalized' is not available.")

    monkeypatch.setattr(gatys, "VGGFeatures", unavailable)
    gatys._cached_network.cache_clear()
    assert stylize(files, "--steps", "1") == 2
    assert capsys.readouterr().err == "course_lib: The network 'vgg19_normalized' is not available.\n"


def test_too_little_memory_ends_in_one_sentence(files, monkeypatch, capsys):
    def full(*arguments, **options):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore\nlines")

    monkeypatch.setattr(gatys, "stylize", full)
    assert stylize(files) == 2
    error = capsys.readouterr().err
    assert "out of memory" in error
    assert "--size" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--steps", "0"], ["--size", "-5"], ["--steps", "many"], ["--start", "photo"]])
def test_arguments_that_cannot_be_are_refused_by_the_parser(files, capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        stylize(files, *arguments)
    assert caught.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_a_run_that_breaks_saves_the_last_good_picture_and_says_why(files, used, capsys):
    assert stylize(files, "--size", "48", "--steps", "3", "--style-weight", "1e42") == 0
    error = capsys.readouterr().err
    assert "was not finite at step 1" in error
    torch.testing.assert_close(load_image(files[2]), load_image(files[0], 48), rtol=0, atol=1 / 255)


def test_help_says_what_there_is():
    done = subprocess.run([sys.executable, "-m", "course_lib", "--help"], capture_output=True, text=True, check=True)
    assert "stylize" in done.stdout
    assert "fetch" in done.stdout
