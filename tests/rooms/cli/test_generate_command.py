"""`generate`: single pictures, a sheet, a walk; what each option does to the pictures, and mistakes in one sentence."""

import signal
from dataclasses import replace

import pytest
import torch
from PIL import Image, ImageSequence

from course_lib import load_image, save_image
from course_lib.__main__ import main
from course_lib.images import from_pil, resize
from course_lib.methods import gan, stylegan, texture_nets

SIDE = 16


@pytest.fixture
def painter():
    """An untrained generator whose pictures differ clearly."""
    config = replace(stylegan.Config.quick(), image_size=SIDE, width=64, most=8)
    return stylegan.Model(stylegan.build(config), config, {"steps": 9})


@pytest.fixture
def streets(tmp_path, painter):
    folder = tmp_path / "data" / "models"
    folder.mkdir(parents=True)
    stylegan.save(painter, folder / "streets.safetensors")
    return str(folder / "streets.safetensors")


def digits(path, **config):
    """An untrained GAN as a file."""
    config = gan.Config(**{"image_size": SIDE, "width": 4, "noise_size": 5, **config})
    gan.save(gan.Model(gan.build(config), config, {"steps": 9}), path)
    return str(path)


def command(model, out, *more):
    return main(["generate", "--model", model, "-o", str(out), "--device", "cpu", *map(str, more)])


def made(folder):
    """All pictures of a folder, by name, (N, 3, S, S)."""
    return torch.cat([load_image(path) for path in sorted(folder.iterdir())])


def close(one, other):
    return one.shape == other.shape and (one - other).abs().max().item() < 1.5 / 255


def test_a_folder_gets_the_pictures_of_the_method(streets, painter, tmp_path, capsys):
    assert command(streets, tmp_path / "out", "--count", 10, "--seed", 3) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{k:02}.png" for k in range(1, 11)]
    assert close(made(tmp_path / "out"), stylegan.generate(10, painter, seed=3, truncation=0.7).image)
    captured = capsys.readouterr()
    assert captured.out == f"{tmp_path / 'out'}: 10 pictures\n"
    assert captured.err == ""


def test_without_a_number_there_are_sixteen(streets, tmp_path):
    (tmp_path / "there").mkdir()
    assert command(streets, tmp_path / "there") == 0
    assert len(made(tmp_path / "there")) == 16


def test_one_picture_goes_into_a_file_or_a_folder(streets, painter, tmp_path, capsys):
    expected = stylegan.generate(1, painter, seed=0, truncation=1.0).image
    for out, file in (("a.png", "a.png"), ("b/", "b/1.png")):
        assert command(streets, f"{tmp_path}/{out}", "--count", 1, "--truncation", 1) == 0
        assert close(load_image(tmp_path / file), expected)
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'a.png'}: {SIDE} × {SIDE} px in ")


def test_truncation_zero_makes_the_mean_picture_and_large_numbers_more_differences(streets, tmp_path):
    spread = {}
    for psi in (0, 0.5, 1):
        assert command(streets, tmp_path / f"psi{psi}", "--count", 6, "--truncation", psi) == 0
        spread[psi] = made(tmp_path / f"psi{psi}").std(0).mean().item()
    assert 0 == spread[0] < spread[0.5] < spread[1]


def test_mixing_takes_the_styles_of_some_sizes_from_another_seed(streets, painter, tmp_path):
    w = stylegan.styles(3, painter, seed=1, truncation=0.7)
    other = stylegan.styles(1, painter, seed=8, truncation=0.7)
    for more, sizes in (([], (4, 8)), (["--mix-sizes", "16-16"], (16, 16)), (["--mix-sizes", "4-16"], (4, 16))):
        out = tmp_path / f"mixed{sizes}"
        assert command(streets, out, "--count", 3, "--seed", 1, "--mix", 8, *more) == 0
        expected = stylegan.paint(stylegan.mixed(w, other, painter, sizes), painter).image
        assert close(made(out), expected)
        if sizes == (4, 16):  # all of them: the other picture, three times
            assert close(made(out), stylegan.paint(other, painter).image.repeat(3, 1, 1, 1))


def test_a_sheet_holds_all_pictures_row_by_row(streets, painter, tmp_path, capsys):
    out = tmp_path / "sheet.png"
    assert command(streets, out, "--count", 5, "--grid", "--size", 64) == 0
    sheet = load_image(out)
    assert sheet.shape == (1, 3, 2 * 64 + 2, 3 * 64 + 2 * 2)
    assert f"{out}: 5 pictures, 196 × 130 px in " in capsys.readouterr().out
    assert command(streets, tmp_path / "single", "--count", 5, "--size", 64) == 0
    for k, picture in enumerate(made(tmp_path / "single")):
        top, left = (66 * place for place in divmod(k, 3))
        assert torch.equal(sheet[0, :, top : top + 64, left : left + 64], picture)
    assert (sheet[:, :, 66:, 132:] == 1).all()  # the sixth place is empty
    assert (sheet[:, :, :, 64:66] == 1).all()


