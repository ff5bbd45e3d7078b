"""The roads of three optimizers in the plane: landscapes by hand, a surface between nodes, and who walks them."""

import math

import pytest
import torch

from course_lib.optimize.lbfgs import LBFGS
from course_lib.teaching.interactive import roads

START = (0.1, 0.85)
STEEP = torch.tensor([[2.0, 0.6], [0.6, 0.5]], dtype=torch.float64)


def bowl(x):
    d = x - torch.tensor([0.7, 0.3], dtype=torch.float64)
    return d @ STEEP @ d / 2


def nodes_of(function, count=9):
    """Values and gradients on the grid of a surface, (n, n, 3)."""
    line = torch.linspace(roads.LOW, roads.HIGH, count, dtype=torch.float64)
    x = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1).requires_grad_(True)  # [row, column]
    value = function(x)
    (slope,) = torch.autograd.grad(value.sum(), x)
    return torch.cat((value[..., None], slope), -1).detach()


def test_the_valleys_are_those_of_the_formula():
    """By hand: at κ = 10 and 0 degrees, (0.95, 0.7) is 0.2 along and 0.3 across: ½ (0.04/10 + 0.09) = 0.047."""
    x = torch.tensor([0.95, 0.7], dtype=torch.float64)
    assert roads.landscape("valley", conditioning=10, angle=0)(x).item() == pytest.approx(0.047)
    assert roads.landscape("valley", conditioning=10, angle=90)(x).item() == pytest.approx((0.09 / 10 + 0.04) / 2)
    outside = torch.tensor([0.4, 0.15], dtype=torch.float64)  # from (0.2, −0.15)
    assert roads.landscape("outside", conditioning=10, angle=0)(outside).item() == pytest.approx(0.047)
    bent = torch.tensor([0.8, 0.5], dtype=torch.float64)  # 0.3 along, 0 across: 2 · 0.09 − 0.3 = −0.12 is the bottom
    assert roads.landscape("curved", conditioning=10, angle=0)(bent).item() == pytest.approx(0.12**2 / 2)
    with pytest.raises(ValueError, match="must be one of 'valley', 'outside', 'curved', got 'hill'"):
        roads.landscape("hill")


@pytest.mark.parametrize("angle", [0, 30, 75])
def test_the_largest_curvature_is_one_and_the_smallest_one_over_kappa(angle):
    hessian = torch.autograd.functional.hessian(
        roads.landscape("valley", conditioning=50, angle=angle), torch.zeros(2, dtype=torch.float64)
    )
    torch.testing.assert_close(torch.linalg.eigvalsh(hessian), torch.tensor([0.02, 1.0], dtype=torch.float64))
    flat = torch.tensor([math.cos(math.radians(angle)), math.sin(math.radians(angle))], dtype=torch.float64)
    torch.testing.assert_close(hessian @ flat, flat / 50)


def test_a_surface_goes_through_its_nodes_with_their_slopes():
    nodes = nodes_of(lambda x: torch.sin(3 * x[..., 0]) * torch.exp(x[..., 1]))
    surface = roads.Surface(nodes)
    line = torch.linspace(roads.LOW, roads.HIGH, 9, dtype=torch.float64)
    for row, column in ((0, 0), (3, 5), (8, 8), (0, 7)):
        x = torch.stack((line[column], line[row])).requires_grad_(True)
        value = surface(x)
        (slope,) = torch.autograd.grad(value, x)
        torch.testing.assert_close(torch.cat((value.view(1), slope)).detach(), nodes[row, column], atol=1e-9, rtol=1e-9)


