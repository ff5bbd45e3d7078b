"""Penalties on gradients: linear maps by hand, finite differences, and gradients that reach the parameters."""

import math

import pytest
import torch
from torch import nn

from course_lib.losses.regularizers import between, gradient_penalty, path_lengths, r1


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


# --- gradient penalty
def test_the_penalty_of_a_plane_is_the_squared_distance_of_its_slope_from_one():
    """(5 − 1)², and by the chain rule its gradient is 2 (5 − 1) times the direction (3, 4)/5."""
    weight = torch.tensor([3.0, 4.0], requires_grad=True)
    points = torch.randn(5, 2, requires_grad=True)
    penalty = gradient_penalty(points @ weight + 7, points)
    assert penalty.item() == pytest.approx(16)
    (gradient,) = torch.autograd.grad(penalty, weight)
    torch.testing.assert_close(gradient, torch.tensor([4.8, 6.4]))


def test_both_a_steeper_and_a_flatter_critic_are_penalized():
    points = torch.randn(3, 1, requires_grad=True)
    values = [gradient_penalty(k * points[:, 0], points).item() for k in (0.5, 1.0, -1.0, 1.5)]
    assert values == pytest.approx([0.25, 0, 0, 0.25])


def test_the_penalty_is_a_mean_of_items_each_with_its_own_length():
    """Slopes 1 and 3: (0 + 4)/2, not the (2 − 1)² of their mean."""
    points = torch.randn(2, 3, 2, 2, requires_grad=True)
    scale = torch.tensor([1.0, 3.0]) / math.sqrt(12)
    assert gradient_penalty(scale * points.sum((1, 2, 3)), points).item() == pytest.approx(2)


def test_the_logits_of_the_patches_of_a_picture_are_added():
    points = torch.randn(2, 3, requires_grad=True)
    patches = (points[:, :1] / 4).expand(2, 4).reshape(2, 1, 2, 2)  # four of slope 1/4
    assert gradient_penalty(patches, points).item() == pytest.approx(0, abs=1e-12)


def test_the_penalty_of_pictures_from_zero_to_one_is_that_of_the_papers_scale():
    """A critic of [−1, 1] that is given pictures in [0, 1]: D(2x − 1) is twice as steep."""
    D = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Softplus(), nn.Linear(8, 1)).double()
    x = torch.rand(4, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    y = (2 * x.detach() - 1).requires_grad_()
    torch.testing.assert_close(gradient_penalty(D(2 * x - 1), x, span=2), gradient_penalty(D(y), y))


def test_a_flat_critic_has_the_penalty_one_and_a_finite_gradient():
    weight, points = torch.zeros(2, requires_grad=True), torch.randn(4, 2, requires_grad=True)
    penalty = gradient_penalty(points @ weight, points)
    assert penalty.item() == 1
    (gradient,) = torch.autograd.grad(penalty, weight)
    assert gradient.isfinite().all()


def test_the_penalty_agrees_with_finite_differences():
    D = nn.Sequential(nn.Linear(3, 8), nn.Softplus(), nn.Linear(8, 1)).double()
    points, h = torch.randn(6, 3, dtype=torch.float64, requires_grad=True), 1e-5
    penalty = gradient_penalty(D(points)[:, 0], points)
    with torch.no_grad():
        steps = h * torch.eye(3).double()
        slopes = torch.stack([(D(points + e) - D(points - e))[:, 0] / (2 * h) for e in steps], 1)
    torch.testing.assert_close(penalty.detach(), (slopes.norm(dim=1) - 1).square().mean(), rtol=1e-7, atol=0)
    penalty.backward()
    weight, values = D[0].weight, []
    for move in (h, -2 * h):
        with torch.no_grad():
            weight[2, 1] += move
        values.append(gradient_penalty(D(points)[:, 0], points).item())
    assert weight.grad[2, 1].item() == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-5)


def test_the_best_linear_critic_of_two_points_is_a_little_steeper_than_one():
    """Of w(x − x̃) − λ (w − 1)² with the points d apart, the largest is at w = 1 + d/(2λ): 1.1 for d = 2, λ = 10."""
    w = torch.zeros((), requires_grad=True)
    real, fake = torch.full((4, 1), 2.0), torch.zeros(4, 1)
    for _ in range(60):
        points = between(real, fake)
        loss = w * (fake - real).mean() + 10 * gradient_penalty(w * points, points)
        (slope,) = torch.autograd.grad(loss, w)
        w.data -= 0.02 * slope
    assert w.item() == pytest.approx(1.1, abs=1e-4)


def test_points_lie_between_their_own_two_items_at_one_share_each():
    real, fake = torch.randn(3, 2, 4, 4), torch.randn(3, 2, 4, 4)
    shares = torch.tensor([0.0, 1.0, 0.25])
    points = between(real, fake, shares).detach()
    torch.testing.assert_close(points, torch.stack([fake[0], real[1], 0.25 * real[2] + 0.75 * fake[2]]))


def test_drawn_shares_are_uniform_one_for_an_item_and_leave_the_fakes_graph():
    fake = torch.zeros(4000, 2, requires_grad=True)
    points = between(torch.ones(4000, 2), 2 * fake)
    assert points.is_leaf
    assert points.requires_grad
    torch.testing.assert_close(points[:, 0], points[:, 1])
    quantiles = torch.quantile(points[:, 0].detach(), torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]))
    torch.testing.assert_close(quantiles, torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]), rtol=0, atol=0.03)


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
