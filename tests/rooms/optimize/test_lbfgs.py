"""L-BFGS: compared with PyTorch's, on problems whose minimum is known, and with bounds."""

import pytest
import torch

from course_lib.optimize.lbfgs import LBFGS
from course_lib.optimize.preconditioners import color_preconditioner
from tests.rooms.optimize.problems import quadratic, rms, unit_clamp


@pytest.mark.parametrize("history_size", [3, 50])
def test_the_path_is_that_of_pytorch(history_size):
    a, b = quadratic(30)
    ours, theirs = torch.zeros(30, dtype=torch.float64), torch.zeros(30, dtype=torch.float64, requires_grad=True)
    reference = torch.optim.LBFGS(
        [theirs], lr=1, max_iter=1, history_size=history_size, tolerance_grad=0, tolerance_change=0
    )
    first = min(1.0, 1 / b.abs().sum().item()) * rms(b)  # torch's first step is min(1, 1/Σ|g|)·g, and g = −b at 0
    optimizer = LBFGS(ours, history_size=history_size, first_step=first, max_step=1e9, growth=1e9)

    def closure():
        theirs.grad = (a @ theirs - b).detach()
        return torch.zeros(())

    for _ in range(20):
        optimizer.step(a @ ours - b)
        reference.step(closure)
        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-9, atol=1e-9)  # the same sums in another order
    assert rms(a @ ours - b) < 0.1 * rms(b), "without progress the comparison would show nothing"


def test_a_quadratic_is_solved():
    a, b = quadratic(20)
    x = torch.zeros(20, dtype=torch.float64)
    optimizer = LBFGS(x, first_step=0.1, max_step=10.0)
    for _ in range(60):
        optimizer.step(a @ x - b)
    torch.testing.assert_close(x, torch.linalg.solve(a, b), rtol=0, atol=1e-6)


def test_the_step_follows_the_curvature_not_the_gradient():
    x = torch.tensor([1.0, 1.0], dtype=torch.float64)  # f = ½ (x² + 1000 y²)
    scales = torch.tensor([1.0, 1000.0], dtype=torch.float64)
    optimizer = LBFGS(x, first_step=0.001, max_step=10.0)
    for _ in range(25):
        optimizer.step(scales * x)
    assert x.abs().max() < 1e-6  # gradient descent with the largest stable rate still has x > 0.95


def test_the_first_step_goes_downhill_with_the_given_length():
    x = torch.zeros(1, 3, 4, 4)
    gradient = 1e6 * torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    LBFGS(x, first_step=0.01).step(gradient)
    assert rms(x) == pytest.approx(0.01, rel=1e-5)
    torch.testing.assert_close(x / rms(x), -gradient / rms(gradient))


def test_no_step_is_longer_than_max_step():
    x = torch.tensor([10.0, -10.0])  # far from the minimum at 0; plain L-BFGS would jump in its second step
    optimizer = LBFGS(x, first_step=0.01, max_step=0.25)
    lengths = []
    for _ in range(30):
        before = x.clone()
        optimizer.step(2 * x)
        lengths.append(rms(x - before))
    assert max(lengths) == pytest.approx(0.25, rel=1e-4)


def test_the_scale_of_the_newest_pair_and_the_average_of_all():
    """Two pairs along the axes of ½ (x² + 16 y²): γ = 1/16 by the newest, 1/√(1·16) = 1/4 by both."""
    found = []
    for average in (False, True):
        x = torch.zeros(2, dtype=torch.float64)
        optimizer = LBFGS(x, history_size=3, average=average)
        for k, curvature in enumerate((1.0, 16.0)):
            s = torch.eye(2, dtype=torch.float64)[k]
            optimizer._remember(s, curvature * s, s)
        g = torch.zeros(2, dtype=torch.float64)  # orthogonal to nothing: only the scale is asked for
        curvatures, usable = torch.tensor([1.0, 1.0, 16.0]).double(), torch.tensor([0.0, 1.0, 1.0]).double()
        found.append(optimizer._scale(curvatures, usable).item())
        assert torch.equal(optimizer._inverse_hessian(g, g.new_zeros(3), g.new_zeros(3)), g)
    assert found == pytest.approx([1 / 16, 1 / 4])


