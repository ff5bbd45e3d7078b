"""`train-translation` with each method, Ctrl-C and the same command again; `cartoon`; mistakes in one sentence."""

import functools
import signal
from dataclasses import replace

import pytest
import torch

from course_lib import load_image, save_image
from course_lib.__main__ import main
from course_lib.cli import train_options, train_translation
from course_lib.data.cartoon import cartoon
from course_lib.methods import animegan, cyclegan, stargan, ugatit
from course_lib.training import loop, run

METHODS = {"cyclegan": cyclegan, "ugatit": ugatit, "stargan": stargan, "animegan": animegan}
TINY = {
    "cyclegan": replace(cyclegan.Config.quick(), num_epochs=2, batch_size=1, width=0.05, num_blocks=0),
    "ugatit": replace(ugatit.Config.quick(), num_steps=4, batch_size=1, width=0.05),
    "stargan": replace(stargan.Config.quick(), num_steps=4, batch_size=2, width=0.05, num_blocks=0),
    "animegan": replace(
        animegan.Config.quick(), num_epochs=4, init_epochs=1, batch_size=1, width=0.05, num_blocks=0, weights=None
    ),
}


@pytest.fixture
def folders(tmp_path, picture, monkeypatch):
    """Folders of two small pictures; `--config quick` is tiny; a checkpoint after every step."""
    for k, name in enumerate(("clear", "dusk", "rain")):
        (tmp_path / name).mkdir()
        for seed in range(2):
            save_image(picture(40, 36, 2 * k + seed), tmp_path / name / f"{seed}.png")
    for kind, config in TINY.items():
        quick = classmethod(lambda cls, config=config: replace(config, device="cpu"))
        monkeypatch.setattr(METHODS[kind].Config, "quick", quick)
    monkeypatch.setattr(run, "fit", functools.partial(loop.fit, checkpoint_every=1))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(kind, *more, folders=("clear", "dusk")):
    words = [*folders, "-o", "mine.safetensors", "--method", kind, "--config", "quick", *map(str, more)]
    return main(["train-translation", *words])


def one_sentence(capsys):
    captured = capsys.readouterr()
    assert captured.err.startswith("course_lib: ")
    assert captured.err.count("\n") == 1, captured.err
    assert captured.out == ""
    return captured.err


@pytest.mark.parametrize("kind", METHODS)
def test_what_is_trained_translates(folders, kind, capsys):
    preview = ["--preview", "clear/0.png", "--preview-every", "4"]
    assert train(kind, *preview, folders=("clear", "dusk", "rain") if kind == "stargan" else ("clear", "dusk")) == 0
    steps = {"animegan": 8}.get(kind, 4)
    assert capsys.readouterr().out.startswith(f"mine.safetensors: {steps} steps in ")
    model = METHODS[kind].load("mine.safetensors")
    assert model.config == replace(TINY[kind], **({"num_domains": 3} if kind == "stargan" else {}))
    side = 64
    height, width = load_image("mine.preview.jpg").shape[2:]
    assert (height, width) == (side, 58 * (3 if kind == "stargan" else 1))
    more = ["--to", "rain"] if kind == "stargan" else []
    assert main(["translate", "clear/0.png", "-o", "out.png", "--model", "mine.safetensors", *more]) == 0
    assert load_image("out.png").shape == (1, 3, 40, 36)
    if kind == "stargan":
        assert model.domains == ("clear", "dusk", "rain")


def test_ctrl_c_and_the_same_command_again_give_what_was_never_stopped(folders, monkeypatch, capsys):
    original, calls = ugatit.train_step, []

    def counted(*arguments):
        calls.append(1)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return original(*arguments)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(ugatit, "train_step", counted)
            assert train("ugatit") == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert "stopped after step 2; the same command resumes from the last checkpoint" in capsys.readouterr().err
    assert train("ugatit", "--size", 48) == 2  # another run
    assert "--size 32 (now 48); give the old values to resume it, or --fresh" in one_sentence(capsys)
    assert train("ugatit") == 0
    stopped = ugatit.load("mine.safetensors").network.state_dict()
    assert train("ugatit", "--fresh") == 0
    whole = ugatit.load("mine.safetensors").network.state_dict()
    assert all(torch.equal(stopped[name], whole[name]) for name in whole)


def test_the_options_are_fields_of_the_configuration(folders):
    options = {"--epochs": 2, "--size": 48, "--batch": 2, "--seed": 7, "--device": "cpu"}
    assert train("animegan", *(word for pair in options.items() for word in pair)) == 0
    changed = {"num_epochs": 2, "init_epochs": 0, "image_size": 48, "load_size": 54, "batch_size": 2, "seed": 7}
    assert animegan.load("mine.safetensors").config == replace(TINY["animegan"], device="cpu", **changed)
    assert train("animegan", "--start", "mine.safetensors", "--size", 48, "--epochs", 1, "--fresh") == 0
    assert animegan.load("mine.safetensors").facts["started_from"] == "mine"


