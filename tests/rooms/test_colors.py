"""Colors: matched in mean and covariance, split into brightness and color, converted to Lab and back."""

import pytest
import torch

from course_lib.colors import (
    COLOR_MATCHES,
    from_lab,
    luminance,
    match_colors,
    match_luminance,
    to_lab,
    with_colors_of,
)
from course_lib.evaluation.metrics import luma
from course_lib.image_checks import ImageError

METHODS = pytest.mark.parametrize("method", COLOR_MATCHES)


def colors(x):
    return x[0].flatten(1).double()


def covariance(x):
    return torch.cov(colors(x), correction=0)


def one_color(red, green, blue):
    return torch.tensor([red, green, blue], dtype=torch.float64).view(1, 3, 1, 1)


def matrix_of(method, source, target):
    """The matrix A of a method, by least squares from what it does to the colors."""
    before, after = (
        colors(x) - colors(x).mean(1, keepdim=True) for x in (source, match_colors(source, target, method))
    )
    return torch.linalg.lstsq(before.T, after.T).solution.T


# --- colors matched ---


@METHODS
def test_mean_and_covariance_are_the_targets(picture, method):
    painting, photo = picture(20, 30, 1), picture(25, 16, 2) * torch.tensor([1, 0.5, 0.8]).view(1, 3, 1, 1)
    matched = match_colors(painting, photo, method)
    assert matched.shape == painting.shape
    assert matched.dtype == torch.float32
    torch.testing.assert_close(colors(matched).mean(1), colors(photo).mean(1), rtol=0, atol=1e-6)
    torch.testing.assert_close(covariance(matched), covariance(photo), rtol=0, atol=1e-6)
    exact = match_colors(painting.double(), photo.double(), method)
    torch.testing.assert_close(colors(exact).mean(1), colors(photo).mean(1), rtol=0, atol=1e-12)
    torch.testing.assert_close(covariance(exact), covariance(photo), rtol=0, atol=1e-12)


@METHODS
@pytest.mark.parametrize("kind", ["gray", "one color", "two colors"])
def test_any_target_is_reached_exactly(picture, method, kind):
    """Its covariance may be singular."""
    painting, photo = picture(20, 30, 1).double(), picture(25, 16, 2).double()
    if kind == "gray":
        photo = photo.mean(1, keepdim=True).expand(1, 3, 25, 16)
    elif kind == "one color":
        photo = one_color(0.2, 0.4, 0.9).expand(1, 3, 4, 4)
    else:
        photo = torch.where(photo[:, :1] > 0.5, one_color(0.9, 0.1, 0.3), one_color(0.2, 0.8, 0.4))
    matched = match_colors(painting, photo, method)
    torch.testing.assert_close(colors(matched).mean(1), colors(photo).mean(1), rtol=0, atol=1e-12)
    torch.testing.assert_close(covariance(matched), covariance(photo), rtol=0, atol=1e-10)


@METHODS
def test_by_hand_for_independent_colors(method):
    """Red varies by ±0.1 and is to vary by ±0.2, blue by ±0.3 and ±0.1; green is constant in both pictures."""
    red, blue = torch.tensor([-1.0, -1, 1, 1]), torch.tensor([-1.0, 1, -1, 1])
    painting = torch.stack((0.5 + 0.1 * red, torch.full((4,), 0.2), 0.5 + 0.3 * blue)).view(1, 3, 2, 2)
    photo = torch.stack((0.4 + 0.2 * red, torch.full((4,), 0.7), 0.6 + 0.1 * blue)).view(1, 3, 2, 2)
    torch.testing.assert_close(match_colors(painting, photo, method), photo, rtol=0, atol=1e-6)


def test_each_method_has_a_matrix_of_its_own_kind(picture):
    """Lower triangular; symmetric and positive; and of all three, that one changes the colors least."""
    source, target = picture(20, 30, 1).double(), picture(25, 16, 2).double()
    found = {method: matrix_of(method, source, target) for method in COLOR_MATCHES}
    assert found["cholesky"].triu(1).abs().max() < 1e-9
    assert (found["cholesky"].diagonal() > 0).all()
    torch.testing.assert_close(found["monge"], found["monge"].T, rtol=0, atol=1e-9)
    assert torch.linalg.eigvalsh(found["monge"]).min() > 0
    assert (found["pca"] - found["pca"].T).abs().max() > 1e-3
    changes = {m: (match_colors(source, target, m) - source).square().mean().item() for m in COLOR_MATCHES}
    assert changes["monge"] < min(changes["pca"], changes["cholesky"])


