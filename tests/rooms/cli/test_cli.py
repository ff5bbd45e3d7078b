"""`python -m course_lib`: the whole way on tiny pictures and networks, Ctrl-C, and mistakes in one sentence."""

import signal
import subprocess
import sys

import pytest
import torch
from PIL import Image

from course_lib import load_image, sample_image, save_image
from course_lib.__main__ import main
from course_lib.cli import stylize_by_optimization
from course_lib.data.facades import Facades
from course_lib.methods import gatys, johnson, pix2pix, super_resolution
from course_lib.optimize.lbfgs import LBFGS
from course_lib.pretrained import vgg
from course_lib.pretrained.weights import WeightsError


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
    step, calls = LBFGS.step, []

    def interrupted(self, gradient):
        calls.append(1)
        if len(calls) == 4:
            signal.raise_signal(signal.SIGINT)  # what Ctrl-C sends, in the middle of the fourth step
        step(self, gradient)

    monkeypatch.setattr(LBFGS, "step", interrupted)
    try:
        with pytest.raises(SystemExit) as caught:
            stylize(files, "--size", "48", "--steps", "50")
    finally:
        signal.signal(signal.SIGINT, before)
    assert caught.value.code == 130
    error = capsys.readouterr().err
    assert f"stopped after step 3; saved {files[2]}" in error
    saved = load_image(files[2])
    monkeypatch.setattr(LBFGS, "step", step)
    assert stylize([*files[:2], files[2].replace("out", "three")], "--size", "48", "--steps", "3") == 0
    torch.testing.assert_close(saved, load_image(files[2].replace("out", "three")))


def test_ctrl_c_before_the_first_picture_saves_nothing(files, monkeypatch, capsys):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(gatys, "stylize", interrupted)
    save_image(torch.ones(1, 3, 5, 5), files[2])
    assert stylize(files, "--size", "48") == 130
    assert capsys.readouterr().err.strip() == "course_lib: stopped."
    assert load_image(files[2]).shape == (1, 3, 5, 5)  # the old picture stays


