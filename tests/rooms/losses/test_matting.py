"""The matting Laplacian: by hand, from its definition, as leftovers of affine fits, and what it is for."""

import itertools

import pytest
import torch

from course_lib import runtime, sample_image
from course_lib.image_checks import ImageError
from course_lib.losses.matting import (
    matting_bands,
    matting_energy,
    matting_gradient,
    matting_laplacian,
    offsets,
    photorealism_term,
)
from course_lib.optimize.objective import Objective


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def windows(height, width, radius):
    """The pixels of each window, as numbers in a picture counted row by row."""
    side = 2 * radius + 1
    for top, left in itertools.product(range(height - side + 1), range(width - side + 1)):
        yield [(top + y) * width + left + x for y in range(side) for x in range(side)]


def by_definition(photo, eps, radius):
    """Eq. 12, entry by entry."""
    height, width = photo.shape[2:]
    colors = photo[0].flatten(1).T
    matrix = torch.zeros(height * width, height * width, dtype=torch.float64)
    for window in windows(height, width, radius):
        count = len(window)
        inside = colors[window] - colors[window].mean(0)
        inverse = torch.linalg.inv(inside.T @ inside / count + eps / count * torch.eye(3, dtype=torch.float64))
        for i, j in itertools.product(range(count), repeat=2):
            matrix[window[i], window[j]] += float(i == j) - (1 + inside[i] @ inverse @ inside[j]) / count
    return matrix


# --- values ---


def test_one_window_by_hand():
    """Red is 0.2, 0.5, 0.8 from left to right, so σ² = 2/3 · 0.3², and the other colors do not vary.

    With x in {−1, 0, 1} for the column, M_ij = δ_ij − (1 + x_i x_j s) / 9 with s = 0.3² / (0.06 + ε/9).
    """
    photo = torch.full((1, 3, 3, 3), 0.4, dtype=torch.float64)
    photo[0, 0] = torch.tensor([0.2, 0.5, 0.8], dtype=torch.float64)
    x = torch.tensor([-1.0, 0, 1] * 3, dtype=torch.float64)
    share = 0.09 / (0.06 + 0.18 / 9)
    expected = torch.eye(9, dtype=torch.float64) - (1 + share * torch.outer(x, x)) / 9
    torch.testing.assert_close(matting_laplacian(photo, eps=0.18).to_dense(), expected, rtol=0, atol=1e-14)
    # A picture that varies along x: 6 − s · 6² / 9. One that varies along y: 6, the sum of its squares.
    across, down = (x.view(1, 1, 3, 3), x.view(3, 3).T[None, None])
    bands = matting_bands(photo, eps=0.18)
    assert matting_energy(across, bands).item() == pytest.approx(6 - share * 4)
    assert matting_energy(down, bands).item() == pytest.approx(6)


@pytest.mark.parametrize(("radius", "eps"), [(1, 1e-7), (1, 1e-2), (2, 1e-5)])
def test_bands_and_matrix_are_the_definition(radius, eps):
    photo, image = noise(1, 3, 7, 6), noise(1, 3, 7, 6, seed=1)
    expected = by_definition(photo, eps, radius)
    matrix, bands = matting_laplacian(photo, eps=eps, radius=radius), matting_bands(photo, eps=eps, radius=radius)
    torch.testing.assert_close(matrix.to_dense(), expected, rtol=0, atol=1e-11)
    columns = image[0].flatten(1).T
    energy = (columns * (expected @ columns)).sum()
    slope = (2 * expected @ columns).T.view_as(image)
    for laplacian in (matrix, bands):
        torch.testing.assert_close(matting_energy(image, laplacian), energy, rtol=1e-11, atol=0)
        torch.testing.assert_close(matting_gradient(image, laplacian), slope, rtol=0, atol=1e-11)


def test_the_energy_is_what_affine_fits_leave_over():
    """The minimum over a and b by least squares in each window: rows for the pixels, and √ε for each slope."""
    eps, photo, image = 1e-3, noise(1, 3, 5, 6), noise(1, 2, 5, 6, seed=1)
    colors, targets = photo[0].flatten(1).T, image[0].flatten(1).T
    left = 0.0
    for window in windows(5, 6, 1):
        ridge = torch.cat((eps**0.5 * torch.eye(3).double(), torch.zeros(3, 1).double()), 1)
        known = torch.cat((torch.cat((colors[window], torch.ones(9, 1).double()), 1), ridge))
        wanted = torch.cat((targets[window], torch.zeros(3, 2).double()))
        best = torch.linalg.lstsq(known, wanted).solution
        left += (known @ best - wanted).square().sum().item()
    assert matting_energy(image, matting_bands(photo, eps=eps)).item() == pytest.approx(left, rel=1e-11)


