"""Screened Poisson: cosine transforms by definition, the solution beside a dense one, and what the method keeps."""

from dataclasses import replace

import pytest
import torch

from course_lib import runtime, sample_image
from course_lib.colors import to_lab
from course_lib.image_checks import ImageError
from course_lib.methods import gatys
from course_lib.methods.screened_poisson import Config, _cosines, _inverse_cosines, energy, solve, stylize


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def differences(height, width):
    """∇ as a dense matrix: a row for each pair of neighbors."""
    rows = []
    for y in range(height):
        for x in range(width):
            for v, u in ((y, x + 1), (y + 1, x)):
                if v < height and u < width:
                    row = torch.zeros(height, width, dtype=torch.float64)
                    row[v, u], row[y, x] = 1, -1
                    rows.append(row.flatten())
    return torch.stack(rows) if rows else torch.zeros(0, height * width, dtype=torch.float64)


# --- the solver ---


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 9, 12])
@pytest.mark.parametrize("axis", [-1, -2])
def test_cosine_transforms_are_their_definition(count, axis):
    x = noise(2, 3, count) if axis == -1 else noise(2, count, 3)
    k, j = torch.arange(count).double()[:, None], torch.arange(count).double()
    basis = torch.cos(torch.pi * k * (2 * j + 1) / (2 * count))
    expected = (x.movedim(axis, -1) @ basis.T).movedim(-1, axis)
    torch.testing.assert_close(_cosines(x, axis), expected, rtol=0, atol=1e-13)
    torch.testing.assert_close(_inverse_cosines(_cosines(x, axis), axis), x, rtol=0, atol=1e-14)


@pytest.mark.parametrize("size", [(7, 5), (4, 6), (1, 5), (6, 1), (1, 1), (2, 2)])
@pytest.mark.parametrize("weight", [0.3, 5.0, 25.0])
def test_the_solution_is_that_of_the_normal_equations(size, weight):
    painted, photo, nabla = noise(*size), noise(*size, seed=1), differences(*size)
    matrix = torch.eye(nabla.shape[1], dtype=torch.float64) + weight * nabla.T @ nabla
    expected = torch.linalg.solve(matrix, painted.flatten() + weight * nabla.T @ nabla @ photo.flatten())
    torch.testing.assert_close(solve(painted, photo, weight), expected.view(size), rtol=0, atol=1e-12)
    likeness, gradients = energy(painted / 2, painted, photo)
    assert likeness == pytest.approx((painted / 2).square().sum().item())
    assert gradients == pytest.approx(
        (nabla @ (painted / 2 - photo).flatten()).square().sum().item(), rel=1e-12, abs=1e-15
    )


def test_a_limit_drops_the_photos_large_differences():
    painted, photo, nabla = noise(5, 6), noise(5, 6, seed=1), differences(5, 6)
    wanted = nabla @ photo.flatten()
    wanted[wanted.abs() > 0.4] = 0
    assert 0 < (wanted == 0).sum() < len(wanted)
    matrix = torch.eye(30, dtype=torch.float64) + 5 * nabla.T @ nabla
    expected = torch.linalg.solve(matrix, painted.flatten() + 5 * nabla.T @ wanted)
    torch.testing.assert_close(solve(painted, photo, 5.0, 0.4), expected.view(5, 6), rtol=0, atol=1e-12)


def test_two_pixels_by_hand():
    """S = (0, 0), C = (0, 1) and λ = 2: O = (−t, t), and 2t² + 2 (2t − 1)² is least at 4t + 8 (2t − 1) = 0."""
    solved = solve(torch.zeros(1, 2).double(), torch.tensor([[0.0, 1.0]]).double(), 2.0)
    torch.testing.assert_close(solved, torch.tensor([[-0.4, 0.4]]).double())


