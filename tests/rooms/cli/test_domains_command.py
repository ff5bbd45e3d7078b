"""`translate` with the models of StarGAN, U-GAT-IT and AnimeGAN: where to, where it looks, and mistakes."""

import pytest
import torch

from course_lib import load_image, save_image
from course_lib.__main__ import main
from course_lib.methods import animegan, cyclegan, stargan, ugatit

DOMAINS = ("clear", "dusk", "rain/snow")


@pytest.fixture
def weathers(tmp_path):
    """An untrained generator of three domains, whose labels make clear differences."""
    config = stargan.Config(**STAR, num_domains=3)
    network = stargan.build(config)
    model = stargan.Model(network, config, {"domains": [*DOMAINS], "steps": 9})
    return stored(stargan, model, tmp_path, "weathers")


STAR = {"image_size": 16, "load_size": None, "mirror": False, "width": 0.1, "num_blocks": 1, "layers_D": 3}
ATTENTIVE = {"image_size": 32, "load_size": None, "mirror": False, "width": 0.05, "num_blocks": 1, "init_std": 0.2}
ATTENTIVE |= {"global_patch": 34, "local_patch": 16}


def stored(method, model, tmp_path, name):
    folder = tmp_path / "data" / "models"
    folder.mkdir(parents=True, exist_ok=True)
    method.save(model, folder / f"{name}.safetensors")
    return str(folder / f"{name}.safetensors")


def bricks(tmp_path, light=True):
    config = ugatit.Config(**ATTENTIVE, light=light)
    return stored(ugatit, ugatit.Model(ugatit.build(config), config, {"steps": 9}), tmp_path, "bricks")


def drawing(tmp_path):
    config = animegan.Config(version="v2", image_size=16, width=0.1, num_blocks=1)
    return stored(animegan, animegan.Model(animegan.build(config), config, {"steps": 9}), tmp_path, "drawing")


def translate(pictures, out, model, *more):
    words = [pictures] if isinstance(pictures, str) else pictures
    return main(["translate", *words, "-o", str(out), "--model", model, "--device", "cpu", *more])


def close(path, expected):
    found = load_image(path)
    return found.shape == expected.shape and (found - expected).abs().max() < 1.5 / 255


def one_sentence(capsys):
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("course_lib: ")
    return captured.err


def test_a_domain_is_chosen_by_its_name(files, weathers, tmp_path, capsys):
    model, photo = stargan.load(weathers), load_image(files[0])
    for name in DOMAINS[:2]:
        assert translate(files[0], files[2], weathers, "--to", name) == 0
        assert close(files[2], stargan.translate(photo, model, to=name).image)
    made = [stargan.translate(photo, model, to=name).image for name in DOMAINS]
    assert (made[0] - made[1]).abs().max() > 0.05, "the labels of this network make no difference to be seen"
    assert capsys.readouterr().out.count("80 × 60 px in ") == 2


@pytest.mark.parametrize(
    ("more", "names"),
    [
        (["--to", "all"], ["clear", "dusk", "rain-snow"]),
        (["--to", "dusk", "--to", "clear", "--to", "dusk"], ["dusk", "clear"]),
        (["--to", "dusk", "--to", "all"], ["clear", "dusk", "rain-snow"]),
    ],
)
def test_several_domains_give_several_pictures(files, weathers, tmp_path, capsys, more, names):
    out = tmp_path / "out"
    assert translate(files[:2], out, weathers, *more) == 0
    assert {path.name for path in out.iterdir()} == {
        f"{name}_{to}.{suffix}" for name, suffix in (("photo", "png"), ("painting", "jpg")) for to in names
    }
    model, photo = stargan.load(weathers), load_image(files[0])
    assert close(out / "photo_dusk.png", stargan.translate(photo, model, to="dusk").image)
    assert f"{out}: {2 * len(names)} pictures" in capsys.readouterr().out


def test_one_picture_in_all_domains_goes_into_a_folder_too(files, weathers, tmp_path, capsys):
    assert translate(files[0], tmp_path / "new", weathers, "--to", "all") == 0
    assert len(list((tmp_path / "new").iterdir())) == 3
    capsys.readouterr()
    assert translate(files[0], files[2], weathers, "--to", "all") == 2
    assert f"3 pictures need a folder, and {files[2]} is the name of a picture; give a folder" in one_sentence(capsys)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "weathers translates to several domains; say which with --to, or --to all: its domains are clear, dusk"),
        (
            ["--to", "dusc"],
            "weathers has no domain 'dusc'; its domains are clear, dusk, rain/snow. Did you mean 'dusk'?",
        ),
        (["--to", "dusk", "--to", "fog"], "weathers has no domain 'fog'; its domains are clear, dusk, rain/snow."),
        (["--to", ""], "weathers has no domain ''; its domains are clear"),
        (["--to", "dusk", "--direction", "AB"], "weathers is a stargan model, which translates to a domain that --to"),
        (["--to", "dusk", "--attention"], "weathers is a stargan model, whose generator has no map of where it looks"),
    ],
)
def test_a_mistake_lists_the_domains(files, weathers, tmp_path, monkeypatch, capsys, more, said):
    monkeypatch.setenv("COURSE_LIB_DATA", str(tmp_path / "data"))
    out = tmp_path / "results"
    assert translate(files[0], out, "weathers", *more) == 2
    assert said in one_sentence(capsys)
    assert not out.exists()


