"""``stylize`` with a say in color, place, scale, patches and photorealism: what reaches methods, what is refused."""

import signal
from dataclasses import replace

import pytest
import torch

from course_lib import load_image, runtime, save_image
from course_lib.__main__ import main
from course_lib.colors import luminance, match_colors, with_colors_of
from course_lib.methods import adain, control, deep_photo, gatys, johnson, patches, screened_poisson
from course_lib.optimize.lbfgs import LBFGS

METHODS = {"gatys": gatys, "control": control, "deep_photo": deep_photo}
LEFT, RIGHT = (0.9, 0.1, 0.1), (0.1, 0.2, 0.8)  # red, blue


@pytest.fixture
def calls(monkeypatch):
    """A small network in place of the real one; what each method is called with is kept."""
    seen = []

    def watched(name, original):
        def stylize(content, styles, config, **more):
            seen.append({"method": name, "content": content, "styles": [*styles], "config": config, **more})
            return original(content, styles, replace(config, weights=None, precision="float32"), **more)

        return stylize

    for name, method in METHODS.items():
        monkeypatch.setattr(method, "stylize", watched(name, method.stylize))
    original = control.with_fine_style

    def with_fine_style(coarse, fine, config, **more):
        seen.append({"method": "fine", "coarse": coarse, "fine": fine, "config": config})
        return original(coarse, fine, replace(config, weights=None, precision="float32"), **more)

    monkeypatch.setattr(control, "with_fine_style", with_fine_style)
    return seen