def test_no_step_is_much_longer_than_the_recent_ones():
    """By hand: steps of 0.1 each, then one that would be 100 long; the mean of the recent steps is 0.1."""
    x = torch.zeros(4, dtype=torch.float64)
    optimizer = LBFGS(x, first_step=0.1, max_step=50.0, growth=3.0)
    optimizer.recent.fill_(0.1)
    optimizer.step(torch.full_like(x, -1.0))  # the first step: 0.1
    assert rms(x) == pytest.approx(0.1)
    assert optimizer.recent.item() == pytest.approx(0.1)
    before = x.clone()
    optimizer.step(torch.full_like(x, -0.999))  # the slope fell by a thousandth in 0.1: its zero is 99.9 away
    assert rms(x - before) == pytest.approx(0.3)
    assert optimizer.recent.item() == pytest.approx(0.1**0.8 * 0.3**0.2)


def test_one_very_short_step_does_not_hold_up_the_next():
    x = torch.zeros(4, dtype=torch.float64)
    optimizer = LBFGS(x, max_step=1.0, growth=3.0)
    optimizer.step(torch.ones_like(x))
    before = optimizer.recent.item()
    optimizer.step(torch.full_like(x, 1e-12))  # almost at the minimum: a step of 1e-14
    assert optimizer.recent.item() == pytest.approx(before * 0.1**0.2)


def test_the_oldest_pair_is_replaced():
    a, b = quadratic(30)
    x = torch.zeros(30, dtype=torch.float64)
    optimizer = LBFGS(x, history_size=4, first_step=0.1, max_step=10.0)
    moves = []
    for _ in range(12):
        before = x.clone()
        optimizer.step(a @ x - b)
        moves.append(x - before)
    kept = sorted(optimizer.s.tolist())
    assert kept == sorted(torch.stack(moves[7:11]).tolist())  # a pair is known one step after its move
    torch.testing.assert_close(optimizer.z, optimizer.s @ a, rtol=1e-9, atol=1e-12)  # y = A s


def test_pairs_of_negative_curvature_are_not_used():
    a, b = quadratic(10)
    paths = []
    for wrong in (False, True):
        x = torch.zeros(10, dtype=torch.float64)
        optimizer = LBFGS(x, first_step=0.1, max_step=10.0)
        for _ in range(5):
            optimizer.step(a @ x - b)
        before, gradient = optimizer.previous
        if wrong:
            optimizer.step(gradient - 0.1 * (x - before))  # y = −0.1 s: negative curvature
            assert optimizer.usable.sum() == 4
        else:
            optimizer.previous = None  # so that no pair is made
            optimizer._remember(torch.zeros_like(x), torch.zeros_like(x), gradient)
            g = gradient - 0.1 * (x - before)
            p, q = optimizer.s @ g, optimizer.z @ g
            x -= optimizer._inverse_hessian(g, p, q)
        paths.append(x)
    torch.testing.assert_close(paths[0], paths[1], rtol=1e-12, atol=1e-12)


def test_a_direction_that_is_not_downhill_clears_the_history():
    a, b = quadratic(10)
    x = torch.zeros(10, dtype=torch.float64)
    optimizer = LBFGS(x, first_step=0.02, max_step=10.0)
    for _ in range(5):
        optimizer.step(a @ x - b)
    optimizer.zy.neg_()  # claims negative curvature
    optimizer.sy.neg_()
    gradient = -torch.ones(10, dtype=torch.float64)
    optimizer.previous = (x - 1.0, gradient)  # a pair without curvature
    before = x.clone()
    optimizer.step(gradient)
    assert optimizer.usable.sum() == 0
    torch.testing.assert_close(x - before, torch.full_like(x, 0.02))  # a first step, downhill


def test_a_step_does_not_wait_for_the_device(host_reads):
    """Reading a number from the device would make the host wait at every step."""
    x = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    optimizer = LBFGS(x, history_size=3, project=unit_clamp, precondition=color_preconditioner(4, 4, power=0.4))
    gradients = [torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(k)) for k in range(5)]
    with host_reads() as reads:
        for gradient in gradients:
            optimizer.step(gradient)
        assert not reads
        x.sum().item()
        assert reads == ["_local_scalar_dense"]  # the counter works