def test_a_surface_through_a_parabola_is_the_parabola_and_goes_on_in_straight_lines():
    def parabola(x):
        a, b = x.unbind(-1)
        return 1 + a - 2 * b + 3 * a * a + a * b - b * b

    surface = roads.Surface(nodes_of(parabola, 5))
    for point in torch.rand(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 1.4 - 0.2:
        torch.testing.assert_close(surface(point), parabola(point))
    edge, slope = torch.tensor([1.2, 0.5], dtype=torch.float64), 1 + 6 * 1.2 + 0.5
    beyond = torch.tensor([1.5, 0.5], dtype=torch.float64)
    torch.testing.assert_close(surface(beyond), parabola(edge) + 0.3 * slope)


def test_nodes_that_are_no_surface_are_refused():
    with pytest.raises(ValueError, match=r"square grid, \(n, n, 3\), got \(4, 5, 3\)"):
        roads.Surface(torch.zeros(4, 5, 3))
    with pytest.raises(ValueError, match="not finite"):
        roads.Surface(torch.full((4, 4, 3), torch.nan))
    with pytest.raises(ValueError, match="must stay below 65504, got 1e\\+06; divide it"):
        roads.rounded(torch.full((4, 4, 3), 1e6))
    with pytest.raises(ValueError, match=r"the mask must be \(h, w\) bool, got \(3, 3\) of torch.float32"):
        roads.optimizers_road(torch.zeros(4, 4, 3), torch.zeros(3, 3), caption="c", alt="a")


def test_gradient_descent_and_adam_are_torch_s():
    for name, plain in (
        ("gradient descent", lambda x: torch.optim.SGD([x], lr=0.4)),
        ("Adam", lambda x: torch.optim.Adam([x], lr=0.05, betas=(0.5, 0.9))),
    ):
        x = torch.tensor(START, dtype=torch.float64, requires_grad=True)
        optimizer, expected = plain(x), [x.detach().clone()]
        for _ in range(10):
            optimizer.zero_grad()
            bowl(x).backward()
            optimizer.step()
            expected.append(x.detach().clone())
        options = {"step_length": 0.4, "learning_rate": 0.05, "betas": (0.5, 0.9)}
        found = roads.walk(bowl, name, START, steps=10, bounds=False, **options)
        torch.testing.assert_close(found, torch.stack(expected))


@pytest.mark.parametrize("bounds", [False, True])
def test_l_bfgs_is_the_library_s(bounds):
    x = torch.tensor(START, dtype=torch.float64)
    ours = LBFGS(
        x, history_size=3, first_step=roads.FIRST_STEP, max_step=roads.MAX_STEP, growth=roads.GROWTH,
        project=(lambda one: one.clamp_(0, 1)) if bounds else None, precondition=None, average=False,
    )  # fmt: skip
    outside, expected = roads.landscape("outside", conditioning=30, angle=30), [x.clone()]
    for _ in range(10):
        at = x.clone().requires_grad_(True)
        ours.step(torch.autograd.grad(outside(at), at)[0])
        expected.append(x.clone())
    found = roads.walk(outside, "L-BFGS", START, steps=10, bounds=bounds, history_size=3)
    torch.testing.assert_close(found, torch.stack(expected))
    assert (found.min() < 0) == (not bounds)


def test_bounds_end_at_the_lowest_point_inside_not_at_the_clamped_one():
    """By hand: on the edge y = 0 of the turned valley, where its slope along the edge is zero."""
    outside = roads.landscape("outside", conditioning=30, angle=30)
    cos, sin = math.cos(math.pi / 6), 0.5
    xx, xy = sin**2 + cos**2 / 30, cos * sin * (1 / 30 - 1)  # entries of the curvature
    lowest = 0.2 - xy / xx * 0.15  # xx (x − 0.2) + xy (0 + 0.15) = 0
    end = roads.walk(outside, "L-BFGS", (0.9, 0.8), steps=30)[-1]
    torch.testing.assert_close(end, torch.tensor([lowest, 0.0], dtype=torch.float64), atol=1e-6, rtol=0)
    free = roads.walk(outside, "L-BFGS", (0.9, 0.8), steps=30, bounds=False)[-1].clamp(0, 1)
    assert free.tolist() == pytest.approx([0.2, 0.0], abs=1e-6)
    assert outside(free) > 5 * outside(end)


@pytest.mark.parametrize("name", roads.OPTIMIZERS)
def test_a_preconditioner_is_a_change_of_variables(name, monkeypatch):
    """The road with B is that on z = B^−½ x without it (L-BFGS without its limits, which are in units of x)."""
    monkeypatch.setattr(roads, "MAX_STEP", 100.0)
    monkeypatch.setattr(roads, "GROWTH", 1e6)
    values, vectors = torch.linalg.eigh(STEEP)
    B = vectors @ torch.diag(values.max() / values) @ vectors.T
    root = vectors @ torch.diag((values.max() / values).sqrt()) @ vectors.T
    start = torch.linalg.solve(root, torch.tensor(START, dtype=torch.float64))
    options = {"steps": 10, "bounds": False, "step_length": 0.3}
    with_guess = roads.walk(bowl, name, START, precondition=B, **options)
    if name == "L-BFGS":  # the first step has a length in x: give both the same
        g = root @ STEEP @ (torch.tensor(START, dtype=torch.float64) - torch.tensor([0.7, 0.3], dtype=torch.float64))
        monkeypatch.setattr(roads, "FIRST_STEP", roads.FIRST_STEP * (g.norm() / (root @ g).norm()).item())
    in_z = roads.walk(lambda z: bowl(root @ z), name, tuple(start.tolist()), **options)
    torch.testing.assert_close(with_guess, in_z @ root, atol=1e-9, rtol=1e-7)


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(ValueError, match="must be one of 'gradient descent', 'Adam', 'L-BFGS', got 'SGD'"):
        roads.walk(bowl, "SGD", START, steps=1)