@pytest.fixture
def painted(files, tmp_path):
    """Masks for the photo, 80 × 60 px, and for the painting, 40 × 50 px: red at the left, blue at the right."""

    def mask(name, height, width, *colors):
        stripes = [torch.tensor(color).view(1, 3, 1, 1).expand(1, 3, height, width // len(colors)) for color in colors]
        save_image(torch.cat(stripes, 3), tmp_path / name)
        return str(tmp_path / name)

    return {
        "photo": mask("photo_mask.png", 60, 80, LEFT, RIGHT),
        "painting": mask("painting_mask.png", 50, 40, RIGHT, LEFT),
        "upright": mask("upright.png", 80, 60, LEFT, RIGHT),
        "red": mask("red.png", 50, 40, LEFT),
        "make": mask,
    }


def stylize(files, *words):
    return main(["stylize", *files[:2], "-o", files[2], "--size", "48", "--steps", "2", "--device", "cpu", *words])


def one_sentence(capsys):
    """What stands on standard error, which is a single line."""
    error = capsys.readouterr().err
    assert error.startswith("course_lib: ")
    assert error.count("\n") == 1, error
    return error


# --- which method paints ---


@pytest.mark.parametrize(
    ("words", "method"),
    [
        ([], "gatys"),
        (["--style", "{photo}"], "gatys"),
        (["--keep-colors"], "control"),
        (["--patches"], "control"),
        (["--mask", "{photo_mask}", "--style-mask", "{painting_mask}"], "control"),
        (["--photorealistic"], "deep_photo"),
        (["--photorealistic", "--keep-colors", "luminance", "--patches", "2"], "deep_photo"),
    ],
)
def test_each_wish_has_its_method(files, calls, painted, words, method):
    places = {"photo": files[0], "photo_mask": painted["photo"], "painting_mask": painted["painting"]}
    assert stylize(files, *(word.format(**places) for word in words)) == 0
    (call,) = calls
    config = call["config"]
    assert call["method"] == method
    expected = replace(METHODS[method].Config.fast(), num_steps=2, start="content", device="cpu")
    if words == ["--patches"]:  # the weights and layers that suit both terms
        fusion = patches.Config.fusion()
        own = {name: getattr(fusion, name) for name in ("style_weight", "content_layers", "pooling", "tv_weight")}
        expected = replace(expected, **own)
    assert config == expected
    assert load_image(files[2]).shape == (1, 3, 36, 48)


def test_the_options_of_the_run_reach_every_method(files, calls):
    for wish in ([], ["--patches"], ["--photorealistic"]):
        assert stylize(files, *wish, "--style-weight", "7", "--start", "noise", "--seed", "3") == 0
    for call in calls:
        config = call["config"]
        assert (config.style_weight, config.start, config.seed, config.num_steps) == (7, "noise", 3, 2)


def test_several_paintings_are_mixed_by_their_weights(files, calls):
    assert stylize(files, "--style", files[0], "--weights", "3", "1") == 0
    assert stylize(files, "--style", files[0]) == 0
    assert [call["config"].style_blend for call in calls] == [(3, 1), None]
    for call in calls:
        torch.testing.assert_close(call["styles"], [load_image(files[1]), load_image(files[0])])


# --- colors ---


def test_matched_colors_are_those_of_the_painting(files, calls):
    for words in (["--keep-colors"], ["--keep-colors", "match"]):
        assert stylize(files, *words) == 0
        photo = load_image(files[0], 48)
        torch.testing.assert_close(calls[-1]["content"], photo)
        torch.testing.assert_close(calls[-1]["styles"], [match_colors(load_image(files[1]), photo).clamp(0, 1)])


def test_luminance_paints_in_gray_and_puts_the_photos_colors_back(files, calls, monkeypatch):
    gray = torch.full((1, 3, 36, 48), 0.5)
    original = control.stylize
    monkeypatch.setattr(control, "stylize", lambda *args, **more: replace(original(*args, **more), image=gray))
    assert stylize(files, "--keep-colors", "luminance") == 0
    photo = load_image(files[0], 48)
    torch.testing.assert_close(calls[0]["content"], luminance(photo).repeat(1, 3, 1, 1))
    expected = with_colors_of(gray, photo).clamp(0, 1)
    torch.testing.assert_close(load_image(files[2]), expected, rtol=0, atol=0.51 / 255)


def test_a_trained_network_keeps_the_colors_of_the_photo(files, wave):
    photo = load_image(files[0])
    plain = johnson.stylize(photo, johnson.load(wave), device="cpu").image
    for words, expected in (
        (["--keep-colors"], match_colors(plain, photo)),
        (["--keep-colors", "luminance"], with_colors_of(plain, photo)),
    ):
        assert main(["stylize", files[0], "-o", files[2], "--model", str(wave), "--device", "cpu", *words]) == 0
        torch.testing.assert_close(load_image(files[2]), expected.clamp(0, 1), rtol=0, atol=0.51 / 255)


def test_adain_keeps_the_colors_of_the_photo(files, decoder):
    photo, painting = load_image(files[0]), load_image(files[1])
    model = adain.load(decoder)
    plain = adain.stylize(photo, painting, model, device="cpu").image
    kept = adain.stylize(photo, painting, model, keep_colors=True, device="cpu").image
    for words, expected in (([], kept), (["luminance"], with_colors_of(plain, photo).clamp(0, 1))):
        words = ["--model", str(decoder), "--device", "cpu", "--keep-colors", *words]
        assert main(["stylize", *files[:2], "-o", files[2], *words]) == 0
        torch.testing.assert_close(load_image(files[2]), expected, rtol=0, atol=0.51 / 255)


# --- place ---


def test_painted_masks_become_regions(files, calls, painted):
    assert stylize(files, "--mask", painted["photo"], "--style-mask", painted["painting"]) == 0
    regions = calls[0]["regions"]
    assert sorted(regions.names) == ["blue", "red"]
    red = regions.names.index("red")
    assert regions.content[red, 0, 0, [0, 79]].tolist() == [1, 0]  # left in the photo, right in the painting
    assert regions.styles[0][red, 0, 0, [0, 39]].tolist() == [0, 1]


def test_a_color_stands_for_a_whole_painting(files, calls, painted):
    for red in ("red", "RED", "#e61a1a", "E61A1A"):
        words = ["--style", files[0], "--mask", painted["photo"], "--style-mask", "blue", "--style-mask", red]
        assert stylize(files, *words) == 0
        regions = calls[-1]["regions"]
        owner = [int(masks.flatten().argmax()) for masks in regions.styles]
        assert [regions.names[k] for k in owner] == ["blue", "red"]
    words = [
        "--style",
        files[0],
        "--mask",
        painted["photo"],
        "--style-mask",
        painted["painting"],
        "--style-mask",
        "red",
    ]
    assert stylize(files, *words) == 0  # a mask for one, the whole of the other
    assert [tuple(masks.shape[-2:]) for masks in calls[-1]["regions"].styles] == [(50, 40), (1, 1)]


def test_each_region_gets_the_colors_of_its_painting(files, calls, painted, tmp_path):
    """A red painting for the left half, a blue one for the right half."""
    for name, color in (("a.png", LEFT), ("b.png", RIGHT)):
        noise = 0.05 * torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))
        save_image(torch.tensor(color).view(1, 3, 1, 1) * 0.9 + noise, tmp_path / name)
    words = [
        "--style",
        str(tmp_path / "b.png"),
        "--mask",
        painted["photo"],
        "--style-mask",
        "red",
        "--style-mask",
        "blue",
    ]
    given = ["stylize", files[0], str(tmp_path / "a.png"), "-o", files[2], "--size", "48", "--device", "cpu"]
    assert main([*given, *words, "--steps", "15", "--style-weight", "1e5"]) == 0
    image = load_image(files[2])
    left, right = image[..., :20].mean((0, 2, 3)), image[..., 28:].mean((0, 2, 3))
    assert left[0] - left[2] > right[0] - right[2] + 0.2