@pytest.mark.parametrize("name", ["nowhere/out.png", "out.gif", "photo.png/out.png", "."])
def test_an_output_that_cannot_be_written_is_refused_before_any_work(files, tmp_path, monkeypatch, capsys, name):
    def never(*arguments, **options):
        raise AssertionError("work was done")

    monkeypatch.setattr(stylize_by_optimization, "load_image", never)
    monkeypatch.setattr(gatys, "stylize", never)
    assert stylize([*files[:2], str(tmp_path / name)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("course_lib: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--style-weight", "-1"], "--style-weight must be a finite number of at least 0, got -1.0"),
        (["--style-weight", "nan"], "--style-weight must be a finite number"),
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

    monkeypatch.setattr(vgg, "VGGFeatures", unavailable)
    vgg.cached_network.cache_clear()
    assert stylize(files, "--steps", "1") == 2
    assert capsys.readouterr().err == "course_lib: The network 'vgg19_normalized' is not available.\n"


def test_too_little_memory_ends_in_one_sentence(files, monkeypatch, capsys):
    def full(*arguments, **options):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore\nlines")

    monkeypatch.setattr(gatys, "stylize", full)
    assert stylize(files, "--size", "48") == 2
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


def test_the_words_may_come_in_any_order(files, used, capsys):
    content, style, out = files
    for words in (["-o", out, content, style], [content, "-o", out, style], [content, style, "-o", out]):
        assert main(["stylize", "--steps", "1", "--size", "40", *words]) == 0
    with pytest.raises(SystemExit) as caught:
        main(["stylize", content, style, "-o", out, "--stpes", "3"])
    assert caught.value.code == 2
    assert "unrecognized arguments: --stpes 3" in capsys.readouterr().err
    assert main(["stylize", content, style, "-o", out, "third.png"]) == 2  # a third one is the style of the two before
    assert "out.png is a file, and 2 pictures need a folder" in one_sentence(capsys)


def test_help_says_what_there_is():
    done = subprocess.run([sys.executable, "-m", "course_lib", "--help"], capture_output=True, text=True, check=True)
    for command in ("fetch", "stylize", "train-style", "upscale", "translate", "models"):
        assert command in done.stdout


@pytest.mark.parametrize("command", ["fetch", "stylize", "train-style", "upscale", "translate", "models"])
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert "usage: python -m course_lib " + command in capsys.readouterr().out


def one_sentence(capsys):
    """What stands on standard error, which is a single line."""
    error = capsys.readouterr().err
    assert error.startswith("course_lib: ")
    assert error.count("\n") == 1, error
    return error


# --- trained networks ---


def test_one_pass_of_a_trained_network(files, wave, capsys):
    assert main(["stylize", files[0], "-o", files[2], "--model", str(wave), "--device", "cpu"]) == 0
    assert capsys.readouterr().out.startswith(f"{files[2]}: one pass in ")
    expected = johnson.stylize(load_image(files[0]), johnson.load(wave), device="cpu").image  # the photo's own size
    torch.testing.assert_close(load_image(files[2]), expected, rtol=0, atol=0.51 / 255)
    assert main(["stylize", files[0], "-o", files[2], "--model", str(wave), "--size", "40"]) == 0
    assert load_image(files[2]).shape == (1, 3, 30, 40)


def test_the_tile_reaches_the_network(files, wave, monkeypatch):
    asked, original = [], johnson.stylize

    def stylize(content, model, **options):
        asked.append(options)
        return original(content, model, **options)

    monkeypatch.setattr(johnson, "stylize", stylize)
    assert main(["stylize", files[0], "-o", files[2], "--model", str(wave), "--tile", "32", "--device", "cpu"]) == 0
    ((told, *others),) = [(options.pop("callback"), options) for options in asked]
    assert callable(told)
    assert others == [{"tile": 32, "device": "cpu"}]


def test_a_folder_of_photos(files, wave, tmp_path, picture, capsys):
    folder, out = tmp_path / "photos", tmp_path / "deep" / "painted"
    (folder / "more").mkdir(parents=True)
    sizes = {"a.png": (20, 30), "B.JPG": (24, 16), "c.bmp": (16, 16)}
    for name, size in sizes.items():
        save_image(picture(*size, 1), tmp_path / "one.png")
        if name == "c.bmp":
            Image.open(tmp_path / "one.png").save(folder / name)
        else:
            save_image(picture(*size, 1), folder / name)
    (folder / "notes.txt").write_text("no picture, and none by its name")
    (folder / "page.jpg").write_text("no picture, but one by its name")
    (folder / "._a.png").write_text("what macOS leaves")
    save_image(picture(4, 4, 1), folder / "tiny.png")
    assert main(["stylize", str(folder), "-o", str(out), "--model", str(wave), "--device", "cpu"]) == 1
    said = capsys.readouterr()
    assert said.out == f"{out}: 3 pictures, 2 skipped\n"
    skipped = [line for line in said.err.splitlines() if line.startswith("course_lib: skipped: ")]
    assert len(skipped) == 2
    assert "page.jpg is not a picture in a known format" in skipped[0]
    assert "tiny.png: " in skipped[1]
    assert "sides of at least 8 px" in skipped[1]
    assert {file.name for file in out.iterdir()} == {"a.png", "B.JPG", "c.bmp.png"}
    assert load_image(out / "a.png").shape == (1, 3, 20, 30)
    assert load_image(out / "c.bmp.png").shape == (1, 3, 16, 16)
    for name in ("page.jpg", "tiny.png"):
        (folder / name).unlink()
    assert main(["stylize", str(folder), "-o", str(out), "--model", str(wave), "--device", "cpu"]) == 0


def test_several_photos_and_a_folder_are_optimized_like_one(files, used, tmp_path, picture, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        save_image(picture(20, 24, 1), folder / name)
    words = ["--size", "24", "--steps", "1", "--device", "cpu"]
    assert main(["stylize", str(folder), files[0], files[1], "-o", str(tmp_path / "painted"), *words]) == 0
    assert {file.name for file in (tmp_path / "painted").iterdir()} == {"a.png", "b.png", "photo.png"}
    assert capsys.readouterr().out == f"{tmp_path / 'painted'}: 3 pictures\n"


def test_the_projects_own_pictures_by_name(files, used, tmp_path):
    assert main(["stylize", "eilean_donan", "great_wave", "-o", files[2], "--size", "24", "--steps", "1"]) == 0
    expected = sample_image("eilean_donan", 24)
    assert load_image(files[2]).shape == expected.shape


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{painting}", "--model", "{wave}"], "give a painting (STYLE) or --model, not both"),
        ([], "no style was given; give a painting (STYLE) or a trained network (--model)"),
        (["{painting}", "--tile", "64"], "--tile has no effect without --model"),
        (["--model", "{wave}", "--steps", "5"], "--steps has no effect with --model"),
        (["--model", "{wave}", "--style-weight", "5"], "--style-weight has no effect with --model"),
        (["--model", "{wave}", "--start", "noise"], "--start has no effect with --model"),
        (["--model", "{wave}", "--seed", "0"], "--seed has no effect with --model"),
        (["--model", "none.safetensors"], "there is no model file none.safetensors"),
        (["--model", "{larger}"], "is a super_resolution model; it can upscale, not stylize"),
        (["--model", "{painting}"], "damaged or not a safetensors file"),
        (["--model", "{wave}", "--device", "gpu"], "unknown device 'gpu'"),
    ],
)
def test_words_that_do_not_go_together_are_refused(files, wave, larger, capsys, words, message):
    words = [word.format(painting=files[1], wave=wave, larger=larger) for word in words]
    assert main(["stylize", files[0], "-o", files[2], *words]) == 2
    assert message in one_sentence(capsys)


