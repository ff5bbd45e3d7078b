"""The book's own measures, on noise and patterns whose value follows by hand, and on photographs."""

import math
from itertools import combinations

import pytest
import torch
import torch.nn.functional as F

from course_lib.evaluation.structure import edge_agreement, speckle, structure_size, variance_share

MEASURES = {
    "structure_size": structure_size,
    "speckle": speckle,
    "variance_share": lambda image: variance_share(image, 0.1, 0.25),
}


def noise(height, width=None, seed=0):
    """White noise around 1/2, the same in all colors."""
    gray = torch.randn(1, 1, height, width or height, generator=torch.Generator().manual_seed(seed))
    return (0.5 + 0.1 * gray).expand(1, 3, -1, -1)


def blurred(image, sigma):
    """The picture under a periodic Gaussian of σ px, by its transfer function exp(-2 π² σ² f²)."""
    f2 = torch.fft.fftfreq(image.shape[2])[:, None] ** 2 + torch.fft.fftfreq(image.shape[3]) ** 2
    return torch.fft.ifft2(torch.fft.fft2(image) * torch.exp(-2 * math.pi**2 * sigma**2 * f2)).real


def squares(size, p):
    """A checkerboard of squares of p px."""
    y, x = torch.arange(size)[:, None] // p, torch.arange(size) // p
    return ((y + x) % 2).float().expand(1, 3, size, size)


def step(size, width, at, value=0.5):
    """A vertical edge: 0.2 to the left of column `at`, 0.2 + value from there on."""
    image = torch.full((1, 3, size, width), 0.2)
    image[..., at:] += value
    return image


# --- how large the structures are ---


def test_size_of_white_noise():
    """By hand: over the square of frequencies, the mean of ln f is (ln 2 - 3 + π/2) / 2 - ln 2 = -1.0612, and half of
    exp(1.0612) px is 1.445 px. The band without the lowest frequencies lacks π (4 / 256)² = 0.08 % of it."""
    expected = math.exp(math.log(2) - (math.log(2) - 3 + math.pi / 2) / 2) / 2
    for seed in range(3):
        assert structure_size(noise(256, seed=seed)) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("sigma", [1.5, 2, 3, 4])
def test_size_of_blurred_noise_grows_with_the_blur(sigma):
    """By hand: P = exp(-4 π² σ² f²), so 4 π² σ² f² has an exponential distribution, whose mean logarithm is -γ. Then
    the mean of ln f is -γ/2 - ln(2 π σ), and the size is π σ exp(γ/2) = 4.193 σ."""
    expected = math.pi * sigma * math.exp(0.5772157 / 2)
    assert structure_size(blurred(noise(512), sigma)) == pytest.approx(expected, rel=0.04)


@pytest.mark.parametrize("p", [2, 3, 4, 8, 16])
def test_size_of_stripes_is_their_width(p):
    wave = 0.5 + 0.3 * torch.sin(math.pi * torch.arange(384) / p + 0.3)
    rows, columns = wave[:, None].expand(1, 3, 384, 384), wave.expand(1, 3, 384, 384)
    assert structure_size(rows) == pytest.approx(p, rel=0.01)
    assert structure_size(columns) == pytest.approx(p, rel=0.01)


@pytest.mark.parametrize("p", [4, 8, 16, 24])
def test_size_of_a_checkerboard_grows_with_its_squares(p):
    """By hand: a row of ±1 with the period 2p has the frequencies m / 2p, m odd, with power ∝ 1 / sin²(π m / 2p); above
    one half they fold back. The checkerboard is the product of two. Its first frequency alone would make p / √2; the
    sharp corners take that down to about p / 2."""
    m = torch.arange(1, 2 * p, 2, dtype=torch.float64)
    power, f = 1 / torch.sin(math.pi * m / (2 * p)).square(), torch.minimum(m, 2 * p - m) / (2 * p)
    power, f = torch.outer(power, power), (f[:, None].square() + f.square()).sqrt()
    expected = math.exp(-(power * f.log()).sum() / power.sum()) / 2
    assert 0.4 * p < expected < 0.6 * p
    assert structure_size(squares(768, p)) == pytest.approx(expected, rel=0.02)
    wave = 0.5 * torch.sin(math.pi * (torch.arange(768) + 0.5) / p)
    assert structure_size(torch.outer(wave, wave).expand(1, 3, 768, 768)) == pytest.approx(p / math.sqrt(2), rel=0.01)


