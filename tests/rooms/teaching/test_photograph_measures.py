"""The measures of chapter 14: hand-made pictures, and numbers under the names of their rules."""

import pytest
import torch

from course_lib import sample_image
from course_lib.painting import objective as painting_objective
from course_lib.teaching import measures, registry
from course_lib.teaching.measures import cases, photographs
from course_lib.teaching.registry import Expression


@pytest.fixture
def random_network(monkeypatch):
    """The loss network has random weights: what a number is does not matter then."""
    network = painting_objective.cached_network

    def cached_network(arch, layers, pooling, _, *rest):
        return network(arch, layers, pooling, None, *rest)

    for module in (painting_objective, photographs):
        monkeypatch.setattr(module, "cached_network", cached_network)
    monkeypatch.setattr(painting_objective, "layer_weights", lambda _, layers, **__: (1.0,) * len(layers))


def test_recolorings_stay_below_their_bound_and_noise_far_above():
    for seed in range(3):
        found = photographs.affine(sample_image("cat", 48), seed=seed).numbers
        assert 0.5 < found["energy / bound"] <= 1
        assert found["noise / energy"] > 1000


def test_the_error_of_gradients_is_that_of_the_differences():
    """One step from 0 to 1 in each of 5 columns, of 31 differences; video stores 219 levels of 255."""
    photo = torch.zeros(1, 3, 4, 5)  # 4·4 differences across, 3·5 down
    image = photo.clone()
    image[..., 2:, :] = 1
    assert photographs.gradient_error(image, photo) == pytest.approx(5 / 31 * 219 / 255, rel=1e-4)
    assert photographs.gradient_error(image + 0.0, image) == 0
    assert photographs.gradient_error(0.5 * image + 0.2, 0.5 * image) == pytest.approx(0, abs=1e-7)


def test_patches_of_the_style_itself_have_correlation_one():
    style = torch.rand(1, 4, 7, 9, generator=torch.Generator().manual_seed(0))
    assert photographs.correlation(style, style, stride=1) == pytest.approx(1)
    assert photographs.correlation(3 * style, style, stride=1) == pytest.approx(1)
    turned = photographs.correlation(style.flip(3), style, stride=1)
    assert 0 < turned < 0.999


def test_a_nearest_patch_is_found_by_row_and_column():
    """Patches differ by one bright position; the style has the same ones, mirrored from top to bottom."""
    style = torch.full((1, 1, 5, 6), 0.01)
    style[0, 0, 0, 5] = 1.0
    features = style.flip(2)
    assert photographs.correlation(features, style, stride=1) > 0.5  # flat patches match, the bright corner does not


@pytest.mark.parametrize("name", sorted({name for pair in cases.MASKED for name in pair}))
def test_every_masked_picture_has_sky_above_something_else(name):
    sky = photographs._sky(name, 96)
    assert sky.shape == tuple(length // 8 for length in sample_image(name, 96).shape[-2:])
    assert 0.1 < sky.double().mean() < 0.6
    assert sky[0].double().mean() > 0.5 > sky[-1].double().mean()


@pytest.mark.parametrize("name", ["poisson", "photorealism", "fusion"])
def test_a_measure_returns_the_numbers_of_its_rules(random_network, name):
    known = {
        "photo": sample_image("cat", 48), "painting": sample_image("great_wave", 48), "masked": cases.MASKED[0],
        "size": 48, "steps": 2, "seed": 0,
    }  # fmt: skip
    measure = measures.MEASURES[name]
    wanted = measure.__code__.co_varnames[: measure.__code__.co_argcount + measure.__code__.co_kwonlyargcount]
    found = measure(**{key: known[key] for key in wanted})
    rules = [claim for claim in registry.load().values() if claim.record == measures.PREFIX + name]
    assert rules
    for claim in rules:
        Expression(claim.holds)(found.numbers)
        Expression(claim.effect)(found.numbers)
    assert all(image.shape[1] == 3 for image in found.images.values())


def test_the_pictures_of_the_cases_are_in_the_package_and_differ():
    for pairs in (cases.LIGHTS, cases.MIXED):
        assert len({photo for photo, _ in pairs}) == len(pairs) == 6
        assert all(sample_image(name, 16).shape[1] == 3 for pair in pairs for name in pair)
