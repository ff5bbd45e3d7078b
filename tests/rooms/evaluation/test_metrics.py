"""Metrics against their definitions, written out a second time, and against values derived by hand."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from course_lib import losses, sample_image
from course_lib.evaluation import metrics
from course_lib.pretrained import weights


@pytest.fixture
def pair(picture):
    return picture(40, 48, 1), picture(40, 48, 2)


def ssim_by_hand(a, b):
    """Wang et al. 2004: Gaussian windows of 11 px with σ = 1.5, K1 = 0.01, K2 = 0.03, each color by itself,
    the picture reflected at its borders."""
    x = torch.arange(11.0) - 5
    line = torch.exp(-(x**2) / (2 * 1.5**2))
    window = torch.outer(line, line)
    window = (window / window.sum()).expand(3, 1, 11, 11)

    def mean(t):
        return F.conv2d(F.pad(t, [5] * 4, mode="reflect"), window, groups=3)

    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    c1, c2 = 0.01**2, 0.03**2
    return ((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))).mean().item()


def test_ssim_by_its_definition(pair):
    a, b = pair
    noisy = (a + 0.05 * torch.randn(a.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    for other in (b, noisy):
        assert metrics.ssim(a, other) == pytest.approx(ssim_by_hand(a, other), rel=1e-3)
    assert metrics.ssim(a, a) == pytest.approx(1)
    assert metrics.ssim(a, b) == pytest.approx(metrics.ssim(b, a), rel=1e-5)


def test_ssim_falls_with_noise(pair):
    a, _ = pair
    noise = torch.randn(a.shape, generator=torch.Generator().manual_seed(0))
    values = [metrics.ssim(a, a + strength * noise) for strength in (0.0, 0.02, 0.05, 0.2)]
    assert values == sorted(values, reverse=True)


def test_luma_of_black_white_and_a_color():
    assert 255 * metrics.luma(torch.zeros(1, 3, 2, 2)) == pytest.approx(torch.full((1, 1, 2, 2), 16.0))
    assert 255 * metrics.luma(torch.ones(1, 3, 2, 2)) == pytest.approx(torch.full((1, 1, 2, 2), 235.0))
    colors = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.2, 0.4, 0.6]], dtype=torch.float64).T.reshape(1, 3, 1, 4)
    values = 255 * metrics.luma(colors).flatten()
    expected = [81.481, 144.553, 40.966, 16 + 13.0962 + 51.4212 + 14.9796]  # the last: fifths of the three weights
    assert values.tolist() == pytest.approx(expected, rel=1e-12)


def test_luma_lets_gradients_through():
    image = torch.rand(2, 3, 4, 4, requires_grad=True)
    metrics.luma(image).sum().backward()
    assert image.grad[1, :, 2, 3].tolist() == pytest.approx([65.481 / 255, 128.553 / 255, 24.966 / 255])


@pytest.mark.parametrize("d", [0.5, 0.1, 1 / 255])
def test_psnr_of_a_constant_difference(d):
    black = torch.zeros(1, 3, 8, 9)
    assert metrics.psnr(black, black + d) == pytest.approx(-20 * math.log10(d), abs=1e-4)
    assert metrics.psnr(black + d, black) == pytest.approx(-20 * math.log10(d), abs=1e-4)
    assert metrics.psnr(black, black + d, luma=True) == pytest.approx(-20 * math.log10(d * 219 / 255), abs=1e-4)


def test_psnr_pools_colors_but_averages_over_pictures():
    black, blue = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
    blue[:, 2] = 0.3
    assert metrics.psnr(black, blue) == pytest.approx(-10 * math.log10(0.3**2 / 3), abs=1e-4)
    assert metrics.psnr(black, blue, luma=True) == pytest.approx(-20 * math.log10(0.3 * 24.966 / 255), abs=1e-4)
    two = torch.stack([torch.full((3, 8, 8), 0.1), torch.full((3, 8, 8), 0.01)])
    assert metrics.psnr(two, torch.zeros_like(two)) == pytest.approx((20 + 40) / 2, abs=1e-4)  # pooled: 22.97
    assert metrics.psnr(two, two) == math.inf


def test_psnr_of_noise_follows_from_its_deviation(picture):
    photo = picture(200, 200, 1)
    noisy = photo + 0.05 * torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
    assert metrics.psnr(photo, noisy) == pytest.approx(-20 * math.log10(0.05), abs=0.1)
    weights = torch.tensor([65.481, 128.553, 24.966]) / 255  # the noise of the three colors is independent
    assert metrics.psnr(photo, noisy, luma=True) == pytest.approx(-20 * math.log10(0.05 * weights.norm()), abs=0.1)


@pytest.mark.parametrize("metric", [metrics.psnr, metrics.ssim])
@pytest.mark.parametrize("luma", [False, True])
def test_crop_leaves_out_only_the_borders(metric, luma, pair):
    a, _ = pair
    b = 0.9 * a
    spoiled = b.clone()
    for border in (spoiled[..., :3, :], spoiled[..., -3:, :], spoiled[..., :3], spoiled[..., -3:]):
        border.fill_(1)
    inside = metric(a[..., 3:-3, 3:-3], b[..., 3:-3, 3:-3], luma=luma)
    assert metric(a, spoiled, crop=3, luma=luma) == pytest.approx(inside, rel=1e-6)
    assert metric(a, spoiled, crop=2, luma=luma) < inside
    assert metric(a, b, crop=0, luma=luma) == metric(a, b, luma=luma)


def ssim_index(a, b):
    """Wang's program in double precision and gray levels of 0–255: only windows that lie entirely in the picture."""
    x = np.arange(11.0) - 5
    window = np.exp(-(x[:, None] ** 2 + x**2) / (2 * 1.5**2))
    window /= window.sum()
    ys = [np.tensordot(image.double().numpy()[0], [65.481, 128.553, 24.966], ((0,), (0,))) + 16 for image in (a, b)]
    pa, pb = (np.lib.stride_tricks.sliding_window_view(y, (11, 11)) for y in ys)  # (H - 10, W - 10, 11, 11)
    ma, mb = (pa * window).sum((2, 3)), (pb * window).sum((2, 3))
    da, db = pa - ma[..., None, None], pb - mb[..., None, None]
    va, vb, cov = ((u * window).sum((2, 3)) for u in (da * da, db * db, da * db))
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return ((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))).mean()


