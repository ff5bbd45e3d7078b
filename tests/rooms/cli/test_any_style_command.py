"""``stylize`` in one pass: any painting (AdaIN), and paintings by name."""

import pytest
import torch
from PIL import Image

from course_lib import load_image, save_image
from course_lib.__main__ import main
from course_lib.methods import adain, multi_style
from course_lib.training import model_files


@pytest.fixture
def calls(decoder, monkeypatch):
    """The small decoder in place of the published one; the arguments of each call of the method are kept."""
    model, original, seen = adain.load(decoder), adain.stylize, []

    def stylize(content, styles, given, **options):
        assert given is model
        told = {name: value for name, value in options.items() if name != "callback"}
        seen.append({"sizes": [tuple(style.shape[-2:]) for style in styles], **told})
        return original(content, styles, given, **options)

    monkeypatch.setattr(adain, "published", lambda: model)
    monkeypatch.setattr(adain, "stylize", stylize)
    return seen


def one_sentence(capsys):
    """What stands on standard error, which is a single line."""
    error = capsys.readouterr().err
    assert error.startswith("course_lib: ")
    assert error.count("\n") == 1, error
    return error


def stylize(files, *words):
    return main(["stylize", files[0], files[1], "-o", files[2], "--method", "adain", *words])


# --- any painting ---


def test_any_painting_at_the_photos_own_size(files, calls, decoder, capsys):
    assert stylize(files) == 0
    assert capsys.readouterr().out.startswith(f"{files[2]}: one pass in ")
    expected = adain.stylize(load_image(files[0]), [load_image(files[1])], adain.published()).image
    torch.testing.assert_close(load_image(files[2]), expected, rtol=0, atol=0.51 / 255)
    assert calls[0] == {"sizes": [(50, 40)], "weights": None, "keep_colors": False, "masks": None, "device": "auto"}
    assert stylize(files, "--size", "40") == 0
    assert load_image(files[2]).shape == (1, 3, 30, 40)


def test_the_options_reach_the_method(files, calls, tmp_path, picture):
    save_image(picture(30, 30, 3), tmp_path / "other.png")
    words = ["--transform", "swap+adain", "--alpha", "0.5", "--keep-colors", "--tile", "32", "--device", "cpu"]
    assert stylize(files, *words, "--style", str(tmp_path / "other.png"), "--weights", "2", "1") == 0
    assert calls == [
        {
            "sizes": [(50, 40), (30, 30)], "weights": [2.0, 1.0], "keep_colors": True, "masks": None,
            "transform": "swap+adain", "alpha": 0.5, "tile": 32, "device": "cpu",
        }
    ]  # fmt: skip


def test_a_decoder_of_ones_own(files, decoder, capsys):
    for words in ([], ["--method", "adain"]):
        assert main(["stylize", files[0], files[1], "-o", files[2], "--model", str(decoder), *words]) == 0
        assert load_image(files[2]).shape == (1, 3, 60, 80)
    assert main(["stylize", files[0], "-o", files[2], "--model", str(decoder)]) == 2
    assert "no style was given; give a painting (STYLE) after the photos" in capsys.readouterr().err


def test_a_large_painting_is_read_smaller_and_a_narrow_one_stays_wide_enough(files, calls, tmp_path, picture):
    for size, expected in [((300, 900), (171, 512)), ((40, 2000), (17, 850))]:
        save_image(picture(*size, 1), tmp_path / "large.png")
        assert main(["stylize", files[0], str(tmp_path / "large.png"), "-o", files[2], "--method", "adain"]) == 0
        assert calls[-1]["sizes"] == [expected]