@pytest.mark.parametrize("k", [1.5, 2, 3])
def test_an_enlarged_texture_has_larger_structures(k):
    """Whether the picture grows with the texture, or shows less of it."""
    texture = blurred(noise(320, 384), 1.2)
    enlarged = F.interpolate(texture, scale_factor=k, mode="bicubic")
    size = structure_size(texture)
    assert structure_size(enlarged) == pytest.approx(k * size, rel=0.02)
    assert structure_size(enlarged[..., :320, :384]) == pytest.approx(k * size, rel=0.08)


def test_photographs_have_larger_structures_when_enlarged(photos):
    for photo in photos.values():
        twice = F.interpolate(photo, scale_factor=2.0, mode="bicubic").clamp(0, 1)
        assert structure_size(twice) == pytest.approx(2 * structure_size(photo), rel=0.06)


def test_the_composition_of_a_photograph_does_not_count():
    """Speckle stays speckle, and swirls stay swirls, on a bright sky above dark land with 25 times their variance."""
    y, x = torch.linspace(0, 1, 256)[:, None], torch.linspace(0, 1, 256)
    composition = 1.5 * y - 0.7 * torch.exp(-((x - 0.4) ** 2 + (y - 0.6) ** 2) / 0.1)
    for sigma in (0, 2, 4):
        texture = blurred(noise(256), sigma) if sigma else noise(256)
        texture = 0.1 * (texture - texture.mean()) / texture.std()
        assert composition.var() > 15 * texture.var()
        assert structure_size(texture + composition) == pytest.approx(structure_size(texture), rel=0.1)


def test_speckle_on_swirls_makes_the_size_smaller_little_by_little():
    """ln size is the mean of the parts' logarithms, weighted by their variances, because independent powers add up."""
    swirls, grain = blurred(noise(512), 4), noise(512, seed=1)
    swirls, grain = ((x - x.mean()) / x.std() for x in (swirls, grain))
    large, small = structure_size(0.5 + 0.1 * swirls), structure_size(0.5 + 0.1 * grain)
    for share in (0.1, 0.3, 0.5, 0.9):
        mixed = 0.5 + 0.1 * (math.sqrt(1 - share) * swirls + math.sqrt(share) * grain)
        assert structure_size(mixed) == pytest.approx(large ** (1 - share) * small**share, rel=0.1)


# --- how the variance is spread over frequencies ---


def test_the_share_of_a_ring_in_white_noise_is_its_area():
    for low, high in ((0.0, 0.2), (0.1, 0.25), (0.35, 0.5)):
        expected = math.pi * (high**2 - low**2)
        assert variance_share(noise(512), low, high) == pytest.approx(expected, rel=0.03)
    assert speckle(noise(512)) == pytest.approx(1 - math.pi * 0.35**2, rel=0.01)
    assert variance_share(noise(64), 0.0) == pytest.approx(1)


def test_the_share_of_a_wave_is_its_variance():
    """Amplitudes 0.3 at 0.4 and 0.1 at 0.15 cycles per pixel: 0.09 / (0.09 + 0.01) of the variance is speckle."""
    x = torch.arange(256)
    image = 0.5 + 0.3 * torch.sin(0.8 * math.pi * x) + 0.1 * torch.sin(0.3 * math.pi * x)[:, None]
    assert speckle(image.expand(1, 3, 256, 256)) == pytest.approx(0.9, rel=1e-3)
    assert variance_share(image.expand(1, 3, 256, 256), 0.1, 0.25) == pytest.approx(0.1, rel=1e-2)


def test_bands_are_refused():
    for low, high in ((0.3, 0.3), (0.4, 0.2), (-0.1, 0.2), (math.nan, 0.3), ("0", 0.3)):
        with pytest.raises(ValueError, match="a band 0 ≤ low < high in cycles per pixel, got low|low must be a finite"):
            variance_share(noise(32), low, high)


# --- what all have in common ---


@pytest.mark.parametrize("measure", MEASURES)
def test_contrast_brightness_and_direction_do_not_matter(measure):
    measure = MEASURES[measure]
    image = blurred(noise(96, 128), 1)
    value = measure(image)
    for same in (0.2 * image + 0.7, 3 - 2 * image, image.flip(2), image.flip(3), image.transpose(2, 3), image.half()):
        assert measure(same) == pytest.approx(value, rel=0.02)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_batch_is_averaged(measure):
    measure = MEASURES[measure]
    first, second = noise(64), blurred(noise(64, seed=1), 2)
    assert measure(torch.cat([first, second])) == pytest.approx((measure(first) + measure(second)) / 2)