def test_ssim_of_luma_is_wangs(pair):
    a, b = pair
    noisy = (a + 0.05 * torch.randn(a.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    spoiled = a.clone()
    spoiled[..., 0, :] = 1  # reflection makes a difference at the border itself
    for other in (b, noisy, spoiled):
        assert metrics.ssim(a, other, luma=True) == pytest.approx(ssim_index(a, other), abs=2e-5)
    cropped = ssim_index(a[..., 4:-4, 4:-4], noisy[..., 4:-4, 4:-4])
    assert metrics.ssim(a, noisy, crop=4, luma=True) == pytest.approx(cropped, abs=2e-5)
    assert metrics.ssim(a, a, luma=True) == pytest.approx(1)
    pictures, others = torch.cat([a, a]), torch.cat([noisy, b])
    expected = (ssim_index(a, noisy) + ssim_index(a, b)) / 2
    assert metrics.ssim(pictures, others, luma=True) == pytest.approx(expected, abs=2e-5)


def test_luma_ignores_a_change_of_color_alone(pair):
    a = 0.2 + 0.6 * pair[0]
    b = a + torch.tensor([24.966, 0, -65.481]).reshape(1, 3, 1, 1) / 1000  # orthogonal to the weights of Y
    assert metrics.psnr(a, b) < 40 < 100 < metrics.psnr(a, b, luma=True)
    assert metrics.ssim(a, b) < 1 - 1e-4 < 1 - 1e-5 < metrics.ssim(a, b, luma=True)


def test_lpips_by_its_definition(real_network):
    """Zhang et al. 2018, Eq. 1, one layer and one position at a time."""
    a, b = sample_image("cat", size=48), sample_image("dog", size=48)
    size = min(a.shape[-2], b.shape[-2]), min(a.shape[-1], b.shape[-1])
    a, b = a[..., : size[0], : size[1]], b[..., : size[0], : size[1]]
    layers = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
    network = real_network("vgg16", layers, pooling="max")
    heads = weights.load("lpips_vgg16").state_dict
    expected = 0.0
    for k, layer in enumerate(layers):
        x, y = network(a)[layer][0], network(b)[layer][0]
        w = heads[f"heads.{k}.weight"].flatten()
        assert (w >= 0).all()
        places = x.shape[1] * x.shape[2]
        for i in range(x.shape[1]):
            for j in range(x.shape[2]):
                u, v = x[:, i, j], y[:, i, j]
                u, v = u / (u.norm() + 1e-10), v / (v.norm() + 1e-10)
                expected += (w * (u - v) ** 2).sum().item() / places
    assert metrics.lpips(a, b) == pytest.approx(expected, rel=1e-4)
    assert metrics.lpips(a, a) == 0
    assert metrics.lpips(a, b) == pytest.approx(metrics.lpips(b, a), rel=1e-5)


def test_lpips_orders_pictures_as_people_do(real_network):
    real_network("vgg16", ("relu1_1",))
    photo = sample_image("eilean_donan", size=96)
    blurred = F.avg_pool2d(F.pad(photo, [2] * 4, mode="replicate"), 5, stride=1)
    shifted = photo.roll(1, 3)
    assert 0 < metrics.lpips(photo, shifted) < metrics.lpips(photo, blurred) < metrics.lpips(photo, photo.flip(2))


def test_gram_distance_by_its_definition(real_network):
    a, b = sample_image("cat", size=64), sample_image("dog", size=48)
    network = real_network("vgg19", ("relu1_1", "relu3_1"))
    distances = metrics.gram_distance(a, b, ("relu1_1", "relu3_1"))
    for layer, value in distances.items():
        ga, gb = (losses.gram_matrix(network(x)[layer], mean=True) for x in (a, b))
        assert value == pytest.approx(((ga - gb).norm() / gb.norm()).item(), rel=1e-4)
    assert metrics.gram_distance(a, a)["relu5_1"] == 0
    assert metrics.gram_distance(a.flip(3), a)["relu1_1"] < 0.2 * distances["relu1_1"]  # left and right do not matter


def test_change_is_in_gray_levels():
    assert metrics.change(torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 2 / 255)) == pytest.approx(2, rel=1e-5)


def noise(height, width, seed=0, n=1):
    return torch.randn(n, 3, height, width, generator=torch.Generator().manual_seed(seed))


def periodic(height, width, stride, seed=0):
    """A random pattern (H, W) of this period, mean 0 and mean square 1."""
    cell = torch.randn(stride, stride, generator=torch.Generator().manual_seed(seed)).double()
    cell = (cell - cell.mean()) / cell.std(correction=0)
    return cell.repeat(height // stride + 1, width // stride + 1)[:height, :width].float()


@pytest.mark.parametrize("stride", [2, 3, 4])
def test_checkerboard_of_a_pattern_on_noise(stride):
    """By hand: a periodic Hann window turns an amplitude c at a bin into a power of c² tile² over nine bins, for any
    tile; the c² of all frequencies of the pattern add up to its mean square m (Parseval). So its nine-bin means add up
    to m tile²/9, relative to the variance v of the noise, and the score is the mean over s² - 1 frequencies."""
    tile, side, m, v = 64 * stride, 448, 0.02**2, 0.1**2
    image = 0.5 + math.sqrt(v) * noise(side, side, seed=stride)
    assert metrics.checkerboard(image, stride) == pytest.approx(1, abs=0.15)
    score = metrics.checkerboard(image + math.sqrt(m) * periodic(side, side, stride), stride)
    assert score == pytest.approx(1 + tile**2 * m / (9 * v * (stride**2 - 1)), rel=0.15)


def test_checkerboard_sees_rows_columns_and_corners_alike():
    """(0, 1/2), (1/2, 0) and (1/2, 1/2) make up one third of the score each; each pattern has one of them."""
    image, y, x = 0.1 * noise(512, 512), torch.arange(512)[:, None], torch.arange(512)
    for sign in (y + 0 * x, x + 0 * y, x + y):
        score = metrics.checkerboard(image + 0.02 * (1 - 2 * (sign % 2)))
        assert score == pytest.approx(1 + 128**2 * 0.04 / 27, rel=0.15)
    red = image.clone()
    red[:, 0] += 0.02 * (1 - 2 * ((x + y) % 2))  # in one color of three: a third of the power
    assert metrics.checkerboard(red) == pytest.approx(1 + 128**2 * 0.04 / 81, rel=0.15)


def test_checkerboard_of_photographs(photos):
    """Straight edges and textures do not score as a checkerboard; a pattern of two gray levels on top of them does."""
    pattern = {s: 2 / 255 * periodic(192, 192, s) for s in (2, 4)}
    for stride, faint in pattern.items():
        plain = torch.tensor([metrics.checkerboard(photo, stride) for photo in photos.values()])
        above = torch.tensor([metrics.checkerboard(photo + faint, stride) for photo in photos.values()])
        assert 0.8 < plain.mean() < 1.2
        assert plain.max() < 2
        assert (above > 2 * plain).all()
        assert (above / plain).median() > 8


def test_checkerboard_of_stripes_and_ramps():
    """Energy that fills a whole row of the spectrum is not a peak, and a jump between borders is not a pattern."""
    stripes = noise(512, 512)[..., :1].expand(-1, -1, -1, 512)
    assert metrics.checkerboard(stripes) < 2
    ramp = (torch.linspace(0, 1, 128)[:, None] + torch.linspace(0, 1, 128)).expand(1, 3, 128, 128)
    assert metrics.checkerboard(ramp) < 2
    assert metrics.checkerboard(ramp + 2 / 255 * (torch.arange(128) % 2)) > 1000  # hidden without a window


def test_checkerboard_of_a_constant_is_one():
    for value in (0, 0.3, 1):
        assert metrics.checkerboard(torch.full((1, 3, 100, 131), float(value)), 4) == pytest.approx(1)


@pytest.mark.parametrize("stride", [2, 3, 4])
def test_checkerboard_ignores_scale_offset_and_position(stride, picture):
    image = picture(200, 170, 1) + 0.02 * noise(200, 170) + 0.02 * periodic(200, 170, stride)
    score = metrics.checkerboard(image, stride)
    assert score > 2
    assert metrics.checkerboard(3 * image, stride) == pytest.approx(score, rel=1e-4)
    assert metrics.checkerboard(image + 2, stride) == pytest.approx(score, rel=1e-3)
    assert metrics.checkerboard(image.half(), stride) == pytest.approx(score, rel=0.05)
    for changed in (image.flip(2), image.flip(3), image.transpose(2, 3), image.flip(1)):
        assert metrics.checkerboard(changed, stride) == pytest.approx(score, rel=0.1)
    for height, width in ((199, 169), (197, 167)):  # multiples of none of the strides
        assert metrics.checkerboard(image[..., :height, :width], stride) == pytest.approx(score, rel=0.25)


def test_checkerboard_reaches_every_border_and_averages_the_batch():
    quiet, loud = (0.1 * noise(128, 320, seed) for seed in (1, 2))
    loud[..., -60:] += 0.2 * periodic(128, 60, 2)
    assert metrics.checkerboard(loud) > 5 * metrics.checkerboard(quiet)
    both = [metrics.checkerboard(image) for image in (quiet, loud)]
    assert metrics.checkerboard(torch.cat([quiet, loud])) == pytest.approx(sum(both) / 2)


def test_checkerboard_tells_a_transposed_convolution_from_a_resized_one(photos):
    """Odena et al. 2016: one layer and two, with random weights, on the same features of photographs."""
    transposed, resized = {2: [], 4: []}, {2: [], 4: []}
    for seed, photo in enumerate(list(photos.values())[:6]):
        torch.manual_seed(seed)
        features = torch.nn.Conv2d(3, 12, 3, padding=1)(F.avg_pool2d(photo, 3)).relu().detach()  # (1, 12, 64, 64)
        for stride, widths in ((2, (12, 3)), (4, (12, 8, 3))):
            strided = smooth = features
            for before, after in pairwise(widths):
                with torch.no_grad():
                    strided = torch.nn.ConvTranspose2d(before, after, 3, 2, padding=1, output_padding=1)(strided.relu())
                    smooth = torch.nn.Conv2d(before, after, 3, padding=1)(F.interpolate(smooth.relu(), scale_factor=2))
            assert strided.shape == smooth.shape == (1, 3, 64 * stride, 64 * stride)
            transposed[stride].append(metrics.checkerboard(strided, stride))
            resized[stride].append(metrics.checkerboard(smooth, stride))
    for stride in (2, 4):
        assert min(transposed[stride]) > 20 * max(resized[stride])
        assert max(resized[stride]) < 2


@pytest.mark.parametrize("metric", [metrics.psnr, metrics.ssim])
def test_bad_crops_are_refused(metric):
    image = torch.rand(1, 3, 24, 30)
    for crop in (-1, 1.5, True, "4"):
        with pytest.raises(ValueError, match="crop must be a whole number of at least 0, got "):
            metric(image, image, crop=crop)
    with pytest.raises(ValueError, match=r"crop of 12 px leaves 0 × 6 of \(1, 3, 24, 30\), .*crop less"):
        metric(image, image, crop=12)


def test_ssim_needs_one_window():
    image = torch.rand(1, 3, 12, 13)
    for luma in (False, True):
        with pytest.raises(ValueError, match=r"leaves 10 × 11 .*at least 11 px"):
            metrics.ssim(image, image, crop=1, luma=luma)
        assert metrics.ssim(image[..., :11, :11], image[..., :11, :11], luma=luma) == pytest.approx(1)


def test_checkerboard_refuses_strides_and_sizes():
    for stride in (1, 0, 2.5, True):
        with pytest.raises(ValueError, match="stride must be a whole number of at least 2, got "):
            metrics.checkerboard(torch.zeros(1, 3, 64, 64), stride)
    with pytest.raises(ValueError, match="31 px wide and 64 px high; stride 4 needs sides of at least 32 px"):
        metrics.checkerboard(torch.zeros(1, 3, 64, 31), 4)


def test_checkerboard_of_the_smallest_picture():
    """Four bins are left between two frequencies, so the peak does not enter the power beside it."""
    image = 0.1 * noise(64, 32)
    assert metrics.checkerboard(image, 4) == pytest.approx(1, abs=0.6)
    score = metrics.checkerboard(image + 0.3 * periodic(64, 32, 4), 4)
    assert score == pytest.approx(1 + (32 / 3) ** 2 / 15 * 9, rel=0.4)