def test_several_photos_of_any_kind(files, calls, tmp_path, picture, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    save_image(picture(20, 33, 1), folder / "a.jpg")
    Image.new("L", (30, 20), 90).save(folder / "gray.png")
    save_image(picture(24, 24, 1), folder / "clear.png", alpha=torch.full((1, 1, 24, 24), 0.5))
    save_image(picture(4, 20, 1), folder / "tiny.png")
    out = tmp_path / "painted"
    assert main(["stylize", str(folder), files[1], "-o", str(out), "--method", "adain"]) == 1
    said = capsys.readouterr()
    assert said.out == f"{out}: 3 pictures, 1 skipped\n"
    assert "tiny.png: " in said.err
    assert {file.name for file in out.iterdir()} == {"a.jpg", "gray.png", "clear.png"}
    assert load_image(out / "a.jpg").shape == (1, 3, 20, 33)
    assert Image.open(out / "clear.png").mode == "RGBA"


def test_no_painting_is_overwritten(files, calls, tmp_path, capsys):
    for own in (files[0], files[1]):
        assert main(["stylize", *files[:2], "--style", files[1], "-o", own, "--method", "adain"]) == 2
        assert "would be overwritten" in one_sentence(capsys)
    assert main(["stylize", files[0], files[0], "--style", files[1], "-o", files[1], "--method", "adain"]) == 2
    assert "would be overwritten" in one_sentence(capsys)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--alpha", "2"], "--alpha must be in [0, 1], got 2.0"),
        (["--alpha", "nan"], "--alpha must be in [0, 1], got nan"),
        (["--weights", "1"], "--weights has no effect with a single style; leave it out, or add styles"),
        (
            ["--style", "{photo}", "--weights", "1"],
            "--weights needs a number for each of the 2 styles ({painting}, {photo})",
        ),
        (["--style", "{photo}", "--weights", "1", "2", "3"], "), got 3"),
        (["--style", "{photo}", "--weights", "1", "-1"], "--weights must be a finite number of at least 0, got -1.0"),
        (["--style", "{photo}", "--weights", "inf", "1"], "--weights must be a finite number"),
        (["--style", "{photo}", "--weights", "0", "0"], "--weights must have a finite sum above 0, got 0"),
        (["--style", "no_such_painting"], "there is no file no_such_painting"),
        (["--style", "none.png"], "none.png"),
        (["--style", "{text}"], "text.jpg is not a picture"),
        (["--style", "{tiny}"], "tiny.png has 30 × 9 px; a painting needs sides of at least 17 px"),
        (["--device", "gpu"], "unknown device 'gpu'"),
        (["--steps", "5"], "--steps has no effect with --method adain; leave it out"),
        (["--style-weight", "5"], "--style-weight has no effect with --method adain; leave it out"),
        (["--start", "noise"], "--start has no effect with --method adain; leave it out"),
        (["--seed", "0"], "--seed has no effect with --method adain; leave it out"),
        (["--model", "{wave}"], "which johnson trained; leave --method out"),
        (["--model", "none.safetensors"], "there is no model file none.safetensors"),
        (["--size", "5"], "sides of at least"),
    ],
)
def test_a_mistake_ends_in_one_sentence_before_anything_is_painted(
    files, calls, wave, tmp_path, picture, capsys, words, message
):
    (tmp_path / "text.jpg").write_text("no picture")
    save_image(picture(9, 30, 1), tmp_path / "tiny.png")
    places = {
        "photo": files[0],
        "painting": files[1],
        "wave": wave,
        "text": tmp_path / "text.jpg",
        "tiny": tmp_path / "tiny.png",
    }
    assert stylize(files, *(word.format(**places) for word in words)) == 2
    assert message.format(**places) in one_sentence(capsys)
    assert calls == [] or "--size" in words
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--transform", "adian"], "invalid choice: 'adian'"),
        (["--alpha", "much"], "expected a number, got 'much'"),
        (["--weights", "1", "photo.jpg"], "expected a number, got 'photo.jpg'; put pictures before this option"),
        (["--weights"], "expected at least one argument"),
        (["--method", "johnson"], "invalid choice: 'johnson'"),
    ],
)
def test_words_that_cannot_be_are_refused_by_the_parser(files, capsys, words, message):
    with pytest.raises(SystemExit) as caught:
        stylize(files, *words)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--transform wct", "--alpha 0"])
def test_what_only_one_pass_uses_is_refused_when_a_photo_is_optimized(files, capsys, option):
    words = option.format(photo=files[0]).split()
    assert main(["stylize", *files[:2], "-o", files[2], *words]) == 2
    assert f"{words[0]} has no effect without --method adain" in one_sentence(capsys)
    assert main(["stylize", *files[:2], "-o", files[2], "--method", "gatys", *words]) == 2
    assert f"{words[0]} has no effect without --method adain" in one_sentence(capsys)