def test_regions_hold_for_patches_too(files, calls, painted):
    given = ["stylize", *files[:2], "-o", files[2], "--size", "96", "--steps", "1", "--device", "cpu"]
    words = [*given, "--mask", painted["photo"], "--style-mask", painted["painting"], "--patches", "3"]
    assert main(words) == 0
    assert main([*words, "--style-weight", "0"]) == 0
    both, alone = calls
    assert both["additions"][0].weight == alone["additions"][0].weight == 3
    assert both["additions"][0].regions is both["regions"]
    assert alone["additions"][0].regions is not None
    assert alone["regions"] is None  # no guided Gram matrices without a weight


def test_masks_for_any_painting_in_one_pass(files, decoder, painted):
    words = ["--style", files[0], "--mask", painted["photo"], "--style-mask", "blue", "--style-mask", "red"]
    assert main(["stylize", *files[:2], "-o", files[2], "--model", str(decoder), "--device", "cpu", *words]) == 0
    left = (torch.arange(80) < 40).float().expand(1, 1, 60, 80)
    styles = [load_image(files[1]), load_image(files[0])]
    expected = adain.stylize(
        load_image(files[0]), styles, adain.load(decoder), masks=torch.cat((1 - left, left)), device="cpu"
    )
    torch.testing.assert_close(load_image(files[2]), expected.image, rtol=0, atol=0.51 / 255)


# --- scale, patches, photorealism ---


def test_fine_strokes_come_first_and_once_for_all_photos(files, calls, tmp_path, picture):
    save_image(picture(30, 44, 4), tmp_path / "strokes.png")
    save_image(picture(40, 40, 5), tmp_path / "second.png")
    words = ["--size", "48", "--steps", "2", "--device", "cpu", "--fine-style", str(tmp_path / "strokes.png")]
    photos = [files[0], str(tmp_path / "second.png")]
    assert main(["stylize", *photos, files[1], "-o", str(tmp_path / "out"), *words]) == 0
    assert [call["method"] for call in calls] == ["fine", "control", "control"]
    fine, first, second = calls
    torch.testing.assert_close(fine["coarse"], load_image(files[1], 48))  # strokes at the size of the photos
    torch.testing.assert_close(fine["fine"], load_image(tmp_path / "strokes.png"))
    assert fine["config"].num_steps == 2
    assert first["styles"][0] is second["styles"][0]
    assert (first["styles"][0] - fine["coarse"]).abs().mean() > 1e-3


