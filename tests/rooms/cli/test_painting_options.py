"""``stylize`` by optimization: sizes, scales, layers, paintings with weights, previews, and what it announces."""

from dataclasses import replace

import pytest
import torch

from course_lib import load_image, runtime, save_image
from course_lib.__main__ import main
from course_lib.cli import painting_watch
from course_lib.cli.arguments import weighted
from course_lib.cli.stylize_by_optimization import FEWEST, STEPS, steps_for
from course_lib.images import load_with_alpha
from course_lib.methods import gatys
from course_lib.painting import objective
from course_lib.picture_notes import read_note
from course_lib.pretrained.vgg import cached_network


@pytest.fixture
def calls(monkeypatch):
    """A small network in place of the real one; what the method is called with is kept, and one step is taken."""
    seen, original, network_for = [], gatys.stylize, objective.network_for

    def stylize(content, styles, config, **more):
        seen.append({"content": content, "styles": [*styles], "config": config})
        short = replace(config, weights=None, precision="float32", num_steps=min(3, config.num_steps), scales=None)
        return original(content, styles, short, **more)

    def random_network(config, layers):
        return network_for(replace(config, weights=None, precision="float32"), layers)

    monkeypatch.setattr(gatys, "stylize", stylize)
    monkeypatch.setattr(objective, "network_for", random_network)
    yield seen
    cached_network.cache_clear()


def stylize(files, *words):
    return main(["stylize", *files[:2], "-o", files[2], "--device", "cpu", *words])


def one_sentence(capsys):
    """What stands on standard error, which is a single line."""
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error


# --- two files and nothing else ---


def test_a_photo_is_painted_at_its_own_size_and_the_command_says_what_it_does(files, calls, capsys):
    assert stylize(files) == 0
    assert load_image(files[2]).shape == (1, 3, 60, 80)
    assert calls[0]["config"] == replace(gatys.Config.fast(), num_steps=STEPS, start="content", device="cpu")
    said = capsys.readouterr()
    assert said.err.startswith("course_lib: photo.png: 80 × 60 px, 60 steps, about ")
    assert said.err.endswith(" GB of memory; --method adain takes seconds\n")  # it is small already
    assert said.out.startswith(f"{files[2]}: 3 steps in ")


def test_a_large_photo_is_reduced_and_its_own_size_is_offered(files, calls, tmp_path, capsys):
    save_image(torch.rand(1, 3, 20, 2000), tmp_path / "photo.png")
    assert stylize(files, "--style-layers", "relu1_1", "--content-layers", "relu1_1") == 0
    assert load_image(files[2]).shape == (1, 3, 10, 1024)
    error = capsys.readouterr().err
    assert "photo.png: 1024 × 10 px, from coarse to fine, " in error
    assert error.endswith("; --size 512 is faster; --size original takes the photo's own size\n")
    assert calls[0]["config"].num_steps == FEWEST
    assert "--method adain" not in error  # it has no layers to choose
    assert stylize(files, "--style-layers", "relu1_1", "--content-layers", "relu1_1", "--size", "original") == 0
    assert load_image(files[2]).shape == (1, 3, 20, 2000)
    assert "--size original" not in capsys.readouterr().err


def test_opacity_is_reduced_with_the_photo(files, calls, tmp_path):
    alpha = torch.ones(1, 1, 20, 1100)
    alpha[..., :550] = 0
    save_image(torch.rand(1, 3, 20, 1100), tmp_path / "photo.png", alpha=alpha)
    assert stylize(files, "--style-layers", "relu1_1", "--content-layers", "relu1_1") == 0
    _, kept = load_with_alpha(files[2])
    assert kept.shape == (1, 1, 19, 1024)
    assert kept[..., :500].max() == 0


def test_without_a_size_the_photo_is_what_fits_into_the_memory(files, calls, monkeypatch, capsys):
    config = replace(gatys.Config.fast(), weights=None, precision="float32", device="cpu")
    room = gatys.memory_needed(36, 48, config)  # of 48 px
    monkeypatch.setattr(objective.runtime, "available_memory", lambda device: int(room * 1.01))
    assert stylize(files) == 0
    assert max(load_image(files[2]).shape[-2:]) in (48, 49)
    first, second = capsys.readouterr().err.splitlines()
    assert "photo.png: reduced to 4" in first
    assert "the largest that fits into the free memory; --size N sets another" in first
    assert " px, 60 steps, about " in second
    assert stylize(files, "--size", "original") == 2  # what was asked for is not made smaller
    error = capsys.readouterr().err.splitlines()[-1]
    assert "the largest that fits has a long side of 4" in error
    assert error.endswith("; a smaller --history or --optimizer adam needs less")