def test_a_result_never_replaces_an_input(files, weathers, tmp_path, picture, capsys):
    mine = tmp_path / "photos"
    mine.mkdir()
    for name in ("street.png", "street_dusk.png"):
        save_image(picture(20, 30, 3), mine / name)
    before = (mine / "street_dusk.png").read_bytes()
    assert translate(str(mine), mine, weathers, "--to", "all") == 2
    assert "street_dusk.png would be overwritten by a result" in one_sentence(capsys)
    assert (mine / "street_dusk.png").read_bytes() == before
    (mine / "street_dusk.png").unlink()
    assert translate(str(mine), mine, weathers, "--to", "all") == 0  # beside it
    assert len(list(mine.iterdir())) == 4


def test_other_models_have_no_domains(files, tmp_path, capsys):
    config = cyclegan.Config(image_size=32, load_size=None, mirror=False, width=0.05, num_blocks=1, patch=16)
    cycle = stored(cyclegan, cyclegan.Model(cyclegan.build(config), config, {}), tmp_path, "cycle")
    for model, more, said in (
        (cycle, ["--to", "dusk"], "is a cyclegan model, which translates from A to B or back, as --direction says;"),
        (bricks(tmp_path), ["--to", "all"], "is a ugatit model, which translates from A to B or back"),
        (
            drawing(tmp_path),
            ["--to", "dusk"],
            "is an animegan model, which translates in one direction only; leave out",
        ),
        (drawing(tmp_path), ["--direction", "BA"], "which translates in one direction only; leave out --direction"),
        (cycle, ["--attention"], "is a cyclegan model, whose generator has no map of where it looks; leave out"),
    ):
        assert translate(files[0], tmp_path / "out", model, *more) == 2
        assert said in one_sentence(capsys)
        assert not (tmp_path / "out").exists()


def test_attention_shows_where_each_generator_looks(files, tmp_path, capsys):
    path = bricks(tmp_path)
    model, photo = ugatit.load(path), load_image(files[0])
    for direction in ("AB", "BA"):
        assert translate(files[0], files[2], path, "--direction", direction) == 0
        assert close(files[2], ugatit.translate(photo, model, direction=direction).image)
        assert translate(files[0], files[2], path, "--direction", direction, "--attention") == 0
        heat = ugatit.attention(photo, model, direction=direction)
        assert close(files[2], heat.expand(-1, 3, -1, -1))
        assert heat.std() > 0.05
    assert translate(files[:2], tmp_path / "maps", path, "--attention", "--size", "40") == 0
    assert sorted(load_image(file).shape[2:] for file in (tmp_path / "maps").iterdir()) == [(30, 40), (40, 32)]


def test_a_full_generator_sees_squares_of_its_own_size(files, tmp_path):
    path = bricks(tmp_path, light=False)
    for more in ([], ["--attention"]):
        assert translate(files[0], files[2], path, *more) == 0
        assert load_image(files[2]).shape == (1, 3, 60, 80)


def test_a_photo_becomes_a_drawing_of_its_size(files, tmp_path, picture, capsys):
    path = drawing(tmp_path)
    assert translate(files[0], files[2], path) == 0
    assert close(files[2], animegan.translate(load_image(files[0]), animegan.load(path)).image)
    assert capsys.readouterr().err == ""  # 60 px, less than four times 16
    save_image(picture(65, 70, 1), tmp_path / "large.png")
    assert translate(str(tmp_path / "large.png"), files[2], path) == 0
    assert "learned from pictures of 16 × 16 px, so its details are small" in (said := one_sentence(capsys))
    assert said.endswith("try --size 64\n")


def test_the_list_of_models_says_what_each_does(weathers, tmp_path, monkeypatch, capsys):
    bricks(tmp_path)
    drawing(tmp_path)
    monkeypatch.setenv("COURSE_LIB_DATA", str(tmp_path / "data"))
    assert main(["models"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.partition(", 9 steps")[0] for line in listed] == [
        "bricks  (ugatit, both directions",
        "drawing  (animegan, photos to cartoons",
        "weathers  (stargan, between 3 domains: clear dusk rain/snow",
    ]


@pytest.mark.parametrize("method", [stargan, ugatit, animegan])
def test_a_model_is_loaded_by_the_name_it_has_in_the_package(method, weathers, tmp_path, monkeypatch):
    paths = {stargan: weathers, ugatit: bricks(tmp_path), animegan: drawing(tmp_path)}
    monkeypatch.setenv("COURSE_LIB_DATA", str(tmp_path / "data"))
    name = paths[method].rpartition("/")[2].removesuffix(".safetensors")
    by_name, by_file = method.load(name), method.load(paths[method])
    assert by_name.facts["name"] == name
    for one, other in zip(by_name.network.state_dict().values(), by_file.network.state_dict().values(), strict=True):
        assert torch.equal(one, other)