def test_it_is_a_minimum():
    painted, photo = noise(6, 7), noise(6, 7, seed=1)

    def total(picture):
        likeness, gradients = energy(picture, painted, photo)
        return likeness + 5 * gradients

    solved = solve(painted, photo, 5.0)
    for seed in range(5):
        step = 1e-3 * (noise(6, 7, seed=seed + 2) - 0.5)
        assert total(solved + step) > total(solved)
        assert total(solved + step) - total(solved) == pytest.approx(total(solved - step) - total(solved), rel=1e-6)


def test_what_is_kept():
    """S without a weight, and where S has the photo's gradients; a blurred S for a flat photo; always the mean of S."""
    painted, photo = noise(9, 8), noise(9, 8, seed=1)
    assert torch.equal(solve(painted, photo, 0.0), painted)
    assert torch.equal(solve(photo, photo, 5.0), photo)
    torch.testing.assert_close(solve(photo + 0.3, photo, 5.0), photo + 0.3, rtol=0, atol=1e-14)
    slope = torch.arange(8).double().expand(9, 8) / 10  # of constant gradient
    torch.testing.assert_close(solve(slope, slope + 2, 5.0), slope, rtol=0, atol=1e-14)
    assert solve(painted, torch.ones(9, 8).double(), 5.0).diff().std() < 0.3 * painted.diff().std()
    for weight in (1e-300, 1.0, 1e12, 1e308):
        assert solve(painted, photo, weight).mean().item() == pytest.approx(painted.mean().item(), rel=1e-12)
    torch.testing.assert_close(solve(painted, photo, 1e12), photo - photo.mean() + painted.mean(), rtol=0, atol=1e-9)


def test_a_single_wave_by_hand():
    """cos(π k (x + ½) / W) is an eigenvector: e = 2 − 2 cos(π k / W), and O = S + λe / (1 + λe) · (C − S)."""
    wave = torch.cos(torch.pi * 3 * (torch.arange(12).double() + 0.5) / 12).expand(4, 12)
    e = 2 - 2 * torch.cos(torch.tensor(torch.pi * 3 / 12, dtype=torch.float64))
    torch.testing.assert_close(solve(torch.zeros_like(wave), wave, 5.0), 5 * e / (1 + 5 * e) * wave, rtol=0, atol=1e-14)


# --- the method ---


@pytest.fixture(scope="module")
def pair():
    """A photo, and a rough picture of it: other colors, and noise."""
    photo = sample_image("eilean_donan", (96, 128))
    rough = torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
    return photo, (0.2 + 0.6 * photo.flip(1) + 0.08 * rough).clamp(0, 1)


def lab_error(picture, photo):
    """Mean absolute difference of the gradients of L."""
    lightness, goal = (to_lab(x.double())[:, 0] for x in (picture, photo))
    return sum((lightness.diff(dim=axis) - goal.diff(dim=axis)).abs().mean().item() for axis in (-1, -2))


