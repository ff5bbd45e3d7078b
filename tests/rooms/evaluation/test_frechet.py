"""Distances between sets: against values derived by hand, against torchmetrics, and their bias and variance."""

from itertools import combinations

import pytest
import torch
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import poly_mmd

from course_lib.evaluation.frechet import (
    SizePoint,
    extrapolate,
    frechet_distance,
    kernel_distance,
    pooled_features,
    sample_size_curve,
)  # fmt: skip
from course_lib.image_checks import ImageError
from course_lib.pretrained.vgg import VGGFeatures


def normal(n, channels, seed, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    spread = torch.linspace(0.3, 1.5, channels, dtype=torch.float64)
    return torch.randn(n, channels, generator=generator, dtype=torch.float64) * spread + shift


class Given(nn.Module):
    """Features that are there already, as torchmetrics wants a network."""

    def __init__(self, channels):
        super().__init__()
        self.num_features = channels

    def forward(self, features):
        return features


# --- features ---


def test_features_are_the_means_of_the_channels(picture):
    images = torch.cat([picture(24, 32, seed) for seed in range(3)])
    network = VGGFeatures("vgg16", "relu2_2", pooling="max", weights=None)
    expected = torch.stack([network(image[None])["relu2_2"][0].mean((1, 2)) for image in images])
    torch.testing.assert_close(pooled_features(images, "relu2_2", weights=None), expected)


def test_batches_do_not_matter(picture):
    images = torch.cat([picture(16, 16, seed) for seed in range(19)])
    together = pooled_features(images, "relu1_2", weights=None)
    torch.testing.assert_close(together[17:], pooled_features(images[17:], "relu1_2", weights=None))


def test_unit_features_have_a_mean_square_of_one(picture):
    images = torch.cat([picture(16, 16, seed) for seed in range(3)])
    plain, unit = (pooled_features(images, "relu2_1", unit=unit, weights=None) for unit in (False, True))
    torch.testing.assert_close(unit.square().mean(1), torch.ones(3))
    torch.testing.assert_close(unit / unit[:, :1], plain / plain[:, :1])


@pytest.mark.parametrize(
    ("images", "layer", "words"),
    [
        (torch.zeros(2, 3, 16, 16), "relu9_1", "no layer"),
        (torch.full((2, 3, 16, 16), 200.0), "relu1_1", "divide"),
        (torch.zeros(3, 16, 16), "relu1_1", "add the batch dimension"),
        (torch.zeros(2, 3, 8, 8), "relu5_3", "at least 16 px"),
    ],
)
def test_what_is_no_set_of_pictures_is_refused(images, layer, words):
    with pytest.raises((ValueError, ImageError), match=words):
        pooled_features(images, layer, weights=None)


# --- Fréchet distance ---


def test_a_set_has_no_distance_to_itself():
    for n in (5, 40):  # fewer and more pictures than channels
        features = normal(n, 12, 0)
        assert frechet_distance(features, features.flip(0)) == pytest.approx(0, abs=1e-10)


def test_a_shift_is_its_square():
    """Equal covariances leave ‖μ_a − μ_b‖²: 12 channels, shifted by 0.5."""
    features = normal(30, 12, 0)
    assert frechet_distance(features, features + 0.5) == pytest.approx(12 * 0.25)


def test_a_factor_by_hand():
    """Features with mean 0, times 3: Tr(Σ + 9 Σ − 2 · 3 Σ) = 4 Tr Σ."""
    features = normal(30, 12, 0)
    features = features - features.mean(0)
    assert frechet_distance(features, 3 * features) == pytest.approx(4 * features.var(0).sum().item())


@pytest.mark.parametrize(("n", "m"), [(50, 60), (7, 60), (6, 9)])
def test_it_agrees_with_torchmetrics(n, m):
    """Theirs takes the root of a product of covariances, which for few pictures is singular and costs it digits."""
    a, b = normal(n, 12, 0), normal(m, 12, 1, shift=0.3)
    theirs = FrechetInceptionDistance(feature=Given(12))
    theirs.set_dtype(torch.float64)
    theirs.update(a, real=True)
    theirs.update(b, real=False)
    assert frechet_distance(a, b) == pytest.approx(theirs.compute().item(), rel=1e-4)


def test_it_is_symmetric_and_turns_with_the_features():
    a, b = normal(9, 12, 0), normal(40, 12, 1)
    turn = torch.linalg.qr(normal(12, 12, 2)).Q
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b))
    assert frechet_distance(a @ turn, b @ turn) == pytest.approx(frechet_distance(a, b))


def test_large_features_lose_no_digits():
    """A common constant of 1e6 changes nothing; in single precision it would leave no digit."""
    a, b = normal(40, 12, 0), normal(40, 12, 1)
    assert frechet_distance(a + 1e6, b + 1e6) == pytest.approx(frechet_distance(a, b), rel=1e-6)


# --- kernel distance ---


