"""`stylegan.project` finds the style of a generator's own picture, and refuses what is no picture of its size."""

from dataclasses import replace

import pytest
import torch

from course_lib.methods import stylegan

SMALL = replace(stylegan.Config.quick(), image_size=8, most=8, z_size=8, w_size=8, num_mapping=2, device="cpu")


@pytest.fixture(scope="module")
def model():
    G = stylegan.build(SMALL).eval()
    G.mapping.measure_mean()
    return stylegan.Model(G, SMALL, {})


def own(model, seed=5):
    return stylegan.generate(1, model, seed=seed)


def test_an_own_picture_comes_back(model):
    wanted = own(model).image
    mean = stylegan.generate(1, model, truncation=0.0).image
    found = stylegan.project(wanted, model, num_steps=150, weights=None, device="cpu")
    assert found.image.shape == wanted.shape
    assert (found.image - wanted).abs().mean() < 0.3 * (mean - wanted).abs().mean()
    assert found.history["total"][-1] < 0.2 * found.history["total"][0]
    assert set(found.history) > {"total", "colors", "seconds"}
    same = found.styles[:, :1].expand_as(found.styles)
    assert torch.equal(found.styles, same), "one style for all layers"


def test_a_style_for_each_layer_comes_nearer_to_a_foreign_picture(model):
    foreign = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    one = stylegan.project(foreign, model, num_steps=80, weights=None, device="cpu")
    many = stylegan.project(foreign, model, num_steps=80, per_layer=True, weights=None, device="cpu")
    assert many.styles.std(1).max() > 0
    assert many.history["total"][-1] < one.history["total"][-1]


def test_the_generator_stays_as_it_was(model):
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    with torch.no_grad():
        stylegan.project(own(model).image, model, num_steps=2, weights=None, device="cpu")
    assert all(torch.equal(value, before[name]) for name, value in model.network.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.network.parameters())


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (torch.rand(1, 3, 16, 16), "8 × 8 px, the generator's size, got \\(1, 3, 16, 16\\)"),
        (torch.rand(2, 3, 8, 8), "1"),
        (torch.rand(1, 3, 8, 8) * 255, "0, 1"),
    ],
)
def test_other_pictures_are_refused(model, image, words):
    with pytest.raises(ValueError, match=words):
        stylegan.project(image, model, num_steps=2, weights=None)
    with pytest.raises(ValueError, match="num_steps"):
        stylegan.project(own(model).image, model, num_steps=0, weights=None)


def test_the_mean_is_that_of_many_styles_and_the_spread_is_the_distance_from_it(model):
    mapping = model.network.mapping
    w = mapping(torch.randn(4000, 8, generator=torch.Generator().manual_seed(9))).detach()
    assert (w.mean(0) - mapping.mean).abs().max() < 0.15
    assert mapping.spread() == pytest.approx((w - w.mean(0)).square().sum(1).mean().sqrt().item(), rel=0.05)