@pytest.mark.parametrize("kind", METHODS)
def test_every_word_of_config_gives_that_configuration(kind):
    words = {
        "cyclegan": {"released": cyclegan.Config.released()},
        "ugatit": {"light": ugatit.Config.light_version()},
        "stargan": {},
        "animegan": {"v2": animegan.Config.v2(), "cartoongan": animegan.Config.cartoongan()},
    }[kind]
    config = METHODS[kind].Config
    words |= {"fast": config.fast(), "quick": config.quick(), "paper": config()}
    made = {word: train_options.configuration(METHODS[kind], word) for word in train_translation.CONFIGS[kind]}
    assert made == words


@pytest.mark.parametrize(
    ("kind", "more", "given", "said"),
    [
        ("cyclegan", [], ["clear"], "cyclegan learns from two folders, A and B, got 1"),
        ("ugatit", [], ["clear", "dusk", "rain"], "got 3; --method stargan takes more than two"),
        ("animegan", [], ["clear"], "animegan learns from two folders, photos and cartoons, got 1"),
        ("cyclegan", [], ["clear", "./clear"], "clear is given twice"),
        ("stargan", [], ["clear"], "stargan learns from two or more folders, one for each domain, got 1"),
        ("stargan", [], ["clear", "clear/../dusk", "dusk"], "dusk and dusk have one name, dusk, which is that of"),
        ("stargan", [], ["clear", "all"], "all cannot be a domain, because all means every domain there"),
        ("cyclegan", [], ["clear", "nowhere"], "nowhere is not a folder; give a folder of pictures"),
        ("cyclegan", [], ["clear", "clear/0.png"], "clear/0.png is not a folder"),
        ("cyclegan", [], ["clear", ""], "an empty word is not a folder"),
        ("cyclegan", [], ["clear", "empty"], "there are no pictures in empty"),
        ("cyclegan", ["--steps", 3], None, "--steps has no effect with cyclegan, whose length is given by --epochs"),
        ("stargan", ["--epochs", 3], None, "--epochs has no effect with stargan, whose length is given by --steps"),
        ("stargan", ["--size", 36], None, "--size must be a multiple of 16, at least 16, with these settings; got 36"),
        ("ugatit", ["--size", 10], None, "--size must be a whole number, at least 12, with these settings; got 10"),
        ("cyclegan", ["--size", 20], None, "--size must be a whole number of at least 24, got 20"),
        ("stargan", ["--batch", 9], None, "4 pictures do not fill a batch of 9; use a smaller --batch"),
        ("cyclegan", ["--seed", -1], None, "--seed must be a whole number"),
        ("cyclegan", ["--device", "gpu"], None, "unknown device 'gpu'"),
        ("cyclegan", ["--start", "clear/0.png"], None, "0.png is damaged or not a safetensors file"),
        ("cyclegan", ["--preview", "no_such_picture"], None, "there is no file no_such_picture"),
        ("cyclegan", ["--config", "v2"], None, "--config v2 is not for cyclegan, which has fast, quick, paper"),
        ("cyclegan", ["-o", "mine.png"], None, "the name of a model file must end in .safetensors, got mine.png"),
        ("cyclegan", ["-o", "nowhere/mine.safetensors"], None, "nowhere"),
    ],
)  # fmt: skip
def test_a_mistake_ends_in_one_sentence_and_leaves_nothing(folders, capsys, kind, more, given, said):
    for name in ("empty", "all"):
        (folders / name).mkdir()
    before = sorted(folders.rglob("*"))
    assert train(kind, *more, folders=given or ("clear", "dusk")) == 2
    assert said in one_sentence(capsys)
    assert sorted(folders.rglob("*")) == before


# --- cartoon
def test_photos_become_the_cartoons_of_the_filter(files, tmp_path, capsys):
    numbers = {"colors": 4, "smooth": 0.5, "line": 1.0, "ink": 0.5}
    words = [word for name, value in numbers.items() for word in (f"--{name}", str(value))]
    assert main(["cartoon", files[0], "-o", files[2], *words]) == 0
    expected = cartoon(load_image(files[0]), **numbers)
    assert (load_image(files[2]) - expected).abs().max() < 1.5 / 255
    assert "80 × 60 px in " in capsys.readouterr().out
    assert main(["cartoon", *files[:2], "-o", str(tmp_path / "drawn"), "--size", "32"]) == 0
    assert sorted(load_image(file).shape[2:] for file in (tmp_path / "drawn").iterdir()) == [(24, 32), (32, 26)]
    assert main(["cartoon", files[0], "-o", files[2]]) == 0
    assert (
        load_image(files[2]) - cartoon(load_image(files[0]))
    ).abs().max() < 1.5 / 255  # the defaults are the filter's


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--smooth", "-1"], "--smooth must be a finite number of at least 0, got -1"),
        (["--line", "0"], "--line must be a finite number greater than 0, got 0.0"),
        (["--ink", "1.5"], "--ink must be in [0, 1], got 1.5"),
    ],
)
def test_numbers_of_the_filter_out_of_range(files, tmp_path, capsys, more, said):
    assert main(["cartoon", files[0], "-o", files[2], *more]) == 2
    assert said in one_sentence(capsys)
    assert not (tmp_path / "out.png").exists()