def test_configurations():
    assert Config() == Config(5.0, 1.0, None)
    assert Config.released() == Config(25.0, 1.0, 100.0)  # the square of the program's 5
    assert Config.fast() == Config.quick() == Config()
    for wrong in ({"lightness_weight": -1}, {"color_weight": "1"}, {"largest_gradient": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Config(**wrong)


def test_the_programs_system_of_equations():
    """Rows w ∇O = w ∇C and O = S, solved by least squares: with w = 5 it is our λ = 25, not 5."""
    painted, photo, nabla = noise(5, 4), noise(5, 4, seed=1), differences(5, 4)
    rows = torch.cat((5 * nabla, torch.eye(20, dtype=torch.float64)))
    centered = painted - painted.mean()
    answers = torch.cat((5 * nabla @ photo.flatten(), centered.flatten()))
    program = torch.linalg.lstsq(rows, answers[:, None]).solution.view(5, 4) + painted.mean()
    torch.testing.assert_close(solve(painted, photo, Config.released().lightness_weight), program, rtol=0, atol=1e-12)
    assert (solve(painted, photo, 5.0) - program).abs().max() > 1e-2


@pytest.mark.parametrize("config", [None, Config.released()])
def test_edges_come_back_and_colors_stay(pair, config):
    photo, painted = pair
    result = stylize(photo, painted, config)
    assert result.image.shape == photo.shape
    assert result.image.dtype == torch.float32
    assert lab_error(result.image, photo) < lab_error(painted, photo) / 3
    means = [to_lab(x.double()).mean((2, 3)) for x in (result.image, painted)]
    torch.testing.assert_close(means[0], means[1], rtol=0, atol=1.0)
    assert 0 <= result.outside < 0.2
    history = result.history
    assert history["likeness"][0] == 0 < history["likeness"][1]
    assert history["gradients"][1] < 0.2 * history["gradients"][0]
    for total, parts in zip(history["total"], zip(history["likeness"], history["gradients"], strict=True), strict=True):
        assert total == pytest.approx(sum(parts))
    assert history["seconds"] == sorted(history["seconds"])


def test_a_larger_weight_follows_the_photo_more(pair):
    photo, painted = pair
    errors = [lab_error(stylize(photo, painted, Config(lightness_weight=w)).image, photo) for w in (0, 1, 5, 25)]
    assert errors == sorted(errors, reverse=True)
    still = stylize(photo, painted, Config(lightness_weight=0, color_weight=0))
    torch.testing.assert_close(still.image, painted, rtol=0, atol=1e-6)
    assert still.history["total"] == [0, 0]
    torch.testing.assert_close(stylize(photo, photo).image, photo, rtol=0, atol=1e-6)


def test_it_works_on_what_another_method_painted(pair):
    photo, _ = pair
    style = sample_image("great_wave", (64, 80))
    painted = gatys.stylize(photo, style, gatys.Config(num_steps=5, start="content", weights=None, device="cpu"))
    assert stylize(photo, painted.image).image.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_channels_in_half_precision(dtype):
    painted, photo = (noise(6, 7, seed=k).to(dtype) for k in (0, 1))
    solved = solve(painted, photo, 5.0)
    assert solved.dtype == dtype
    torch.testing.assert_close(solved, solve(painted.float(), photo.float(), 5.0).to(dtype))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_floats_of_any_precision(pair, dtype):
    photo, painted = (x.bfloat16().to(dtype) for x in pair)
    plain = stylize(photo.float(), painted.float()).image
    with torch.inference_mode():
        image = stylize(photo.clone(), painted.clone()).image
    assert image.dtype == torch.float32
    torch.testing.assert_close(image, plain, rtol=0, atol=1e-3)


def test_what_cannot_be_used_is_refused(pair, monkeypatch):
    photo, painted = pair
    with pytest.raises(ImageError, match="the painted picture: values run from"):
        stylize(photo, 255 * painted)
    with pytest.raises(ImageError, match="the content image: expected a torch.Tensor, got None"):
        stylize(None, painted)
    with pytest.raises(
        ValueError, match=r"got \(1, 3, 96, 127\) and \(1, 3, 96, 128\); use resize\(painted, \(96, 128\)\)"
    ):
        stylize(photo, painted[..., 1:])
    with pytest.raises(TypeError, match=r"config must be a screened_poisson.Config\(...\)"):
        stylize(photo, painted, replace(gatys.Config()))
    with pytest.raises(ValueError, match=r"channels of one shape, got \(4, 5\), \(4, 6\)"):
        solve(noise(4, 5), noise(4, 6), 1.0)
    for wrong in (None, noise(4), torch.zeros(4, 5, dtype=torch.int64)):
        with pytest.raises(ValueError, match=r"expected channels \(..., H, W\) of floats, got "):
            solve(noise(4, 5), wrong, 1.0)
        with pytest.raises(ValueError, match=r"expected channels \(..., H, W\) of floats, got "):
            energy(noise(4, 5), noise(4, 5), wrong)
    with pytest.raises(ValueError, match="weight must be a finite number of at least 0"):
        solve(noise(4, 5), noise(4, 5), -1)
    monkeypatch.setattr(runtime, "available_memory", lambda device: 10**6)
    with pytest.raises(MemoryError, match="a picture of 96×128 px needs about"):
        stylize(photo, painted)