def test_weights_of_patches_and_of_photorealism(files, calls):
    for words in (["--patches"], ["--patches", "0.5"], ["--photorealistic"], ["--photorealistic", "2e4"]):
        assert stylize(files, *words) == 0
    weights = [[each.weight for each in call["additions"]] for call in calls]
    assert weights == [[patches.Config.fusion().patch_weight], [0.5], [], []]
    assert stylize(files, "--patches", "--style-weight", "0") == 0
    alone = patches.Config()
    assert calls[-1]["additions"][0].weight == alone.patch_weight
    assert calls[-1]["config"].pooling == alone.pooling
    assert calls[-1]["config"].style_weight == 0
    assert stylize(files, "--patches", "1", "--photorealistic", "1") == 0  # 1 is a number, and no mere yes
    assert ([each.weight for each in calls[-1]["additions"]], calls[-1]["config"].photo_weight) == ([1], 1)
    assert [call["config"].photo_weight for call in calls[2:4]] == [deep_photo.Config().photo_weight, 2e4]


def test_a_photo_stays_nearer_to_itself_with_a_larger_weight(files, calls):
    change = []
    for weight in ("1e-3", "1e5"):
        given = ["stylize", *files[:2], "-o", files[2], "--size", "32", "--steps", "20", "--device", "cpu"]
        assert main([*given, "--photorealistic", weight]) == 0
        photo, image = load_image(files[0], 32), load_image(files[2])
        change.append(((image - photo).diff(dim=-1)).square().mean())
    assert change[1] < 0.5 * change[0]


def test_a_photo_gets_its_gradients_back(files, calls, wave, decoder, monkeypatch):
    """By optimization and in one pass; what comes out is what screened Poisson makes of the painted picture."""
    gray = torch.full((1, 3, 36, 48), 0.5)
    original = deep_photo.stylize
    monkeypatch.setattr(deep_photo, "stylize", lambda *args, **more: replace(original(*args, **more), image=gray))
    assert stylize(files, "--photorealistic") == 0
    photo, config = load_image(files[0], 48), screened_poisson.Config.released()
    expected = screened_poisson.stylize(photo, gray, config).image
    torch.testing.assert_close(load_image(files[2]), expected, rtol=0, atol=0.51 / 255)
    plain = johnson.stylize(photo, johnson.load(wave), device="cpu").image
    words = ["-o", files[2], "--size", "48", "--device", "cpu", "--photorealistic"]
    assert main(["stylize", files[0], "--model", str(wave), *words]) == 0
    expected = screened_poisson.stylize(photo, plain, config).image
    torch.testing.assert_close(load_image(files[2]), expected, rtol=0, atol=0.51 / 255)
    assert main(["stylize", *files[:2], "--model", str(decoder), *words]) == 0


def test_a_photo_too_large_for_its_gradients_is_refused_before_it_is_painted(files, wave, monkeypatch, capsys):
    def never(*arguments, **options):
        raise AssertionError("work was done")

    monkeypatch.setattr(johnson, "stylize", never)
    monkeypatch.setattr(runtime, "available_memory", lambda device: 1_000_000)  # 60 × 80 px need 1.7 MB
    assert main(["stylize", files[0], "-o", files[2], "--model", str(wave), "--photorealistic"]) == 2
    assert "a picture of 60×80 px needs about" in one_sentence(capsys)
    monkeypatch.setattr(control, "with_fine_style", never)
    monkeypatch.setattr(deep_photo, "stylize", never)
    assert stylize(files, "--fine-style", files[1], "--photorealistic", "--size", "80") == 2
    assert "a picture of 60×80 px needs about" in one_sentence(capsys)


@pytest.mark.parametrize("words", [["--keep-colors", "luminance"], ["--photorealistic", "--keep-colors", "luminance"]])
def test_ctrl_c_saves_the_picture_so_far_in_its_colors(files, calls, monkeypatch, capsys, words):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    step, steps = LBFGS.step, []

    def interrupted(self, gradient):
        steps.append(1)
        if len(steps) == 3:
            signal.raise_signal(signal.SIGINT)
        step(self, gradient)

    monkeypatch.setattr(LBFGS, "step", interrupted)
    try:
        with pytest.raises(SystemExit) as caught:
            stylize(files, *words, "--steps", "30")
    finally:
        signal.signal(signal.SIGINT, before)
    assert caught.value.code == 130
    assert f"stopped after step 2; saved {files[2]}" in capsys.readouterr().err
    photo, saved = load_image(files[0], 48), load_image(files[2])
    inside = (saved.amin(1) > 0.01) & (saved.amax(1) < 0.99)
    change = (saved - photo)[0, :, inside[0]]
    assert change.std(0).max() < 1.5 / 255  # brightness alone: the same in all three channels
    assert change.abs().mean() > 1e-3