@pytest.mark.parametrize("suffix", [".webp", ".gif"])
def test_a_walk_goes_straight_in_w_and_returns_to_the_first_picture(streets, painter, tmp_path, capsys, suffix):
    out = tmp_path / f"walk{suffix}"
    assert command(streets, out, "--walk", 4, "--count", 3, "--seed", 2, "--size", 64) == 0
    assert f"{out}: 12 frames of 64 × 64 px, " in capsys.readouterr().out
    with Image.open(out) as animation:
        assert animation.n_frames == 12
        assert animation.info["loop"] == 0
        frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(animation)]
        assert {40} == {animation.info["duration"]}
    w = stylegan.styles(3, painter, seed=2, truncation=0.7)
    ends = resize(stylegan.paint(w, painter).image, 64)
    for k, (first, second, share) in {0: (0, 1, 0), 5: (1, 2, 0.25), 11: (2, 0, 0.75)}.items():
        expected = resize(stylegan.paint(w[first : first + 1].lerp(w[second : second + 1], share), painter).image, 64)
        found = from_pil(frames[k])
        error = (found - expected).abs().mean()
        assert error < 0.03  # what compression leaves
        assert share == 0 or error < (found - ends).abs().mean((1, 2, 3)).min()


def test_the_first_picture_is_like_a_given_one_and_the_others_stay(streets, painter, tmp_path, monkeypatch, capsys):
    asked, project = [], stylegan.project

    def quick(image, model, *, num_steps, **more):  # a small random network in place of the real one
        asked.append((image, num_steps, more["seed"], more["device"]))
        return project(image, model, num_steps=3, weights=None, **more)

    monkeypatch.setattr(stylegan, "project", quick)
    given = torch.zeros(1, 3, 16, 40)
    given[..., 12:28] = torch.rand(1, 3, 16, 16).round()  # its square middle
    save_image(given, tmp_path / "given.png")
    more = ["--count", 3, "--seed", 4, "--like", tmp_path / "given.png"]
    assert command(streets, tmp_path / "out", *more) == 0
    ((image, steps, seed, device),) = asked
    assert torch.equal(image, given[..., 12:28])
    assert (steps, seed, device) == (300, 4, "cpu")
    found = project(image, painter, num_steps=3, weights=None, seed=4, device="cpu")
    others = stylegan.generate(3, painter, seed=4, truncation=0.7).image[1:]
    assert close(made(tmp_path / "out"), torch.cat((found.image, others)))
    assert capsys.readouterr().err == ""
    # and it can be mixed like any other
    assert command(streets, tmp_path / "mixed", *more, "--mix", 8) == 0
    other = stylegan.styles(1, painter, seed=8, truncation=0.7)
    expected = stylegan.paint(stylegan.mixed(found.styles, other, painter, (4, 8)), painter).image
    assert close(made(tmp_path / "mixed")[:1], expected)


def test_a_gan_makes_pictures_too_and_classes_take_turns(tmp_path):
    plain, classes = digits(tmp_path / "plain.safetensors"), digits(tmp_path / "ten.safetensors", num_classes=3)
    assert command(plain, tmp_path / "a", "--count", 4, "--seed", 6) == 0
    assert close(made(tmp_path / "a"), gan.generate(4, gan.load(plain), seed=6).image)
    assert command(classes, tmp_path / "b", "--count", 4) == 0
    assert close(made(tmp_path / "b"), gan.generate(4, gan.load(classes), labels=[0, 1, 2, 0]).image)


def test_the_list_of_models_says_what_it_makes(streets, tmp_path, monkeypatch, capsys):
    digits(tmp_path / "data" / "models" / "points.safetensors", image_size=0, noise_size=2)
    monkeypatch.setenv("COURSE_LIB_DATA", str(tmp_path / "data"))
    assert main(["models"]) == 0
    points, pictures = capsys.readouterr().out.splitlines()
    assert pictures.startswith("streets  (stylegan, 16 × 16 px from noise, 9 steps, ")
    assert points.startswith("points  (gan, 9 steps, ")
    assert command("streets", tmp_path / "out", "--count", 2) == 0  # and it is found by its name


