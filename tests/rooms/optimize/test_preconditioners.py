"""First guesses of the inverse Hessian: symmetric, positive definite, and what they do to a wave."""

import math

import pytest
import torch

from course_lib.optimize.lbfgs import LBFGS
from course_lib.optimize.preconditioners import color_preconditioner, fourier_preconditioner
from tests.rooms.optimize.problems import quadratic, rms, unit_clamp


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (8, 1), (6, 9), (7, 5), (8, 8)])
@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_the_preconditioner_is_symmetric_and_positive_definite(size, power):
    """As a matrix: B = Bᵀ, all eigenvalues positive, the largest for a constant picture."""
    filter_ = fourier_preconditioner(*size, power=power)
    count = size[0] * size[1]
    matrix = filter_(torch.eye(count, dtype=torch.float64).view(count, *size)).view(count, count)
    torch.testing.assert_close(matrix, matrix.T, rtol=1e-6, atol=1e-6)
    eigenvalues = torch.linalg.eigvalsh(matrix)
    assert eigenvalues.min() > 0.99  # at the highest frequency, 1/√2 cycles per pixel
    assert eigenvalues.max() == pytest.approx(max(size) ** power, rel=1e-5)
    if power == 0:
        torch.testing.assert_close(matrix, torch.eye(count, dtype=torch.float64), rtol=0, atol=1e-6)


def test_the_preconditioner_divides_a_wave_by_a_power_of_its_frequency():
    wave = torch.cos(2 * math.pi * 4 * torch.arange(32) / 32).expand(1, 3, 32, 32)  # 4 periods: 1/8 cycle per pixel
    for power in (0.5, 1.0):
        torch.testing.assert_close(fourier_preconditioner(32, 32, power=power)(wave), 8**power * wave)


def preconditioned(x, a, b, steps, filter_, **options):
    optimizer = LBFGS(x, first_step=0.1, max_step=10.0, precondition=filter_, **options)
    for _ in range(steps):
        optimizer.step((a @ x.flatten() - b).view_as(x))
    return x


def test_preconditioning_is_a_change_of_variables():
    """The same path as plain L-BFGS on z with x = B^½ z, as long as no step is shortened."""
    a, b = quadratic(24)
    half, whole = (fourier_preconditioner(4, 6, power=power) for power in (0.5, 1.0))
    root = half(torch.eye(24, dtype=torch.float64).view(24, 4, 6)).view(24, 24)
    x, z = torch.zeros(4, 6, dtype=torch.float64), torch.zeros(24, dtype=torch.float64)
    ours, plain = (
        LBFGS(x, first_step=1.0, max_step=1e9, precondition=whole),
        LBFGS(z, first_step=rms(root @ b) / rms(root @ root @ b), max_step=1e9),
    )
    for _ in range(15):
        ours.step((a @ x.flatten() - b).view(4, 6))
        plain.step(root @ (a @ (root @ z) - b))
        torch.testing.assert_close(x.flatten(), root @ z, rtol=1e-6, atol=1e-7)  # the filter's gains are float32


@pytest.mark.parametrize("bounded", [False, True])
def test_preconditioning_does_not_move_the_minimum(bounded):
    a, b = quadratic(24, seed=3)
    project = unit_clamp if bounded else None
    start = torch.full((4, 6), 0.5, dtype=torch.float64)
    plain = preconditioned(start.clone(), a, b, 80, None, project=project)
    ours = preconditioned(start.clone(), a, b, 80, fourier_preconditioner(4, 6, power=1.0), project=project)
    torch.testing.assert_close(ours, plain, rtol=0, atol=1e-6)


def test_preconditioning_helps_where_curvature_grows_with_frequency():
    """½ xᵀ B⁻¹ x is isotropic after the change of variables, so three steps are enough."""
    filter_, inverse = fourier_preconditioner(16, 16, power=1.0), fourier_preconditioner(16, 16, power=-1.0)
    losses = []
    for precondition in (None, filter_):
        x = torch.rand(16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        optimizer = LBFGS(x, first_step=0.01, max_step=10.0, precondition=precondition)
        for _ in range(3):
            optimizer.step(inverse(x))
        losses.append((x * inverse(x)).sum().item())
    assert losses[1] < 1e-6 * losses[0]


# --- by color ---


def as_matrix(filter_, height, width):
    count = 3 * height * width
    return filter_(torch.eye(count, dtype=torch.float64).view(count, 3, height, width)).reshape(count, count)


@pytest.mark.parametrize("size", [(1, 1), (5, 8), (7, 6)])
@pytest.mark.parametrize("power", [0.0, 0.4])
def test_the_color_preconditioner_is_symmetric_and_positive_definite(size, power):
    matrix = as_matrix(color_preconditioner(*size, power=power), *size)
    torch.testing.assert_close(matrix, matrix.T, rtol=1e-6, atol=1e-6)
    assert torch.linalg.eigvalsh(matrix).min() > 0.5


def wave(period, color):
    """A cosine across the picture, 48 px wide, in one color."""
    across = torch.cos(2 * math.pi * torch.arange(48, dtype=torch.float64) / period)
    return across.expand(1, 3, 8, 48) * torch.tensor(color, dtype=torch.float64).view(1, 3, 1, 1)


GRAY, RED_BLUE, GREEN_MAGENTA = (1, 1, 1), (1, 0, -1), (1, -2, 1)


@pytest.mark.parametrize(
    ("period", "color", "curvature"),
    [
        (6, GRAY, (1 / 6 / 0.17) * math.exp((1 - (1 / 6 / 0.17) ** 2) / 2)),  # near the maximum, 1
        (2, GRAY, (0.5 / 0.17) * math.exp((1 - (0.5 / 0.17) ** 2) / 2)),  # fine grain: nearly flat
        (48, RED_BLUE, 0.9 * math.exp(-((1 / 48 / 0.08) ** 2) / 2)),
        (48, GREEN_MAGENTA, 1.7 * math.exp(-((1 / 48 / 0.08) ** 2) / 2)),
        (4, RED_BLUE, 0.9 * math.exp(-((1 / 4 / 0.08) ** 2) / 2)),  # fine color: flat
    ],
)
def test_a_wave_is_divided_by_the_curvature_of_its_color_and_frequency(period, color, curvature):
    x = wave(period, color)
    torch.testing.assert_close(color_preconditioner(8, 48)(x), 1.3 / (curvature + 0.3) * x, rtol=1e-5, atol=1e-5)


def test_a_power_divides_by_the_frequency_as_well():
    x = wave(6, GRAY)
    alone, both = color_preconditioner(8, 48)(x), color_preconditioner(8, 48, power=0.5)(x)
    torch.testing.assert_close(both, 6**0.5 * alone, rtol=1e-5, atol=1e-6)


def test_it_helps_where_the_curvature_is_what_it_says():
    """½ xᵀ B⁻¹ x is isotropic after the change of variables, so three steps are enough."""
    filter_ = color_preconditioner(6, 8)
    inverse = torch.linalg.inv(as_matrix(filter_, 6, 8))
    losses = []
    for precondition in (None, filter_):
        x = torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        optimizer = LBFGS(x, first_step=0.01, max_step=10.0, growth=1e9, precondition=precondition)
        for _ in range(3):
            optimizer.step((inverse @ x.flatten()).view_as(x))
        losses.append((x.flatten() @ inverse @ x.flatten()).item())
    assert losses[1] < 1e-3 * losses[0]