@pytest.mark.parametrize("size", [(3, 3), (3, 7), (6, 3), (9, 8)])
def test_symmetric_semidefinite_and_rows_that_sum_to_zero(size):
    matrix = matting_laplacian(noise(1, 3, *size)).to_dense()
    torch.testing.assert_close(matrix, matrix.T, rtol=0, atol=0)
    assert matrix.sum(1).abs().max() < 1e-12
    values = torch.linalg.eigvalsh(matrix)
    assert values.min() > -1e-12
    assert values.max() > 0.1


@pytest.mark.parametrize("kind", ["gray", "one color", "two colors"])
def test_photos_without_three_colors(kind):
    """The covariance is singular in every window; only ε makes it invertible."""
    photo = noise(1, 3, 8, 8)
    if kind == "gray":
        photo = photo.mean(1, keepdim=True).expand(1, 3, 8, 8)
    elif kind == "one color":
        photo = torch.full_like(photo, 0.3)
    else:
        photo = (photo[:, :1] > 0.5).double() * torch.tensor([0.2, 0.7, 0.1], dtype=torch.float64).view(1, 3, 1, 1)
    matrix = matting_laplacian(photo).to_dense()
    torch.testing.assert_close(matrix, by_definition(photo, 1e-7, 1), rtol=0, atol=1e-5)
    assert torch.linalg.eigvalsh(matrix).min() > -1e-10
    if kind == "gray":  # an affine map of gray is left alone
        assert matting_energy(0.9 - photo[:, :1] / 2, matting_bands(photo)) < 1e-5


# --- what it is for ---


