"""Weights of the style layers: words, numbers, and what the activations say."""

import pytest
import torch

from course_lib import VGGFeatures, gram_matrix, sample_image, samples
from course_lib.losses import balance
from course_lib.losses.balance import layer_weights, mean_activations
from course_lib.pretrained.vgg import STYLE_LAYERS


def test_numbers_stay_and_equal_is_one_each():
    assert layer_weights((3, 0, 1), STYLE_LAYERS[:3]) == (3, 0, 1)
    assert layer_weights("equal", STYLE_LAYERS) == layer_weights(None, STYLE_LAYERS) == (1.0,) * 5


def test_another_word_is_refused():
    with pytest.raises(ValueError, match=r"one of \('balanced', 'equal'\) or numbers, got 'balance'"):
        layer_weights("balance", STYLE_LAYERS)


def test_means_are_those_of_the_photographs():
    layers = ("relu2_1", "relu1_1")
    network = VGGFeatures(layers=layers, weights=None)
    photos = [sample_image(name, balance.PHOTO_SIZE) for name in balance.PHOTOS]
    expected = [sum(network(photo)[layer].mean().item() for photo in photos) / 6 for layer in layers]
    assert mean_activations(layers, weights=None) == pytest.approx(tuple(expected), rel=1e-5)  # in the order asked for


def test_the_photographs_are_no_inputs_of_a_run():
    seen = samples.watch()
    mean_activations.cache_clear()
    mean_activations(("relu1_1",), weights=None)
    samples.unwatch(seen)
    assert seen == []


def test_the_sign_of_a_raw_convolution_does_not_matter():
    (raw,), (rectified,) = (mean_activations((layer,), weights=None) for layer in ("conv2_1", "relu2_1"))
    assert raw > rectified > 0


def test_balance_is_the_inverse_square_in_units_of_the_first(monkeypatch):
    monkeypatch.setattr(balance, "mean_activations", lambda *_: (0.8, 0.4, 0.123))
    assert layer_weights("balanced", STYLE_LAYERS[:3]) == (1.0, 4.0, 42.0)  # (0.8 / 0.123)² = 42.3


def test_half_of_the_decay_is_undone(real_network):
    """A layer's share of a style term goes with w·a⁴: its spread over layers, in logarithms, is halved."""
    weights = layer_weights("balanced", STYLE_LAYERS)
    means = mean_activations(STYLE_LAYERS)
    assert list(means) == sorted(means, reverse=True)
    before, after = (torch.tensor([w * a**4 for w, a in zip(row, means, strict=True)]) for row in ((1,) * 5, weights))
    spread = [(share.max() / share.min()).log().item() for share in (before, after)]
    assert spread[1] == pytest.approx(spread[0] / 2, rel=0.02)
    assert weights == pytest.approx((1, 1.5, 2.8, 5.0, 15.6), rel=0.1)


def test_max_pooling_needs_no_balance(real_network):
    """Gatys et al. normalized the network so; the last layer, whose filters are sparsest, is the furthest off."""
    assert layer_weights("balanced", STYLE_LAYERS, pooling="max") == pytest.approx((1,) * 5, abs=0.35)


def test_the_style_term_grows_with_the_fourth_power():
    features = torch.rand(1, 4, 8, 8)
    small, large = (gram_matrix(scale * features, mean=True).square().sum() for scale in (1.0, 2.0))
    assert large / small == pytest.approx(16)
