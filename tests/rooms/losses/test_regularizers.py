"""R1 and path length: linear maps by hand, finite differences, and gradients that reach the parameters."""

import math

import pytest
import torch
from torch import nn

from course_lib.losses.regularizers import path_lengths, r1


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


# --- R1
def test_r1_of_a_plane_is_its_squared_slope_and_its_gradient_twice_the_slope():
    weight = torch.tensor([3.0, 4.0], requires_grad=True)
    real = torch.randn(5, 2, requires_grad=True)
    penalty = r1(real @ weight + 7, real)
    assert penalty.item() == pytest.approx(25)
    (gradient,) = torch.autograd.grad(penalty, weight)
    torch.testing.assert_close(gradient, 2 * weight.detach())


def test_r1_is_a_mean_over_items_and_a_sum_within_one():
    """D(x) = ½ Σ x²: the slope is x itself."""
    real = torch.randn(4, 3, 2, 2, requires_grad=True)
    expected = real.detach().square().sum((1, 2, 3)).mean()
    torch.testing.assert_close(r1(real.square().sum((1, 2, 3)) / 2, real).detach(), expected)
    torch.testing.assert_close(r1(real.square().sum((2, 3)).sum(1, keepdim=True) / 2, real).detach(), expected)


def test_r1_is_zero_where_the_discriminator_is_flat():
    real = torch.randn(4, 2, requires_grad=True)
    assert r1((real * 0).sum(1), real).item() == 0


def test_r1_agrees_with_finite_differences():
    """Both the slope and the penalty's own gradient, in float64."""
    D = nn.Sequential(nn.Linear(3, 8), nn.Softplus(), nn.Linear(8, 1)).double()
    real = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    penalty, h = r1(D(real)[:, 0], real), 1e-5
    with torch.no_grad():
        slopes = torch.stack([(D(real + h * e) - D(real - h * e))[:, 0] / (2 * h) for e in torch.eye(3).double()], 1)
    assert penalty.dtype == torch.float64
    torch.testing.assert_close(penalty.detach(), slopes.square().sum(1).mean(), rtol=1e-7, atol=0)
    penalty.backward()
    weight = D[0].weight
    with torch.no_grad():
        gradient = weight.grad[2, 1].item()
        weight[2, 1] += h
    above = r1(D(real)[:, 0], real).item()
    with torch.no_grad():
        weight[2, 1] -= 2 * h
    assert gradient == pytest.approx((above - r1(D(real)[:, 0], real).item()) / (2 * h), rel=1e-6)


# --- path length
def test_the_length_of_a_linear_map_is_that_of_its_transpose_times_noise():
    """Image = A w: Jᵀy = Aᵀy, and y is noise over √(H·W), not over its square or over all values."""
    A = torch.randn(3 * 4 * 6, 5)
    styles, noise = torch.randn(2, 5, requires_grad=True), torch.randn(2, 3, 4, 6)
    images = (styles @ A.T).view(2, 3, 4, 6)
    expected = (noise.flatten(1) @ A / math.sqrt(24)).norm(dim=1)
    torch.testing.assert_close(path_lengths(images, styles, noise).detach(), expected)


def test_lengths_are_summed_over_a_style_and_averaged_over_layers():
    """Two layers, one of which does nothing: the root mean square of 5 and 0."""
    styles = torch.zeros(1, 2, 2, requires_grad=True)
    images = (styles[:, 0] @ torch.tensor([[3.0], [4.0]])).view(1, 1, 1, 1)
    assert path_lengths(images, styles, torch.ones(1, 1, 1, 1)).item() == pytest.approx(math.sqrt((25 + 0) / 2))


def test_one_style_in_all_layers_moves_a_picture_farther_than_each_layer_alone():
    A, noise = torch.randn(12, 5), torch.randn(2, 3, 2, 2)
    rows = torch.randn(2, 5, requires_grad=True)
    layers = torch.randn(2, 4, 5, requires_grad=True)
    alone = path_lengths((rows @ A.T).view(2, 3, 2, 2), rows, noise)
    shared = path_lengths((layers.mean(1) @ A.T).view(2, 3, 2, 2), layers, noise)
    torch.testing.assert_close(shared.detach(), alone.detach() / 4)


def test_drawn_noise_is_standard_normal():
    """E ‖Aᵀy‖² = ‖A‖²/(H·W)."""
    A = torch.randn(3 * 8 * 8, 4)
    styles = torch.zeros(4000, 4, requires_grad=True)
    squares = path_lengths((styles @ A.T).view(-1, 3, 8, 8), styles).square().mean().item()
    assert squares == pytest.approx(A.square().sum().item() / 64, rel=0.1)


def test_each_picture_has_its_own_length():
    styles = torch.randn(3, 2, requires_grad=True)
    scales = torch.tensor([1.0, 2.0, 5.0])[:, None]
    images = (scales * styles).view(3, 1, 1, 2)
    lengths = path_lengths(images, styles, torch.ones(3, 1, 1, 2)).detach()
    torch.testing.assert_close(lengths, scales[:, 0])  # √(1 + 1)/√2 times the scale


def test_the_gradient_of_lengths_reaches_the_generator_and_agrees_with_finite_differences():
    G = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 12)).double()
    styles = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    noise, h = torch.randn(3, 3, 2, 2, dtype=torch.float64), 1e-5

    def penalty():
        return (path_lengths(G(styles).view(3, 3, 2, 2), styles, noise) - 0.3).square().mean()

    penalty().backward()
    for weight in (G[0].weight, G[2].weight):
        gradient = weight.grad[1, 2].item()
        with torch.no_grad():
            weight[1, 2] += h
        above = penalty().item()
        with torch.no_grad():
            weight[1, 2] -= 2 * h
        below = penalty().item()
        with torch.no_grad():
            weight[1, 2] += h
        assert gradient == pytest.approx((above - below) / (2 * h), rel=1e-5)
        assert gradient != 0