@pytest.mark.parametrize("measure", MEASURES)
def test_one_color_has_no_structure(measure):
    for value in (0.0, 0.3, 1.0):
        with pytest.raises(ValueError, match=r"luminance is the same everywhere, so the picture has no structure"):
            MEASURES[measure](torch.full((1, 3, 40, 40), value))
    orthogonal = torch.tensor([24.966, 0, -65.481]).view(1, 3, 1, 1) / 1000  # to the weights of the luminance
    with pytest.raises(ValueError, match="luminance is the same everywhere"):
        MEASURES[measure](0.5 + orthogonal * noise(40))


def test_a_slow_wave_alone_has_no_structure_to_measure():
    wave = 0.5 + 0.3 * torch.sin(2 * math.pi * torch.arange(128) / 128)
    with pytest.raises(ValueError, match=r"no structure has a wavelength below 32 px, a quarter of the shorter side"):
        structure_size(wave.expand(1, 3, 128, 128))


# --- edges ---


def test_brightness_contrast_and_color_leave_the_edges(photos):
    for photo in list(photos.values())[:4]:
        gray = photo.mean(1, keepdim=True).expand(-1, 3, -1, -1)
        for same in (photo, 0.3 * photo + 0.5, 1 - photo, photo + 0.1 * torch.tensor([1.0, -1, 1]).view(1, 3, 1, 1)):
            assert edge_agreement(same, photo) == pytest.approx(1, abs=1e-5)
        assert 0.9 < edge_agreement(gray, photo) < 1  # a mean of colors is not the luminance


def test_independent_noise_has_no_edges_in_common():
    """n independent places give a correlation of 0 ± 1/√n; the blur leaves one place in about 4 π σ² = 12.6 pixels."""
    for seed in range(3):
        agreement = edge_agreement(noise(192, seed=seed), noise(192, seed=seed + 10))
        assert abs(agreement) < 4 / math.sqrt(182**2 / (4 * math.pi))


def test_crossing_edges_agree_nowhere():
    """By hand: one gradient depends on x alone and the other on y alone, so their covariance is 0."""
    edge = step(64, 64, 32)
    assert edge_agreement(edge, edge.transpose(2, 3)) == pytest.approx(0, abs=1e-6)


def test_one_of_two_edges():
    """By hand: let g be the gradient of an edge, with mean μ and mean square q over a row. The photograph has two such
    edges, far apart; the correlation with one of them is (q - 2 μ²) / √((2q - 4 μ²)(q - μ²)). A unit step blurred by
    σ = 1 and by central differences over two pixels is nearly a Gaussian of variance 1 + 1/3: μ = 1/W and
    q = 1 / (2 W √(π 4/3))."""
    width = 128
    inner = width - 10
    mean, square = 1 / inner, 1 / (2 * inner * math.sqrt(math.pi * 4 / 3))
    expected = (square - 2 * mean**2) / math.sqrt((2 * square - 4 * mean**2) * (square - mean**2))
    one, other = step(32, width, 40), step(32, width, 90, -0.5)
    assert edge_agreement(one, one + other) == pytest.approx(expected, abs=0.01)
    assert edge_agreement(one, other) == pytest.approx(-(mean**2) / (square - mean**2), abs=0.01)  # below zero


def test_the_more_noise_the_fewer_edges(photos):
    photo = photos["neuschwanstein"]
    loud = [
        edge_agreement(photo + s * torch.randn(photo.shape, generator=torch.Generator().manual_seed(0)), photo)
        for s in (0.0, 0.05, 0.2, 1.0)
    ]
    assert loud == sorted(loud, reverse=True)
    assert loud[-1] < 0.25


def test_a_moved_photograph_agrees_less_and_an_unrelated_one_hardly(photos):
    near, far = (torch.tensor([edge_agreement(x.roll(s, 3), x) for x in photos.values()]) for s in (1, 12))
    assert (near < 0.95).all()
    assert (near > far + 0.3).all()
    assert far.mean() < 0.3
    others = [edge_agreement(a, b) for a, b in combinations(photos.values(), 2)]
    assert max(others) < 0.5
    assert sum(others) / len(others) < 0.15


def test_a_picture_of_one_color_keeps_no_edge_and_a_photo_of_one_color_is_refused():
    flat, edge = torch.full((1, 3, 32, 32), 0.3), step(32, 32, 16)
    assert edge_agreement(flat, edge) == 0
    assert edge_agreement(torch.cat([flat, edge]), torch.cat([edge, edge])) == pytest.approx(0.5)
    with pytest.raises(ValueError, match=r"photo has no edges: .*give the content photograph"):
        edge_agreement(edge, flat)
