"""The networks that come with the package: made by the recipes that stand in the project, and worth showing."""

import json
from dataclasses import asdict, replace

import pytest
import torch

from course_lib import resize, sample_image
from course_lib.data.facades import Facades
from course_lib.evaluation import metrics
from course_lib.evaluation.diversity import diversity
from course_lib.images import center_crop
from course_lib.losses import gram_matrix
from course_lib.methods import (
    animegan,
    cyclegan,
    johnson,
    multi_style,
    pix2pix,
    stargan,
    stylegan,
    super_resolution,
    texture_nets,
    ugatit,
)
from course_lib.pretrained.vgg import STYLE_LAYERS, cached_network
from course_lib.teaching import records
from course_lib.training import model_files
from scripts import stylegan_model, unpaired_model
from scripts.models import AWAITED, RECIPES, steps_of
from scripts.paper_queue.items import QUEUE

STYLES = [name for name, recipe in RECIPES.items() if recipe.method is johnson]
TRANSLATORS = [name for name, recipe in RECIPES.items() if recipe.method is pix2pix]
UNPAIRED = [name for name, recipe in RECIPES.items() if recipe.method is cyclegan]
TEXTURES = [name for name, recipe in RECIPES.items() if recipe.method is texture_nets]
GENERATORS = [name for name, recipe in RECIPES.items() if recipe.method is stylegan]
ENLARGERS = [name for name, recipe in RECIPES.items() if recipe.method is super_resolution]


def files():
    """The networks of the package: those of the recipes, and those that a queue of runs brought home."""
    found = sorted(path for path in model_files.models_folder().glob("*.safetensors"))
    return ([path for path in found if not path.stem.endswith("_paper")],
            [path for path in found if path.stem.endswith("_paper")])  # fmt: skip


def test_every_recipe_has_its_network_and_no_network_is_without():
    assert sorted(RECIPES.keys() - {*AWAITED}) == sorted(path.stem for path in files()[0])


def test_a_network_at_the_papers_scale_has_its_item_and_its_stored_run():
    makers = {model: item for item in QUEUE for model in item.models}
    kinds = {
        "painter": johnson.KIND,
        "translator": pix2pix.KIND,
        "unpaired": cyclegan.KIND,
        "styles": stylegan.KIND,
        "domains": stargan.KIND,
        "attention": ugatit.KIND,
        "cartoons": animegan.KIND,
        "enlarger": super_resolution.KIND,
    }
    for path in files()[1]:
        stored = records.load(makers[path.stem].records[0], profile="paper")
        file = model_files.read(path, kinds[makers[path.stem].kind])
        assert file.facts["steps in all"] == stored.values["steps in all"], path.name
        assert path.stat().st_size < 28e6, path.name


@pytest.mark.parametrize("name", [name for name in RECIPES if name not in AWAITED])
def test_a_network_its_record_and_its_recipe_agree(name):
    recipe, record = RECIPES[name], records.load(f"model_{name}")
    model = recipe.method.load(name)
    asked = recipe.config
    if recipe.method is stargan:  # its `train` counts the domains
        asked = replace(asked, num_domains=len(model.domains))
    assert model.config == asked
    plain = json.loads(json.dumps(asdict(recipe.config)))
    assert plain == {**plain, **record.config}  # fields that are younger than the record have no effect
    assert record.values["started from"] == model.facts["started_from"] == recipe.start
    assert model.facts["steps"] == steps_of(recipe)
    assert record.values["parameters"] == sum(p.numel() for p in model.network.parameters())


def test_they_are_small():
    own, larger = files()
    assert max(file.stat().st_size for file in own if file.stem not in TRANSLATORS + UNPAIRED + GENERATORS) < 1e6
    assert max(file.stat().st_size for file in own if file.stem in GENERATORS) < 4e6
    assert max(file.stat().st_size for file in own if file.stem in TEXTURES) < 300e3
    assert max(file.stat().st_size for file in own) < 6e6
    assert all(file.stat().st_mode & 0o444 == 0o444 for file in own + larger), "not readable by everybody"


@pytest.mark.parametrize("name", [STYLES[0], *(pytest.param(name, marks=pytest.mark.slow) for name in STYLES[1:])])
def test_a_painter_comes_near_its_painting_and_keeps_the_scene(name):
    """On photographs it has not seen; judged by VGG-19, which it has not seen either."""
    painting, model = sample_image(RECIPES[name].style, 256), johnson.load(name)
    for photo in ("eilean_donan", "cat"):
        content = sample_image(photo, 192)
        painted = johnson.stylize(content, model).image
        before, after = (sum(metrics.gram_distance(x, painting).values()) for x in (content, painted))
        assert after < 0.8 * before, photo
        assert metrics.ssim(resize(painted, (64, 64)), resize(content, (64, 64))) > 0.3, photo
        others = [sample_image(RECIPES[other].style, 256) for other in STYLES if other != name]
        assert all(after < sum(metrics.gram_distance(painted, other).values()) for other in others), photo