def test_triangles_are_those_of_cholesky():
    """Of pictures whose colors vary together in all ways: a root that is only triangular may have other signs."""
    draw = torch.Generator().manual_seed(0)

    def mixed():
        noise = torch.rand(3, 400, generator=draw, dtype=torch.float64) - 0.5
        axes = torch.linalg.qr(torch.rand(3, 3, generator=draw, dtype=torch.float64) - 0.5).Q
        return (0.5 + axes @ torch.diag(torch.tensor([0.5, 0.2, 0.1]).double()) @ noise).view(1, 3, 20, 20)

    for _ in range(20):
        source, target = mixed(), mixed()
        first, second = (torch.linalg.cholesky(covariance(x)) for x in (source, target))
        expected = second @ torch.linalg.inv(first)
        torch.testing.assert_close(matrix_of("cholesky", source, target), expected, rtol=1e-6, atol=1e-6)


def test_the_least_change_is_the_distance_of_two_gaussians(picture):
    """|μ − μ'|² + tr Σ + tr Σ' − 2 tr (Σ^½ Σ' Σ^½)^½ (Olkin & Pukelsheim 1982), from eigenvalues of Σ Σ'."""
    source, target = picture(20, 30, 1).double(), picture(25, 16, 2).double()
    first, second = covariance(source), covariance(target)
    means = (colors(source).mean(1) - colors(target).mean(1)).square().sum()
    roots = torch.linalg.eigvals(first @ second).real.sqrt().sum()
    least = means + first.trace() + second.trace() - 2 * roots
    change = (match_colors(source, target, "monge") - source).square().sum(1).mean()
    torch.testing.assert_close(change, least, rtol=1e-9, atol=0)


def test_pca_is_what_is_used_unless_another_method_is_named(picture):
    source, target = picture(20, 30, 1), picture(25, 16, 2)
    assert torch.equal(match_colors(source, target), match_colors(source, target, "pca"))
    roots = []
    for x, power in ((target, 0.5), (source, -0.5)):
        values, vectors = torch.linalg.eigh(covariance(x))
        roots.append(vectors @ torch.diag(values**power) @ vectors.T)
    torch.testing.assert_close(matrix_of("pca", source, target), roots[0] @ roots[1], rtol=0, atol=1e-4)


@METHODS
def test_its_own_colors_stay(picture, method):
    torch.testing.assert_close(match_colors(picture(20, 30, 1), picture(20, 30, 1), method), picture(20, 30, 1))


@METHODS
def test_one_color_gives_one_color_and_no_nan(picture, method):
    gray, photo = torch.full((1, 3, 8, 8), 0.25), picture(10, 10, 1)
    mean = photo.mean((2, 3), keepdim=True).expand(1, 3, 8, 8)
    torch.testing.assert_close(match_colors(gray, photo, method), mean)
    torch.testing.assert_close(match_colors(photo, gray, method), torch.full_like(photo, 0.25))


@METHODS
def test_what_rounding_makes_is_not_amplified_to_color(picture, method):
    """Shades of gray with a last bit of color, and a colorful target: the channels still move together."""
    gray = (picture(16, 16, 1).mean(1, keepdim=True) * 255).round() / 255
    almost = gray + torch.tensor([1, 0, -1]).view(1, 3, 1, 1) / 255 * (torch.rand(1, 1, 16, 16) > 0.9)
    matched = match_colors(almost.clamp(0, 1), picture(16, 16, 2), method)
    assert matched.isfinite().all()
    assert matched.min() > -1
    assert matched.max() < 2


# --- brightness and color ---


def test_luminance_by_hand_and_beside_luma(picture):
    assert luminance(torch.eye(3)[None, :, :, None]).flatten().tolist() == pytest.approx([0.299, 0.587, 0.114])
    photo = picture(6, 7, 1)
    torch.testing.assert_close(luminance(torch.ones(2, 3, 4, 4)), torch.ones(2, 1, 4, 4))
    # The studio range of 8 bits: 219 steps from 16.
    torch.testing.assert_close(luma(photo), (16 + 219 * luminance(photo)) / 255, rtol=0, atol=1e-4)