@pytest.mark.parametrize(
    ("out", "more", "said"),
    [
        ("a.png", [], "16 pictures need a folder, and a.png is the name of a picture; give a folder after -o, or"),
        ("file", ["--count", "2"], "2 pictures need a folder, and file is a file; give a folder"),
        ("file/out", [], "file/out cannot be made, because file is a file"),
        (" ", [], "the word after -o is empty"),
        ("a.gif", ["--grid"], "a.gif"),
        (" ", ["--grid"], "the word after -o is empty"),
        ("", ["--walk", "3"], "the word after -o is empty"),
        ("a.webp", ["--grid", "--count", "2", "--size", "8900", "--like", "photo.png"], "will be 18,078"),
        ("nowhere/a.png", ["--grid"], "nowhere does not exist"),
        ("a.png", ["--walk", "3"], "a.png cannot hold an animation; give a file that ends in .webp or .gif"),
        ("nowhere/a.gif", ["--walk", "3"], "nowhere does not exist"),
        ("nowhere/a.webp", ["--walk", "3"], "nowhere does not exist"),
        ("a.webp", ["--walk", "3", "--count", "1"], "a walk leads from one picture to another; give --count"),
        ("a.webp", ["--walk", "1000000", "--count", "9999", "--size", "512"], "9999000000 frames of 512 × 512 px need"),
        ("out", ["--count", "10001"], "--count must be a whole number from 1 to 10000, got 10001"),
        ("out", ["--seed", "-1"], "--seed must be a whole number from 0 to"),
        ("out", ["--mix", "-1"], "--mix must be a whole number from 0 to"),
        ("out", ["--truncation", "-0.1"], "--truncation must be a finite number of at least 0, got -0.1"),
        ("out", ["--truncation", "nan"], "--truncation must be a finite number"),
        ("out", ["--mix-sizes", "4-8"], "--mix-sizes has no effect without --mix"),
        ("out", ["--mix", "1", "--mix-sizes", "4-32"], "--mix-sizes: expected two of the sizes 4, 8, 16, the smaller"),
        ("out", ["--mix", "1", "--mix-sizes", "8-4"], "--mix-sizes: expected two of the sizes 4, 8, 16, the smaller"),
        ("out", ["--device", "gpu"], "unknown device 'gpu'"),
        ("out", ["--like", "no_such_picture"], "there is no file no_such_picture"),
        ("out", ["--like", "file"], "file is not a picture"),
        ("photo.png", ["--like", "photo.png", "--grid"], "photo.png would be overwritten by a result"),
        ("photo.png", ["--like", "photo.png", "--count", "1"], "photo.png would be overwritten by a result"),
        ("out", ["--size", "9000"], "the limit is 80,000,000"),
    ],
)  # fmt: skip
def test_a_mistake_ends_in_one_sentence_before_any_work(streets, tmp_path, monkeypatch, capsys, out, more, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    save_image(torch.zeros(1, 3, 20, 30), "photo.png")
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr(stylegan, "paint", lambda *a, **k: pytest.fail("a picture was made"))
    assert command(streets, out, *more) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.startswith("course_lib: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--mix-sizes", "coarse"], "expected two sizes in pixels such as 4-8, got 'coarse'"),
        (["--count", "0"], "expected a whole number of at least 1, got '0'"),
        (["--grid", "--walk", "3"], "--walk: not allowed with argument --grid"),
        (["picture.png"], "unrecognized arguments: picture.png"),
    ],
)
def test_words_that_cannot_be_parsed(streets, tmp_path, capsys, more, said):
    with pytest.raises(SystemExit) as caught:
        command(streets, tmp_path / "out", *more)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--truncation", "0.7"], ["--mix", "1"], ["--like", "great_wave"], ["--walk", "2"]])
def test_a_gan_has_no_styles(tmp_path, capsys, option):
    model = digits(tmp_path / "gan.safetensors")
    assert command(model, tmp_path / "a.webp", "--count", 2, *option, *["--grid"] * (option[0] != "--walk")) == 2
    assert (
        f"{option[0]} has no effect with {model}, a gan model without styles; leave it out" in capsys.readouterr().err
    )


def test_models_that_make_something_else_are_refused(tmp_path, capsys, wave):
    config = texture_nets.Config(weights=None)
    texture = tmp_path / "texture.safetensors"
    texture_nets.save(texture_nets.Model(texture_nets.build(config), config, {}), texture)
    points = digits(tmp_path / "points.safetensors", image_size=0, noise_size=2)
    for model, said in (
        (points, "points.safetensors is a gan model, which makes points in the plane; this command needs"),
        (texture, "texture.safetensors is a texture_nets model, which makes textures; this command needs"),
        (wave, "wave.safetensors is a johnson model; it can stylize, not generate"),
        (tmp_path / "none.safetensors", "none.safetensors"),
    ):
        assert command(str(model), tmp_path / "out") == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def interrupted(monkeypatch, at):
    """Ctrl-C while the picture of this number is made."""
    calls, paint = [], stylegan.paint

    def painting(*arguments, **options):
        calls.append(1)
        if len(calls) == at:
            signal.raise_signal(signal.SIGINT)
        return paint(*arguments, **options)

    monkeypatch.setattr(stylegan, "paint", painting)


@pytest.mark.parametrize(("out", "more"), [("out", []), ("a.png", ["--grid"]), ("a.webp", ["--walk", "2"])])
def test_ctrl_c_keeps_what_is_complete_and_what_was_there(streets, tmp_path, monkeypatch, capsys, out, more):
    interrupted(monkeypatch, at=3)
    if more:
        (tmp_path / out).write_bytes(b"an older picture")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert command(streets, tmp_path / out, *more) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    error = capsys.readouterr().err
    assert error.endswith("course_lib: stopped.\n")
    if more:
        assert (tmp_path / out).read_bytes() == b"an older picture"
    else:
        assert "2 of 16 pictures were done before that" in error
        assert len(made(tmp_path / out)) == 2
    assert not list(tmp_path.glob(".*"))