@pytest.mark.parametrize("name", TEXTURES)
def test_a_texture_comes_near_its_painting_at_any_size_and_tiles(name):
    """Nearer than white noise by far, and nearer than to the paintings of the others; moved noise moves the texture."""
    model, noise = texture_nets.load(name), texture_nets.draw_noise(1, 160, 224, 5, torch.Generator().manual_seed(7))
    texture = texture_nets.generate(noise, model, precision="float32").image
    apart = {other: _apart(_grams(texture), _grams(sample_image(RECIPES[other].style, 256))) for other in TEXTURES}
    assert min(apart, key=apart.get) == name
    assert apart[name] < 0.4 * _apart(_grams(noise[-1]), _grams(sample_image(RECIPES[name].style, 256)))
    moved = texture_nets.generate([z.roll(z.shape[3] // 2, 3) for z in noise], model, precision="float32").image
    assert (moved - texture.roll(112, 3)).abs().max() < 2e-3


@pytest.mark.parametrize("photo", ["cat", pytest.param("eilean_donan", marks=pytest.mark.slow)])
def test_each_of_twelve_styles_comes_near_its_painting_and_keeps_the_scene(photo):
    """As above, and each picture is nearer to its own painting than to the eleven others."""
    model, content = multi_style.load("twelve_paintings"), sample_image(photo, 192)
    assert model.styles == RECIPES["twelve_paintings"].styles
    goals, before = [_grams(sample_image(name, 256)) for name in model.styles], _grams(content)
    for k, name in enumerate(model.styles):
        painted = multi_style.stylize(content, model, name).image
        apart = [_apart(_grams(painted), goal) for goal in goals]
        assert apart.index(min(apart)) == k, (name, apart)
        assert apart[k] < 0.8 * _apart(before, goals[k]), name
        assert metrics.ssim(resize(painted, (64, 64)), resize(content, (64, 64))) > 0.3, name


@torch.no_grad()
def _grams(image):
    network = cached_network("vgg19", STYLE_LAYERS, "average", "default", torch.float32, torch.device("cpu"))
    return [gram_matrix(features, mean=True) for features in network(image).values()]


def _apart(grams, goal):
    """As `metrics.gram_distance`, the sum over the layers."""
    return sum(((a - b).norm() / b.norm()).item() for a, b in zip(grams, goal, strict=True))


@pytest.mark.parametrize("name", ENLARGERS)
def test_an_enlarger_is_better_than_interpolation(name):
    model = super_resolution.load(name)
    factor = model.config.factor
    gains = []
    for photo in ("eilean_donan", "chenonceau", "scarlet_macaw"):
        large = center_crop(sample_image(photo, 512), (192, 192))
        small = super_resolution.reduce(large, factor)
        ways = super_resolution.upscale(small, model).image, resize(small, (192, 192))
        ours, bicubic = (metrics.psnr(way, large, crop=factor, luma=True) for way in ways)
        gains.append(ours - bicubic)
    assert sum(gains) / len(gains) > 0.2


@pytest.mark.parametrize("name", TRANSLATORS)
def test_a_translator_draws_the_street_that_was_asked_for_and_no_blur(name):
    """Streets of a seed that it has not seen: nearest to their own photograph, and about as rich in detail."""
    scenes = Facades(RECIPES[name].source, size=128, length=8, seed=1)
    sources, truths = torch.stack([scenes[k] for k in range(8)]).unbind(1)
    made = pix2pix.translate(sources, pix2pix.load(name)).image
    edges = [image.mean(1).diff(dim=-1).abs().flatten(1) for image in (made, truths)]  # colors are free to differ
    shared = torch.corrcoef(torch.cat(edges))[:8, 8:]  # (8 made, 8 true)
    assert (shared.argmax(1) == torch.arange(8)).all(), shared
    assert edges[0].mean() > 0.7 * edges[1].mean()


@pytest.mark.parametrize("name", UNPAIRED)
def test_a_translator_without_pairs_keeps_the_street_and_changes_the_weather(name):
    """Streets of a seed that it has not seen: nearer to their true dusk than the day is, and nearest to their own."""
    given, truth = unpaired_model.pairs(RECIPES[name].weathers, 128, 8)
    model = cyclegan.load(name)
    made = cyclegan.translate(given, model).image
    assert unpaired_model.error(made, truth) < unpaired_model.error(given, truth)
    edges = [image.mean(1).diff(dim=-1).abs().flatten(1) for image in (made, truth)]
    shared = torch.corrcoef(torch.cat(edges))[:8, 8:]  # (8 made, 8 true)
    assert (shared.argmax(1) == torch.arange(8)).all(), shared
    back = cyclegan.translate(truth, model, direction="BA").image
    assert unpaired_model.error(back, given) < unpaired_model.error(truth, given)


@pytest.mark.parametrize("name", GENERATORS)
def test_a_generator_makes_streets_that_differ_and_a_sky_above_a_ground(name):
    """Pictures from noise beside drawn ones of a seed that it has not seen: as various, and laid out alike."""
    model, drawn = stylegan.load(name), stylegan_model.streets(64, 64, seed=1)
    made = stylegan.generate(64, model, seed=9).image
    assert 0.7 < diversity(made) / diversity(drawn) < 1.1
    rows = [images.mean((0, 1, 3)) for images in (made, drawn)]  # brightness by height
    assert torch.corrcoef(torch.stack(rows))[0, 1] > 0.9
    calm = stylegan.generate(64, model, seed=9, truncation=0.5).image
    assert diversity(calm) < 0.8 * diversity(made)
    a, b = (stylegan.styles(16, model, seed=seed) for seed in (1, 2))
    coarse, fine = stylegan.paint(a, model).image, stylegan.paint(b, model).image
    crossed = stylegan.paint(stylegan.mixed(a, b, model, (32, 64)), model).image  # layout of a, colors of b
    shapes = [resize(images.mean(1, keepdim=True).expand(-1, 3, -1, -1), (8, 8)) for images in (crossed, coarse, fine)]
    assert (shapes[0] - shapes[1]).abs().mean() < (shapes[0] - shapes[2]).abs().mean()