def test_a_network_by_the_name_of_a_shipped_one(files, wave, tmp_path, monkeypatch, capsys):
    (tmp_path / "data" / "models").mkdir(parents=True)
    wave.rename(tmp_path / "data" / "models" / "wave.safetensors")
    monkeypatch.setenv("COURSE_LIB_DATA", str(tmp_path / "data"))
    assert main(["stylize", files[0], "-o", files[2], "--model", "wave"]) == 0
    assert main(["stylize", files[0], "-o", files[2], "--model", "waev"]) == 2
    assert "waev" in one_sentence(capsys)


@pytest.fixture
def streets(tmp_path):
    """A translator for pictures of 32 px."""
    config = pix2pix.Config(image_size=32, width=0.05, norm="instance")
    path = tmp_path / "streets.safetensors"
    pix2pix.save(pix2pix.Model(pix2pix.build(config), config, {}), path)
    return path


def test_translate_keeps_size_and_aspect_ratio(files, streets, wave, tmp_path, picture, capsys):
    words = ["translate", files[0], "-o", files[2], "--model", str(streets), "--device", "cpu"]
    assert main(words) == 0
    assert load_image(files[2]).shape == (1, 3, 60, 80)
    said = capsys.readouterr()
    assert said.out.startswith(f"{files[2]}: 80 × 60 px in ")
    assert said.err == ""
    assert main([*words, "--size", "100"]) == 0
    assert load_image(files[2]).shape == (1, 3, 75, 100)
    save_image(picture(9, 200, 1), tmp_path / "long.png")
    assert main(["translate", str(tmp_path / "long.png"), *words[2:]]) == 0
    assert load_image(files[2]).shape == (1, 3, 9, 200)
    capsys.readouterr()
    assert main([*words[:5], str(wave)]) == 2
    assert "is a johnson model; it can stylize, not translate" in one_sentence(capsys)


def test_a_direction_is_refused_for_a_generator_that_has_only_one(files, streets, capsys):
    words = ["translate", files[0], "-o", files[2], "--model", str(streets), "--direction"]
    assert main([*words, "BA"]) == 2
    assert "streets.safetensors is a pix2pix model, which translates in one direction only" in one_sentence(capsys)
    with pytest.raises(SystemExit) as caught:
        main([*words, "CD"])
    assert caught.value.code == 2
    assert "argument --direction: invalid choice: 'CD'" in capsys.readouterr().err


def test_translate_says_when_a_picture_is_far_larger_than_what_was_learned(files, streets, tmp_path, picture, capsys):
    save_image(picture(65, 70, 1), tmp_path / "large.png")
    words = ["translate", str(tmp_path / "large.png"), "-o", files[2], "--model", str(streets), "--device", "cpu"]
    assert main(words) == 0
    assert "the generator learned from pictures of 32 × 32 px" in capsys.readouterr().err
    assert main([*words, "--size", "64"]) == 0
    assert capsys.readouterr().err == ""


def test_translate_pads_a_map_with_its_border_and_a_sketch_with_its_mirror(files, streets, tmp_path, monkeypatch):
    asked, original = [], pix2pix.translate
    monkeypatch.setattr(
        pix2pix, "translate", lambda *args, **more: asked.append(more["padding"]) or original(*args, **more)
    )
    save_image(Facades(size=64)[0][0][None], tmp_path / "map.png")
    for words in ([str(tmp_path / "map.png")], [str(tmp_path / "map.png"), "--pencil"], [files[0]]):
        assert main(["translate", *words, "-o", files[2], "--model", str(streets)]) == 0
    assert asked == ["replicate", "reflect", "reflect"]


