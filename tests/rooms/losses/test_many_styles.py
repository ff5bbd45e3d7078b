"""Terms of pictures that belong to different paintings: by hand, comparable, and on the right scale."""

import pytest
import torch

from course_lib import VGGFeatures, losses
from course_lib.losses.many_styles import ManyStyles
from course_lib.losses.perceptual import PerceptualLoss

CONTENT, STYLE = {"relu2_1": 0.5}, {"relu1_1": 3.0, "relu2_1": 20.0}


def pictures(*size, count=1, seed=0):
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(seed))


PAINTINGS = [pictures(16, 20, seed=5), pictures(24, 16, seed=6).round(), 0.3 * pictures(16, 16, seed=7)]


def many(**options):
    network = VGGFeatures(layers=tuple(STYLE), weights=None)
    return ManyStyles(network, PAINTINGS, content=CONTENT, style=STYLE, convention=losses.JOHNSON, **options)


def test_each_picture_has_the_terms_of_its_own_painting():
    loss, photos, painted = many(), pictures(16, 18, count=2), pictures(16, 18, count=2, seed=1)
    expected = torch.zeros(3)
    for k, style in enumerate((2, 0)):
        one = PerceptualLoss(loss.loss.network, content=CONTENT, style=STYLE, convention=losses.JOHNSON)
        one.set_content(photos[k : k + 1])
        one.set_style([PAINTINGS[style]])
        expected += one(painted[k : k + 1]) / 2
    torch.testing.assert_close(loss(painted, photos, torch.tensor([2, 0])), expected)


def test_style_terms_are_distances_of_gram_matrices():
    loss, photos = many(), pictures(16, 18, count=2)
    network = VGGFeatures(layers=tuple(STYLE), weights=None)
    for k, painting in enumerate(PAINTINGS):
        expected = 0.0
        for layer in STYLE:
            goal = losses.gram_matrix(network(painting)[layer], mean=True)
            for photo in photos.split(1):
                apart = losses.gram_matrix(network(photo)[layer], mean=True) - goal
                expected += apart.square().mean().item() / 2
        assert loss.style_terms(photos)[k].item() == pytest.approx(expected, rel=1e-4)


def test_comparable_photos_make_the_style_terms_equal():
    photos = pictures(16, 18, count=3)
    plain, loss = many(), many(comparable=photos)
    before, after = plain.style_terms(photos), loss.style_terms(photos)
    assert before.max() > 1.5 * before.min()
    torch.testing.assert_close(after, torch.full_like(after, loss.start), rtol=1e-5, atol=0)
    assert loss.start == pytest.approx(before.prod().item() ** (1 / 3), rel=1e-5)
    torch.testing.assert_close(many(comparable=photos, start=7.0).style_terms(photos).float(), torch.full((3,), 7.0))


def test_a_painting_that_is_a_photo_gives_finite_factors():
    loss = many(comparable=PAINTINGS[0])
    assert loss.factors.isfinite().all()


def test_without_style_layers_there_are_no_factors():
    network = VGGFeatures(layers=("relu2_1",), weights=None)
    loss = ManyStyles(network, PAINTINGS, content=CONTENT, style={}, comparable=pictures(16, 16))
    assert loss(pictures(16, 16), pictures(16, 16, seed=1), torch.tensor([1])).shape == (1,)
    assert loss.start is None