def test_fewer_steps_at_large_sizes():
    assert [steps_for(long) for long in (16, 256, 512, 600, 1024, 8000)] == [60, 60, 60, 51, 30, 30]


def test_a_size_in_pixels_keeps_its_steps(files, calls):
    for words in (["--size", "600"], ["--size", "600", "--steps", "2"]):
        layers = ["--style-layers", "relu1_1", "--content-layers", "relu1_1"]
        assert stylize(files, *words, *layers) == 0
    assert [call["config"].num_steps for call in calls] == [STEPS, 2]


# --- what reaches the method ---


def test_every_option_sets_its_field(files, calls):
    words = {
        "--scales": "32 48", "--style-scale": "0.5", "--style-layers": "relu1_1 relu2_1", "--layer-weights": "2 1",
        "--content-layers": "relu2_2", "--optimizer": "lbfgs", "--history": "7", "--precision": "float32",
        "--steps": "2", "--size": "64",
    }  # fmt: skip
    assert stylize(files, *(part for name, value in words.items() for part in (name, *value.split()))) == 0
    expected = replace(
        gatys.Config.fast(), scales=(32, 48), style_scale=0.5, style_layers=("relu1_1", "relu2_1"),
        style_layer_weights=(2.0, 1.0), content_layers=("relu2_2",), history_size=7, precision="float32", num_steps=2,
        start="content", device="cpu",
    )  # fmt: skip
    assert calls[0]["config"] == expected


def test_words_in_place_of_numbers(files, calls):
    assert stylize(files, "--size", "48", "--scales", "off", "--layer-weights", "equal", "--optimizer", "adam") == 0
    config = calls[0]["config"]
    assert (config.scales, config.style_layer_weights, config.optimizer) == (None, "equal", "adam")
    assert stylize(files, "--size", "48", "--style-scale", "1", "1", "1", "0.5", "0.5") == 0
    assert calls[1]["config"].style_scale == (1, 1, 1, 0.5, 0.5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--scales", "off", "32"], "--scales is off or a list of sizes in pixels, not both"),
        (["--layer-weights", "evenly"], "--layer-weights is equal, balanced, or a number for each style layer"),
        (["--layer-weights", "1", "2"], "--layer-weights"),
        (["--style-scale", "0"], "--style-scale must be a finite number greater than 0, got 0.0"),
        (["--style-scale", "1", "2"], "style"),
        (["--style-layers", "conv9_9"], "conv9_9"),
        (["--optimizer", "adam", "--history", "5"], "--history has no effect with --optimizer adam"),
        (["--preview", "now.gif"], "now.gif: unknown suffix '.gif'"),
        (["--preview", "{photo}"], "photo.png would be overwritten"),
    ],
)
def test_what_does_not_fit_ends_in_one_sentence(files, calls, capsys, words, message):
    assert stylize(files, "--size", "48", *(word.format(photo=files[0]) for word in words)) == 2
    assert message in one_sentence(capsys)


@pytest.mark.parametrize(
    "words",
    ["--scales 64", "--history 3", "--optimizer adam", "--preview a.png", "--save-every 3", "--style-scale 2",
     "--layer-weights equal"],
)  # fmt: skip
def test_what_only_optimization_has_is_refused_in_one_pass(files, wave, capsys, words):
    assert main(["stylize", files[0], "--model", str(wave), "-o", files[2], *words.split()]) == 2
    assert f"{words.split()[0]} has no effect with --model" in one_sentence(capsys)


# --- several paintings ---


def test_a_weight_after_a_colon(files, calls, tmp_path):
    second = str(tmp_path / "photo.png")
    for first, other, blend in (
        (f"{files[1]}:2", second, (2, 1)), (files[1], f"{second}:0.5", (1, 0.5)), (files[1], second, None),
        ("great_wave:3", f"{second}:1", (3, 1)),
    ):  # fmt: skip
        words = ["stylize", files[0], first, "--style", other, "-o", files[2], "--size", "48", "--device", "cpu"]
        assert main(words) == 0
        assert calls[-1]["config"].style_blend == blend