# --- what is refused before anything is computed ---


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--style-mask", "red"], "--style-mask has no effect without --mask"),
        (["--mask", "{photo}"], "--mask also needs --style-mask, one, and got none; give a mask in the same colors"),
        (["--mask", "{photo}"], "the color of its region: blue (#1a33cc), red (#e61a1a)"),
        (
            ["--mask", "{photo}", "--style", "{file}", "--style-mask", "red"],
            "--mask also needs --style-mask, one for each of the 2 paintings ({painting_file}, {file}), and got 1",
        ),
        (
            ["--mask", "{photo}", "--style-mask", "green"],
            "there is no file green, and {photo} has no such color; it has blue (#1a33cc), red (#e61a1a)",
        ),
        (["--mask", "{photo}", "--style-mask", "#112233"], "there is no file #112233, and {photo} has no such color"),
        (["--mask", "{photo}", "--style-mask", "red"], "no painting's mask has #1a33cc (blue)"),
        (["--mask", "{photo}", "--style-mask", "{red}"], "no painting's mask has #1a33cc (blue)"),
        (["--mask", "{file}", "--style-mask", "red"], "looks like a photo, not like a painted mask"),
        (["--mask", "none.png", "--style-mask", "red"], "none.png"),
        (["--mask", "{photo}", "--style-mask", "none.png"], "none.png"),
        (["--mask", "", "--style-mask", "red"], "is empty"),
        (
            ["--mask", "{upright}", "--style-mask", "{painting}"],
            "the photo is 80 px wide and 60 px high, its mask 60 by 80: another shape",
        ),
        (
            ["--mask", "{photo}", "--style-mask", "{photo}"],
            "painting 1 is 40 px wide and 50 px high, its mask 80 by 60: another shape",
        ),
        (
            ["--mask", "{photo}", "--style-mask", "blue", "--style", "{file}", "--style-mask", "red",
             "--weights", "1", "1"],
            "--weights has no effect, since no region has two paintings; leave it out",
        ),
        (
            ["--mask", "{photo}", "--style-mask", "{painting}", "--style", "{file}", "--style-mask", "red",
             "--weights", "0", "1"],
            "region blue takes its style from {painting_file} alone, whose share in --weights is 0; raise it",
        ),
        (["--style", "{file}", "--weights", "1"], "--weights needs a number for each of the 2 styles"),
        (["--weights", "1"], "--weights has no effect with a single style"),
        (["--patches", "-1"], "--patches must be a finite number greater than 0, got -1.0"),
        (["--patches", "0"], "--patches must be a finite number greater than 0, got 0.0"),
        (["--patches", "nan"], "--patches must be a finite number greater than 0, got nan"),
        (["--photorealistic", "-1"], "--photorealistic must be a finite number greater than 0, got -1.0"),
        (["--photorealistic", "inf"], "--photorealistic must be a finite number greater than 0, got inf"),
        (["--keep-colors", "--style-weight", "0"], "--keep-colors has no effect with --style-weight 0"),
        (["--fine-style", "{file}", "--style-weight", "0"], "--fine-style has no effect with --style-weight 0"),
        (
            ["--patches", "--style-weight", "0", "--style", "{file}", "--weights", "1", "2"],
            "--weights has no effect with --style-weight 0, since patches have no share",
        ),
        (["--fine-style", "none.png"], "none.png"),
        (["--fine-style", "{text}"], "text.jpg is not a picture"),
    ],
)  # fmt: skip
def test_a_mistake_ends_in_one_sentence_before_anything_is_painted(
    files, calls, painted, tmp_path, capsys, words, message
):
    (tmp_path / "text.jpg").write_text("no picture")
    places = {**painted, "file": files[0], "painting_file": files[1], "text": str(tmp_path / "text.jpg")}
    assert stylize(files, *(word.format(**places) for word in words)) == 2
    assert message.format(**places) in one_sentence(capsys)
    assert calls == []
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("option", ["--mask {photo}", "--style-mask red", "--fine-style {photo}", "--patches"])
def test_what_a_trained_network_cannot_do_is_refused(files, wave, paintings, painted, capsys, option):
    words = option.format(**painted).split()
    for model in (wave, paintings):
        assert main(["stylize", files[0], "-o", files[2], "--model", str(model), *words]) == 2
        assert f"{words[0]} has no effect with --model {model}; leave it out" in one_sentence(capsys)
    assert main(["stylize", files[0], "-o", files[2], "--model", str(wave), "--photorealistic", "1"]) == 2
    assert "the number after --photorealistic has no effect in one pass" in one_sentence(capsys)