def test_the_colors_of_the_photo_come_back_in_yiq(picture):
    """Against the matrix of NTSC's YIQ: Y of one picture, I and Q of the other."""
    rows = [[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]]
    to_yiq = torch.tensor(rows, dtype=torch.float64)
    painted, photo = picture(6, 7, 1).double(), picture(6, 7, 2).double()
    first, second = to_yiq @ colors(painted), to_yiq @ colors(photo)
    expected = torch.linalg.solve(to_yiq, torch.cat((first[:1], second[1:])))
    torch.testing.assert_close(colors(with_colors_of(painted, photo)), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(with_colors_of(photo, photo), photo)


@pytest.mark.parametrize("spread", [True, False])
def test_the_brightness_gets_the_photos_mean_and_spread(picture, spread):
    painting, photo = picture(20, 30, 1).double(), picture(10, 12, 2).double() / 2
    matched = match_luminance(painting, photo, spread=spread)
    assert matched.shape == painting.shape
    assert torch.equal(matched[:, 0], matched[:, 2])
    given, goal = luminance(painting), luminance(photo)
    torch.testing.assert_close(matched.mean(), goal.mean())
    torch.testing.assert_close(matched[:, 0].std(correction=0), (goal if spread else given).std(correction=0))
    # The shades keep their order and their ratios.
    torch.testing.assert_close(
        (matched[:, :1] - goal.mean()) / matched[:, :1].std(), (given - given.mean()) / given.std()
    )


def test_a_painting_of_one_brightness_gets_the_mean(picture):
    photo = picture(10, 12, 2)
    flat = match_luminance(torch.full((1, 3, 4, 4), 0.9), photo)
    torch.testing.assert_close(flat, torch.full((1, 3, 4, 4), luminance(photo).mean().item()))


# --- Lab ---


@pytest.mark.parametrize(
    ("name", "rgb", "lab"),
    [  # sRGB's corners as published for D65 (Lindbloom's calculator)
        ("black", (0, 0, 0), (0, 0, 0)),
        ("white", (1, 1, 1), (100, 0, 0)),
        ("red", (1, 0, 0), (53.24, 80.09, 67.20)),
        ("green", (0, 1, 0), (87.73, -86.18, 83.18)),
        ("blue", (0, 0, 1), (32.30, 79.19, -107.86)),
        ("yellow", (1, 1, 0), (97.14, -21.55, 94.48)),
        ("middle gray", (0.5, 0.5, 0.5), (53.39, 0, 0)),
    ],
)
def test_known_colors(name, rgb, lab):
    for dtype in (torch.float32, torch.float64):
        found = to_lab(one_color(*rgb).to(dtype)).flatten()
        assert found.tolist() == pytest.approx(lab, abs=6e-3), name
        assert found.dtype == dtype


def test_lightness_by_hand_below_and_above_the_knee():
    """Light of 1/8 (linear) has L = 116/2 − 16 = 42; light of 0.001 has L = 903.3 · 0.001."""
    encoded = 1.055 * 0.125 ** (1 / 2.4) - 0.055
    assert to_lab(one_color(*[encoded] * 3)).flatten().tolist() == pytest.approx([42, 0, 0], abs=1e-9)
    assert to_lab(one_color(*[12.92 * 0.001] * 3)).flatten()[0].item() == pytest.approx(24389 / 27 * 0.001, rel=1e-12)


def test_there_and_back():
    steps = torch.linspace(0, 1, 33, dtype=torch.float64)
    cube = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij")).reshape(1, 3, 33, -1)
    torch.testing.assert_close(from_lab(to_lab(cube)), cube, rtol=0, atol=1e-12)
    torch.testing.assert_close(from_lab(to_lab(cube.float())), cube.float(), rtol=0, atol=1e-5)
    grays = steps.view(1, 1, 33, 1).expand(1, 3, 33, 1)
    assert to_lab(grays)[:, 1:].abs().max() < 1e-12
    assert (to_lab(grays)[0, 0].diff(dim=0) > 0).all()


def test_a_color_that_no_screen_shows_lies_outside(picture):
    far = from_lab(torch.tensor([50.0, -120.0, 100.0]).view(1, 3, 1, 1))
    assert far.isfinite().all()
    assert far.min() < 0


def test_gradients_pass_through_lab(picture):
    x = (picture(3, 4, 1).double() * 0.9 + 0.05).requires_grad_()
    assert torch.autograd.gradcheck(to_lab, x)
    assert torch.autograd.gradcheck(from_lab, to_lab(x.detach()).requires_grad_())


# --- refusals ---


def test_what_is_no_picture_is_refused(picture):
    with pytest.raises(ImageError, match="the target: values run from 0 to 255"):
        match_colors(picture(8, 8, 1), torch.linspace(0, 255, 3 * 64).view(1, 3, 8, 8))
    with pytest.raises(ImageError, match=r"the picture: got shape \(3, 8, 8\)"):
        match_colors(picture(8, 8, 1)[0], picture(8, 8, 1))
    with pytest.raises(ImageError, match="the photo: values run from 0 to 255"):
        match_luminance(picture(8, 8, 1), torch.linspace(0, 255, 3 * 64).view(1, 3, 8, 8))
    with pytest.raises(ImageError, match="the picture: got torch.uint8"):
        luminance(torch.zeros(1, 3, 4, 4, dtype=torch.uint8))
    with pytest.raises(ImageError, match="values run from"):
        to_lab(100 * picture(4, 4, 1))
    with pytest.raises(ImageError, match=r"the Lab picture: got shape \(1, 1, 4, 4\)"):
        from_lab(torch.zeros(1, 1, 4, 4))


def test_other_methods_and_sizes_are_refused(picture):
    for wrong in ("PCA", None, 1, []):
        with pytest.raises(ValueError, match="method must be one of 'pca', 'cholesky', 'monge', got"):
            match_colors(picture(8, 8, 1), picture(8, 8, 2), wrong)
    with pytest.raises(ValueError, match=r"the shape of the photo, got \(1, 3, 8, 8\) and \(1, 3, 8, 9\); resize"):
        with_colors_of(picture(8, 8, 1), picture(8, 9, 1))
