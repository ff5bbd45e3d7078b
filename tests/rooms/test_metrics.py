"""The three rulers against their definitions, written out a second time."""

import pytest
import torch
import torch.nn.functional as F

from course_lib import losses, metrics, sample_image, weights


@pytest.fixture
def pair(picture):
    return picture(40, 48, 1), picture(40, 48, 2)


def ssim_by_hand(a, b):
    """Wang et al. 2004: Gaussian windows of 11 px with σ = 1.5, K1 = 0.01, K2 = 0.03, each color alone,
    the picture mirrored at its borders."""
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
    found = [metrics.ssim(a, a + strength * noise) for strength in (0.0, 0.02, 0.05, 0.2)]
    assert found == sorted(found, reverse=True)


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


def test_lpips_orders_as_people_do(real_network):
    real_network("vgg16", ("relu1_1",))
    photo = sample_image("eilean_donan", size=96)
    blurred = F.avg_pool2d(F.pad(photo, [2] * 4, mode="replicate"), 5, stride=1)
    shifted = photo.roll(1, 3)
    assert 0 < metrics.lpips(photo, shifted) < metrics.lpips(photo, blurred) < metrics.lpips(photo, photo.flip(2))


def test_gram_distance_by_its_definition(real_network):
    a, b = sample_image("cat", size=64), sample_image("dog", size=48)
    network = real_network("vgg19", ("relu1_1", "relu3_1"))
    found = metrics.gram_distance(a, b, ("relu1_1", "relu3_1"))
    for layer, value in found.items():
        ga, gb = (losses.gram_matrix(network(x)[layer], mean=True) for x in (a, b))
        assert value == pytest.approx(((ga - gb).norm() / gb.norm()).item(), rel=1e-4)
    assert metrics.gram_distance(a, a)["relu5_1"] == 0
    assert metrics.gram_distance(a.flip(3), a)["relu1_1"] < 0.2 * found["relu1_1"]  # left and right do not matter


def test_change_is_in_gray_levels():
    assert metrics.change(torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 2 / 255)) == pytest.approx(2, rel=1e-5)


@pytest.mark.parametrize("ruler", [metrics.ssim, metrics.lpips, metrics.change])
def test_two_sizes_are_refused(ruler):
    with pytest.raises(ValueError, match=r"two pictures of one shape .*resize"):
        ruler(torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 40))