def test_a_missing_painting(files, capsys):
    assert main(["stylize", files[0], "-o", files[2], "--method", "adain"]) == 2
    assert "no style was given; give a painting (STYLE) after the photos" in one_sentence(capsys)


# --- paintings by name ---


def test_a_painting_by_name(files, paintings, capsys):
    words = ["stylize", files[0], "-o", files[2], "--model", str(paintings), "--device", "cpu"]
    strongest = []
    for name in ("red", "green", "blue"):
        assert main([*words, "--style", name]) == 0
        strongest.append(load_image(files[2]).mean((0, 2, 3)).argmax().item())
    assert strongest == [0, 1, 2]
    assert capsys.readouterr().out.startswith(f"{files[2]}: one pass in ")


def test_paintings_are_mixed_by_their_weights(files, paintings):
    words = ["stylize", files[0], "-o", files[2], "--model", str(paintings), "--device", "cpu"]
    photo, model = load_image(files[0]), multi_style.load(paintings)
    for weights, shares in ([], {"blue": 1, "red": 1}), (["--weights", "3", "1"], {"blue": 3, "red": 1}):
        assert main([*words, "--style", "blue", "--style", "red", *weights]) == 0
        expected = multi_style.stylize(photo, model, shares, device="cpu").image
        torch.testing.assert_close(load_image(files[2]), expected, rtol=0, atol=0.51 / 255)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no style was given; name one with --style: {model} has red, green, blue"),
        (["--style", "gren"], "there is no style 'gren'. Did you mean 'green'? {model} has red, green, blue"),
        (["--style", "red", "--style", "red"], "--style red was given twice"),
        (["--style", "red", "--weights", "1"], "--weights has no effect with a single style"),
        (["--style", "red", "--style", "blue", "--weights", "1"], "for each of the 2 styles (red, blue), got 1"),
        (["--style", "red", "--style", "blue", "--weights", "0", "0"], "must have a finite sum above 0"),
        (["--style", "red", "--alpha", "0.5"], "--alpha has no effect with --model {model}; leave it out"),
        (["--style", "red", "--transform", "wct"], "--transform has no effect with --model {model}; leave it out"),
        (["--style", "red", "--mask", "red"], "--mask has no effect with --model {model}; leave it out"),
        (["--style", "red", "--steps", "5"], "--steps has no effect with --model {model}; leave it out"),
        (["--style", "red", "--seed", "0"], "--seed has no effect with --model {model}; leave it out"),
        (["--style", "red", "--method", "adain"], "which multi_style trained; leave --method out"),
        (["{painting}", "--style", "red"], "a trained network has learned its paintings, and --style names one"),
    ],
)
def test_a_mistake_with_named_paintings_ends_in_one_sentence(files, paintings, capsys, words, message):
    words = [word.format(painting=files[1]) for word in words]
    assert main(["stylize", files[0], "-o", files[2], "--model", str(paintings), *words]) == 2
    assert message.format(model=paintings) in one_sentence(capsys)


def test_a_network_of_one_painting_takes_no_names(files, wave, capsys):
    for words in (["--style", "wave"], ["--weights", "1"], ["--transform", "wct"], ["--alpha", "1"]):
        assert main(["stylize", files[0], "-o", files[2], "--model", str(wave), *words]) == 2
        assert f"{words[0]} has no effect with --model {wave}; leave it out" in one_sentence(capsys)


def test_an_empty_folder_and_a_folder_of_photos(files, paintings, tmp_path, picture, capsys):
    folder, out = tmp_path / "photos", tmp_path / "painted"
    folder.mkdir()
    words = ["stylize", str(folder), "--model", str(paintings), "--style", "red", "-o", str(out), "--device", "cpu"]
    assert main(words) == 2
    assert "has no pictures" in one_sentence(capsys)
    for name in ("a.png", "b.jpg"):
        save_image(picture(20, 24, 1), folder / name)
    assert main([*words, "--tile", "16"]) == 0
    assert capsys.readouterr().out == f"{out}: 2 pictures\n"


def test_the_list_of_networks_names_the_paintings(paintings, monkeypatch, capsys):
    monkeypatch.setattr(model_files, "models_folder", lambda: paintings.parent)
    assert main(["models"]) == 0
    assert "three  (multi_style, 3 styles: red green blue, 7 steps, " in capsys.readouterr().out