def test_kernel_distance_agrees_with_torchmetrics():
    a, b = normal(30, 12, 0), normal(30, 12, 1, shift=0.3)
    assert kernel_distance(a, b).value == pytest.approx(poly_mmd(a, b, 3, 1 / 12, 1.0).item())


def test_it_is_unbiased_and_its_interval_is_not_too_narrow():
    """60 pairs of sets from one distribution: the mean of a fair estimate is 0, and 95 % of the intervals contain 0."""
    estimates = [kernel_distance(normal(32, 6, seed), normal(32, 6, 1000 + seed)) for seed in range(60)]
    values = torch.tensor([one.value for one in estimates])
    assert values.mean().abs() < 3 * values.std() / 60**0.5
    assert (values < 0).sum() > 10  # as an estimate that is 0 on average must be
    assert sum(one.low <= 0 <= one.high for one in estimates) >= 55


def test_the_interval_of_two_different_sets_has_the_right_width():
    """The mean standard error within ±40 % of the standard deviation over 60 pairs of sets."""
    estimates = [kernel_distance(normal(80, 6, seed), normal(80, 6, 1000 + seed, shift=0.5)) for seed in range(60)]
    errors = torch.tensor([(one.high - one.value) / 1.96 for one in estimates])
    assert errors.mean() == pytest.approx(torch.tensor([one.value for one in estimates]).std().item(), rel=0.4)


def test_the_seed_moves_the_interval_only():
    a, b = normal(20, 4, 0), normal(24, 4, 1)
    first, second = kernel_distance(a, b, seed=0), kernel_distance(a, b, seed=1)
    assert first.value == second.value
    assert first.low != second.low
    assert first == kernel_distance(a, b)


# --- the number of pictures ---


def test_two_halves_of_one_set_look_far_apart_when_they_are_small():
    curve = sample_size_curve(normal(400, 12, 0), [4, 20, 200])
    assert curve[0].mean > 3 * curve[1].mean > 9 * curve[2].mean
    assert all(point.low <= point.mean <= point.high for point in curve)


def test_halves_share_no_picture():
    """With n = N / 2 and one repeat, the two subsets are the set: the means of both average to its mean."""
    features = torch.arange(6.0)[:, None] ** 3  # sums of three that are all different
    seen = {round(frechet_distance(features[list(s)], features[[k for k in range(6) if k not in s]]), 6)
            for s in combinations(range(6), 3)}  # fmt: skip
    point = sample_size_curve(features, [3], repeats=1)[0]
    assert round(point.mean, 6) in seen


def test_the_curve_of_two_sets_ends_at_their_distance():
    a, b = normal(30, 4, 0), normal(20, 4, 1)
    point = sample_size_curve(a[:20], [20], other=b)[0]
    assert point.mean == pytest.approx(frechet_distance(a[:20], b))
    assert point.high == pytest.approx(point.low)


def test_extrapolation_needs_more_pictures_than_channels():
    """Halves of one set: near 0 with n well above C = 4, and far above it with n below C = 200."""
    wide = extrapolate(sample_size_curve(normal(160, 200, 0), [20, 40, 80]))
    narrow = extrapolate(sample_size_curve(normal(2000, 4, 0), [100, 300, 1000]))
    largest = sample_size_curve(normal(2000, 4, 0), [100])[0].mean
    assert abs(narrow) < 0.1 * largest
    assert wide > 10


def test_extrapolation_recovers_a_line():
    points = [SizePoint(n, 2 - 30 / n, 0, 0) for n in (10, 15, 60)]
    assert extrapolate(points) == pytest.approx(2)


# --- what is refused ---


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (torch.zeros(5, 3, 8, 8), torch.zeros(5, 4), r"\(N, C\) from pooled_features"),
        ([[1.0]], torch.zeros(5, 4), "got list"),
        (torch.zeros(5, 4, dtype=torch.int64), torch.zeros(5, 4), "expected features"),
        (torch.zeros(1, 4), torch.zeros(5, 4), "1 pictures"),
        (torch.zeros(5, 4), torch.full((5, 4), float("nan")), "NaN"),
        (torch.zeros(5, 4), torch.zeros(5, 6), "use one layer"),
    ],
)
@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_what_is_no_set_of_features_is_refused(distance, a, b, words):
    with pytest.raises(ValueError, match=words):
        distance(a, b)


def test_kernel_distance_needs_four_pictures():
    with pytest.raises(ValueError, match="at least 4"):
        kernel_distance(torch.rand(3, 2), torch.rand(9, 2))


@pytest.mark.parametrize("sizes", [[1], [6], [2.5], ["4"]])
def test_a_size_without_two_halves_is_refused(sizes):
    with pytest.raises(ValueError, match="whole number from 2 to 5"):
        sample_size_curve(torch.rand(11, 2), sizes)


def test_a_line_needs_two_sizes():
    with pytest.raises(ValueError, match="two different n"):
        extrapolate([SizePoint(10, 1, 1, 1)] * 2)