def test_recoloring_costs_nothing_and_noise_costs_much():
    photo = sample_image("eilean_donan", (64, 64)).double()
    bands = matting_bands(photo)
    mix = torch.tensor([[0.5, 0.2, 0.0], [0.1, 0.6, 0.1], [0.3, 0.0, 0.4]], dtype=torch.float64)
    recolored = torch.einsum("ij,bjhw->bihw", mix, photo) + 0.1
    noisy = photo + 0.05 * torch.randn(photo.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert matting_energy(recolored, bands) < 1e-4 * matting_energy(noisy, bands)
    assert matting_energy(torch.ones_like(photo), bands) == 0


def test_different_maps_in_different_places_cost_little_where_the_photo_has_an_edge():
    """Two flat halves may change independently; a jump inside one of them may not."""
    photo = torch.full((1, 3, 8, 12), 0.2, dtype=torch.float64)
    photo[..., 6:] = 0.8
    at_the_edge, elsewhere = torch.zeros_like(photo), torch.zeros_like(photo)
    at_the_edge[..., 6:], elsewhere[..., 3:] = 1, 1
    bands = matting_bands(photo)
    assert matting_energy(at_the_edge, bands) < 1e-4 * matting_energy(elsewhere, bands)


def test_the_mean_does_not_grow_with_the_picture():
    """Four copies side by side: per pixel the same, up to the windows at the seams."""
    photo, image = noise(1, 3, 32, 32), noise(1, 3, 32, 32, seed=1)
    sums, means = [], []
    for times in (1, 2):
        larger, painted = (x.repeat(1, 1, times, times) for x in (photo, image))
        bands = matting_bands(larger)
        sums.append(matting_energy(painted, bands))
        means.append(matting_energy(painted, bands, mean=True))
        torch.testing.assert_close(means[-1] * (32 * times) ** 2, sums[-1])
    assert means[1] / means[0] == pytest.approx(1, abs=0.1)
    assert sums[1] / sums[0] > 3.5


def test_channels_and_pictures_of_a_batch_add_up():
    bands, images = matting_bands(noise(1, 3, 6, 7)), noise(2, 3, 6, 7, seed=1)
    parts = [matting_energy(images[n : n + 1, c : c + 1], bands) for n in range(2) for c in range(3)]
    torch.testing.assert_close(matting_energy(images, bands), sum(parts))
    torch.testing.assert_close(matting_gradient(images, bands)[1:], matting_gradient(images[1:], bands))


# --- gradient and term ---


@pytest.mark.parametrize("make", [matting_bands, matting_laplacian])
@pytest.mark.parametrize("mean", [False, True])
def test_the_gradient_is_that_of_finite_differences(make, mean):
    laplacian, image = make(noise(1, 3, 5, 4)), noise(1, 3, 5, 4, seed=1).requires_grad_()
    gradient = matting_gradient(image.detach(), laplacian, mean=mean)
    for place in range(0, image.numel(), 7):
        step = torch.zeros(image.numel(), dtype=torch.float64)
        step[place] = 1e-4
        up, down = (matting_energy(image.detach() + s * step.view_as(image), laplacian, mean=mean) for s in (1, -1))
        assert gradient.flatten()[place].item() == pytest.approx(((up - down) / 2e-4).item(), rel=1e-7)
    (automatic,) = torch.autograd.grad(matting_energy(image, laplacian, mean=mean), image)
    torch.testing.assert_close(automatic, gradient, rtol=0, atol=1e-12)


def test_the_term_in_float32_is_near_the_energy_in_float64(host_reads):
    photo, image = noise(1, 3, 40, 48).float(), noise(1, 3, 40, 48, seed=1).float()
    term, bands = photorealism_term(photo, 200.0), matting_bands(photo)
    with host_reads() as reads:
        terms, gradient = Objective([term]).with_gradient(image)
    assert reads == []
    assert terms.dtype == gradient.dtype == torch.float32
    torch.testing.assert_close(
        terms[0].double(), 200 * matting_energy(image.double(), bands, mean=True), rtol=1e-6, atol=0
    )
    expected = 200 * matting_gradient(image.double(), bands, mean=True)
    torch.testing.assert_close(gradient.double(), expected, rtol=0, atol=2e-6 * expected.abs().max().item())
    assert gradient.sum().abs() < 1e-5 * gradient.abs().sum()
    torch.testing.assert_close(term(image), terms, rtol=1e-6, atol=0)


def test_the_term_is_exact_enough_where_the_energy_is_almost_zero():
    """A recoloring: what is left is a ten-millionth of a picture's squares, and float32 still gives three digits."""
    photo = sample_image("eilean_donan", (64, 64))
    recolored = 0.1 + 0.5 * photo.flip(1)
    exact = matting_energy(recolored.double(), matting_bands(photo), mean=True)
    assert exact < 1e-6 * recolored.square().sum(1).mean()
    terms, _ = photorealism_term(photo, 1.0).with_gradient(recolored)
    torch.testing.assert_close(terms[0].double(), exact, rtol=1e-3, atol=0)


def test_a_pale_picture_is_as_exact():
    """Its constant part has no energy, but would have most of the rounding error."""
    photo = noise(1, 3, 64, 64)
    pale = (0.97 + 0.02 * photo).float()
    exact = matting_energy(pale.double(), matting_bands(photo), mean=True)
    terms, _ = photorealism_term(photo.float(), 1.0).with_gradient(pale)
    torch.testing.assert_close(terms[0].double(), exact, rtol=1e-2, atol=0)


def test_descent_takes_noise_off_a_photo():
    """From a noisy photo, a few steps against the gradient bring the energy near 0."""
    photo = sample_image("eilean_donan", (48, 48))
    term = photorealism_term(photo, 1.0)
    x = (photo + 0.05 * torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    first = term(x).item()
    for _ in range(50):
        x -= 0.05 * x.shape[-1] * x.shape[-2] * term.with_gradient(x)[1]
    assert term(x).item() < 0.1 * first


# --- refusals ---


def test_the_planes_are_the_later_neighbors():
    assert [len(offsets(radius)) for radius in (1, 2, 3)] == [12, 40, 84]
    assert {(-y, -x) for y, x in offsets(2)} & {*offsets(2)} == set()


def test_what_cannot_be_used_is_refused():
    photo = noise(1, 3, 8, 8)
    with pytest.raises(
        ImageError, match=r"the photo: the picture is 8 px wide and 2 px high; a window of 3×3 px needs"
    ):
        matting_bands(photo[..., :2, :])
    with pytest.raises(ImageError, match="the photo: values run from 0 to 255"):
        matting_laplacian(torch.linspace(0, 255, 192).view(1, 3, 8, 8))
    for eps in (0, -1.0, float("nan"), "1", 1e-13):
        with pytest.raises(ValueError, match="eps must be"):
            matting_bands(photo, eps=eps)
    for radius in (0, 1.5, None):
        for make in (matting_bands, matting_laplacian):
            with pytest.raises(ValueError, match="radius must be a whole number of at least 1"):
                make(photo, radius=radius)
    with pytest.raises(ValueError, match="weight must be a finite number"):
        photorealism_term(photo, -1)
    for make, size in ((matting_bands, "8×8 px"), (matting_laplacian, "64 pixels")):
        for function in (matting_energy, matting_gradient):
            with pytest.raises(
                ValueError, match=rf"has 9×8 px, but the Laplacian is that of a photo of {size}; make it"
            ):
                function(noise(1, 3, 9, 8), make(photo))
    for wrong in (None, "M", torch.eye(64), torch.zeros(11, 8, 8)):
        with pytest.raises(ValueError, match="expected what matting_bands or matting_laplacian returns, got "):
            matting_energy(photo, wrong)
    with pytest.raises(ValueError, match="expected a picture of floats"):
        matting_energy(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), matting_bands(photo))


@pytest.mark.parametrize("make", [matting_bands, matting_laplacian])
def test_too_large_is_refused_before_it_starts(make, monkeypatch):
    monkeypatch.setattr(runtime, "available_memory", lambda device: 10**6)
    make(noise(1, 3, 10, 10))
    with pytest.raises(
        MemoryError, match="a picture of 200×100 px needs about .* the largest that fits has a long side"
    ):
        make(torch.zeros(1, 3, 200, 100))