def test_at_the_minimum_nothing_moves():
    x = torch.full((4,), 0.5)
    optimizer = LBFGS(x)
    for _ in range(3):
        optimizer.step(torch.zeros(4))
    assert torch.equal(x, torch.full((4,), 0.5))


def test_any_shape_and_layout():
    x = torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(0)).to(memory_format=torch.channels_last)
    target = torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(1))
    optimizer = LBFGS(x)
    for _ in range(40):
        optimizer.step(x - target)
    torch.testing.assert_close(x, target, rtol=0, atol=1e-5)


# --- bounds ---


def test_the_picture_stays_within_its_bounds():
    x = torch.full((6,), 0.5)
    optimizer = LBFGS(x, first_step=0.4, project=unit_clamp)
    for _ in range(10):
        optimizer.step(x - torch.linspace(-2, 3, 6))
        assert x.min() >= 0
        assert x.max() <= 1


def test_curvature_pairs_come_from_the_projected_points():
    x = torch.tensor([0.5, 0.5], dtype=torch.float64)
    optimizer = LBFGS(x, first_step=2.0, max_step=10.0, project=unit_clamp)
    scales, target = torch.tensor([1.0, 3.0], dtype=torch.float64), torch.tensor([4.0, 0.2], dtype=torch.float64)
    optimizer.step(scales * (x - target))  # the gradient is (−3.5, 0.9)
    torch.testing.assert_close(x, torch.tensor([1.0, 0.0], dtype=torch.float64))  # both were clamped
    optimizer.step(scales * (x - target))  # now (−3, −0.6): the first value stays at its bound
    torch.testing.assert_close(optimizer.s[0], torch.tensor([0.5, -0.5], dtype=torch.float64))
    torch.testing.assert_close(optimizer.z[0], torch.tensor([0.0, -1.5], dtype=torch.float64))  # y of the free values


@pytest.mark.parametrize("seed", range(6))
def test_the_minimum_within_the_bounds_is_reached(seed):
    """The variables are coupled, so clamping the unbounded minimum would be wrong."""
    a, b = quadratic(12, seed)
    expected = torch.full((12,), 0.5, dtype=torch.float64)
    for _ in range(5000):  # projected gradient descent: slow but reliable
        expected = (expected - (a @ expected - b) / torch.linalg.matrix_norm(a, 2)).clamp(0, 1)
    x = torch.full((12,), 0.5, dtype=torch.float64)
    optimizer = LBFGS(x, first_step=0.1, max_step=10.0, project=unit_clamp)
    for _ in range(60):
        optimizer.step(a @ x - b)
    torch.testing.assert_close(x, expected, rtol=0, atol=1e-9)
    assert rms(torch.linalg.solve(a, b).clamp(0, 1) - expected) > 0.01
    gradient, held = a @ x - b, (x == 0) | (x == 1)
    assert 0 < held.sum() < 12
    assert gradient[~held].abs().max() < 1e-8  # zero gradient at the free values
    assert (gradient[x == 0] >= 0).all()
    assert (gradient[x == 1] <= 0).all()  # at the bounds, descent points outward


def test_a_value_leaves_its_bound_when_the_gradient_changes_sign():
    x = torch.tensor([1.0, 0.5], dtype=torch.float64)
    optimizer = LBFGS(x, first_step=0.05, project=unit_clamp)
    for _ in range(5):
        optimizer.step(x - torch.tensor([3.0, 0.2], dtype=torch.float64))
    assert x[0] == 1
    for _ in range(20):
        optimizer.step(x - torch.tensor([0.4, 0.2], dtype=torch.float64))
    torch.testing.assert_close(x, torch.tensor([0.4, 0.2], dtype=torch.float64), rtol=0, atol=1e-6)


def test_bounds_that_are_not_reached_change_nothing():
    a, b = quadratic(10)
    paths = []
    for project in (None, lambda x: x.clamp_(-1e6, 1e6)):
        x = torch.zeros(10, dtype=torch.float64)
        optimizer = LBFGS(x, first_step=0.1, max_step=10.0, project=project)
        for _ in range(15):
            optimizer.step(a @ x - b)
        paths.append(x)
    torch.testing.assert_close(paths[0], paths[1], rtol=0, atol=1e-12)