@pytest.mark.parametrize("option", ["--fine-style {photo}", "--patches", "--patches 3"])
def test_what_needs_optimization_is_refused_with_adain(files, painted, capsys, option):
    words = option.format(**painted).split()
    assert main(["stylize", *files[:2], "-o", files[2], "--method", "adain", *words]) == 2
    assert f"{words[0]} has no effect with --method adain; leave it out" in one_sentence(capsys)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--style-mask", "{painting}"], "AdaIN takes its style from whole paintings, and {painting_file} has a mask"),
        (
            ["--style-mask", "red", "--style", "{file}", "--style-mask", "blue", "--weights", "1", "1"],
            "--weights has no effect with AdaIN and --mask",
        ),
        (["--style-mask", "red"], "no painting's mask has #1a33cc (blue)"),
    ],
)
def test_masks_that_adain_cannot_use(files, decoder, painted, capsys, words, message):
    places = {**painted, "file": files[0], "painting_file": files[1]}
    words = [word.format(**places) for word in ("--mask", "{photo}", *words)]
    assert main(["stylize", *files[:2], "-o", files[2], "--model", str(decoder), *words]) == 2
    assert message.format(**places) in one_sentence(capsys)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--keep-colors", "gray"], "expected match or luminance, got 'gray'; put pictures before this option"),
        (["--patches", "photo.jpg"], "expected a number, got 'photo.jpg'; put pictures before this option"),
        (["--photorealistic", "much"], "expected a number, got 'much'; put pictures before this option"),
        (["--mask"], "expected one argument"),
    ],
)
def test_words_that_cannot_be_are_refused_by_the_parser(files, capsys, words, message):
    with pytest.raises(SystemExit) as caught:
        stylize(files, *words)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_no_mask_and_no_strokes_are_overwritten(files, calls, painted, capsys):
    mask, own = painted["photo"], painted["painting"]
    for target, words in (
        (mask, ["--mask", mask, "--style-mask", own]),
        (own, ["--mask", mask, "--style-mask", own]),
        (painted["red"], ["--fine-style", painted["red"]]),
    ):
        assert main(["stylize", *files[:2], "-o", target, *words]) == 2
        assert f"{target} would be overwritten" in one_sentence(capsys)


def test_photos_of_another_shape_than_the_mask_are_named_before_any_is_painted(
    files, calls, painted, tmp_path, picture, capsys
):
    save_image(picture(40, 40, 5), tmp_path / "square.png")
    words = ["--size", "48", "--steps", "1", "--mask", painted["photo"], "--style-mask", painted["painting"]]
    photos = [files[0], str(tmp_path / "square.png")]
    assert main(["stylize", *photos, files[1], "-o", str(tmp_path / "out"), *words]) == 2
    error = one_sentence(capsys)
    assert f"{photos[1]}: the photo is 40 px wide and 40 px high, its mask 80 by 60" in error
    assert calls == []
    save_image(picture(120, 160, 5), tmp_path / "square.png")  # another size of the same shape
    assert main(["stylize", *photos, files[1], "-o", str(tmp_path / "out"), *words]) == 0