def test_a_file_with_a_colon_is_a_file(files, calls, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b.png:2").write_bytes((tmp_path / "painting.jpg").read_bytes())
    assert weighted("b.png:2") == ("b.png:2", None)
    assert weighted("c.png:2") == ("c.png", 2.0)
    assert weighted(r"C:\paintings\2") == (r"C:\paintings\2", None)
    assert weighted("C:2") == ("C:2", None)  # a file called 2 in drive C
    assert weighted(r"C:\a.jpg:2") == (r"C:\a.jpg", 2.0)
    assert weighted("a.jpg:half") == ("a.jpg:half", None)
    assert main(["stylize", "photo.png", "b.png:2", "-o", "out.png", "--size", "48", "--device", "cpu"]) == 0
    assert calls[0]["config"].style_blend is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--style", "{photo}:2", "--weights", "1", "2"], "--weights and the weight after {photo}: say the same thing"),
        (["--style", "{photo}:-2"], "--weights must be a finite number of at least 0, got -2.0"),
        (["--style", "{photo}:nan"], "--weights must be a finite number of at least 0, got nan"),
    ],
)
def test_weights_that_make_no_sense(files, calls, capsys, words, message):
    assert stylize(files, "--size", "48", *(word.format(photo=files[0]) for word in words)) == 2
    assert message.format(photo=files[0]) in one_sentence(capsys)
    assert main(["stylize", files[0], f"{files[1]}:2", "-o", files[2]]) == 2
    assert "painting.jpg: has no effect with a single style; leave it out" in one_sentence(capsys)


def test_a_weight_after_the_name_of_a_painting(files, paintings, tmp_path):
    words = ["stylize", files[0], "--model", str(paintings), "--device", "cpu"]
    colon, list_ = str(tmp_path / "a.png"), str(tmp_path / "b.png")
    assert main([*words, "--style", "red:3", "--style", "blue", "-o", colon]) == 0
    assert main([*words, "--style", "red", "--style", "blue", "--weights", "3", "1", "-o", list_]) == 0
    assert load_image(colon).equal(load_image(list_))


# --- watching ---


def test_copies_after_every_n_steps(files, calls, tmp_path):
    assert stylize(files, "--size", "48", "--steps", "3", "--save-every", "1") == 0
    names = sorted(path.name for path in tmp_path.glob("out*.png"))
    assert names == ["out.png", "out_0001.png", "out_0002.png", "out_0003.png"]
    assert load_image(tmp_path / "out_0003.png").equal(load_image(files[2]))
    assert not load_image(tmp_path / "out_0001.png").equal(load_image(files[2]))
    assert read_note(tmp_path / "out_0001.png") == read_note(files[2])


def test_a_preview_is_replaced_while_the_picture_is_painted(files, calls, tmp_path, monkeypatch):
    monkeypatch.setattr(painting_watch, "BETWEEN", 0.0)
    seen, original = [], painting_watch.save_image

    def save(image, path):
        original(image, path)
        seen.append(load_image(path))

    monkeypatch.setattr(painting_watch, "save_image", save)
    preview = tmp_path / "now.jpg"
    assert stylize(files, "--size", "48", "--steps", "3", "--preview", str(preview)) == 0
    assert [tuple(image.shape) for image in seen] == [(1, 3, 36, 48)] * 3
    assert not seen[0].equal(seen[2])


def test_a_preview_that_cannot_be_written_ends_nothing(files, calls, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(painting_watch, "BETWEEN", 0.0)

    def full(image, path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(painting_watch, "save_image", full)
    assert stylize(files, "--size", "48", "--steps", "3", "--preview", str(tmp_path / "now.png")) == 0
    said = capsys.readouterr()
    assert said.err.count("no preview") == 1
    assert "step 1: no preview (" in said.err
    assert "no space left on device); painting continues" in said.err
    assert said.out.startswith(f"{files[2]}: 3 steps in ")


def test_more_memory_is_no_reason_to_reduce(files, calls, monkeypatch):
    monkeypatch.setattr(runtime, "available_memory", lambda device: None)  # unknown
    assert stylize(files) == 0
    assert load_image(files[2]).shape == (1, 3, 60, 80)