def test_a_generator_of_squeezed_pairs_keeps_the_aspect_ratio_too(files, tmp_path, monkeypatch):
    config = pix2pix.Config(image_size=32, width=0.05, norm="instance", aspect_ratio=1.6)
    model = tmp_path / "wide.safetensors"
    pix2pix.save(pix2pix.Model(pix2pix.build(config), config, {}), model)
    seen, original = [], pix2pix.translate
    monkeypatch.setattr(
        pix2pix, "translate", lambda image, *args, **more: seen.append(image.shape) or original(image, *args, **more)
    )
    assert main(["translate", files[0], "-o", files[2], "--model", str(model)]) == 0
    assert seen == [(1, 3, 60, 50)]  # 80 / 1.6
    assert load_image(files[2]).shape == (1, 3, 60, 80)


def test_translate_draws_a_photo_first_and_leaves_a_maps_colors_alone(files, streets, tmp_path, monkeypatch):
    seen, original = [], pix2pix.translate
    monkeypatch.setattr(
        pix2pix, "translate", lambda image, *args, **more: seen.append(image) or original(image, *args, **more)
    )
    labels = Facades(size=64)[0][0]
    save_image(labels[None], tmp_path / "map.png")
    for words in ([files[0], "--pencil"], [files[0]], [str(tmp_path / "map.png")]):
        assert main(["translate", *words, "-o", files[2], "--model", str(streets), "--device", "cpu"]) == 0
    drawn, photo, labeled = seen
    assert torch.equal(drawn[:, 0], drawn[:, 1])
    assert not torch.equal(photo[:, 0], photo[:, 1])
    known = {tuple(color) for color in labels.flatten(1).T.tolist()}
    assert {tuple(color) for color in labeled[0].flatten(1).T.tolist()} <= known


def test_upscale(files, larger, wave, capsys):
    assert main(["upscale", files[0], "-o", files[2], "--model", str(larger), "--tile", "16", "--device", "cpu"]) == 0
    assert load_image(files[2]).shape == (1, 3, 120, 160)
    assert capsys.readouterr().out.startswith(f"{files[2]}: 160 × 120 px in ")
    assert main(["upscale", files[0], "-o", files[2], "--model", str(wave)]) == 2
    assert "is a johnson model; it can stylize, not upscale" in one_sentence(capsys)
    assert main(["upscale", files[0], "-o", files[2] + ".gif", "--model", str(larger)]) == 2
    assert "unknown suffix '.gif'" in one_sentence(capsys)
    with pytest.raises(SystemExit):
        main(["upscale", files[0], "-o", files[2]])
    assert "--model" in capsys.readouterr().err


def test_models_are_listed_with_their_facts(wave, larger, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "data" / "models"
    monkeypatch.setenv("COURSE_LIB_DATA", str(tmp_path / "data"))
    for _ in range(2):  # no folder; an empty one
        assert main(["models"]) == 0
        assert capsys.readouterr().out.startswith("No trained networks come with this copy of the package")
        folder.mkdir(parents=True, exist_ok=True)
    wave.rename(folder / wave.name)
    larger.rename(folder / larger.name)
    (folder / "broken.safetensors").write_text("nothing")
    (folder / "gone.safetensors").symlink_to("nowhere")
    assert main(["models"]) == 0
    broken, gone, photo, style = capsys.readouterr().out.splitlines()
    assert gone == "gone  (a folder or a broken link)"
    assert broken == "broken  (damaged or of another method, 0 kB)"
    assert photo.startswith("larger  (super_resolution, factor 2, feature loss, 5 steps, ")
    assert style.startswith("wave  (johnson, style great_wave, 3 steps, ")
    assert style.endswith(" kB)")


def test_too_little_memory_names_what_to_make_smaller(files, larger, monkeypatch, capsys):
    def full(*arguments, **options):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")

    monkeypatch.setattr(super_resolution, "upscale", full)
    assert main(["upscale", files[0], "-o", files[2], "--model", str(larger)]) == 2
    assert "try a smaller --tile" in capsys.readouterr().err
