"""AlexNet's layers, and LPIPS on them, against the formulas and against another implementation."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import torchmetrics.functional.image
from torchmetrics.functional.image.lpips import _LPIPS

from course_lib import sample_image
from course_lib.evaluation import alexnet, metrics
from course_lib.pretrained import weights

HEADS = Path(torchmetrics.functional.image.__file__).parent / "lpips_models/alex.pth"  # as the authors published them


@pytest.fixture(scope="module")
def loaded():
    try:
        return weights.load("lpips_alexnet")
    except weights.WeightsError as error:
        pytest.fail(f"this test needs lpips_alexnet (`make weights` fetches it): {error}", pytrace=False)


@pytest.fixture(scope="module")
def other(loaded):
    """The implementation of torchmetrics with its heads, on our convolutions, because its own are a download."""
    network = _LPIPS(pretrained=True, net="alex", pnet_rand=True, model_path=str(HEADS))
    with torch.no_grad():
        for name, parameter in network.net.named_parameters():  # "slice2.3.weight"
            parameter.copy_(loaded.state_dict[f"features.{name.split('.', 1)[1]}"])
    return network


def pairs():
    generator = torch.Generator().manual_seed(0)
    yield torch.rand(2, 3, 64, 64, generator=generator), torch.rand(2, 3, 64, 64, generator=generator)
    yield torch.rand(1, 3, 31, 53, generator=generator), torch.zeros(1, 3, 31, 53)
    yield sample_image("cat", (96, 64)), sample_image("dog", (96, 64))


def by_hand(a, b, state):
    """Zhang et al. 2018, Eq. 1, as the text says it, one position at a time."""
    features = []
    for x in (a, b):
        x = (2 * x - 1 - torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)) / torch.tensor(
            [0.458, 0.448, 0.450]
        ).view(1, 3, 1, 1)
        found = []
        for index, stride, padding, pool in ((0, 4, 2, 1), (3, 1, 2, 1), (6, 1, 1, 0), (8, 1, 1, 0), (10, 1, 1, 0)):
            x = F.conv2d(x, state[f"features.{index}.weight"], state[f"features.{index}.bias"], stride, padding)
            x = x.clamp_min(0)
            found.append(x[0])
            if pool:
                x = x.unfold(2, 3, 2).unfold(3, 3, 2).amax((4, 5))
        features.append(found)
    total = 0.0
    for k, (x, y) in enumerate(zip(*features, strict=True)):
        w = state[f"heads.{k}.weight"].flatten()
        assert (w >= 0).all()
        for i in range(x.shape[1]):
            for j in range(x.shape[2]):
                u, v = (z[:, i, j] / (z[:, i, j].norm() + 1e-10) for z in (x, y))
                total += (w * (u - v) ** 2).sum().item() / (x.shape[1] * x.shape[2])
    return total


def test_lpips_on_alexnet_by_its_definition(loaded):
    a, b = sample_image("cat", (48, 64)), sample_image("dog", (48, 64))
    assert metrics.lpips(a, b, network="alexnet") == pytest.approx(by_hand(a, b, loaded.state_dict), rel=1e-4)


def test_the_heads_are_the_published_ones(loaded, other):
    for k, layer in enumerate(other.lins):
        assert torch.equal(loaded.state_dict[f"heads.{k}.weight"], layer.model[-1].weight)


def test_lpips_on_alexnet_is_that_of_torchmetrics(other):
    """It adds 1e-8 below the root where the original code adds 1e-10 to the root."""
    for a, b in pairs():
        with torch.no_grad():
            expected = other(a, b, normalize=True).mean().item()
        assert metrics.lpips(a, b, network="alexnet") == pytest.approx(expected, rel=1e-4)


def test_every_layer_is_that_of_torchmetrics(loaded, other):
    network = alexnet.AlexNetFeatures(loaded)
    for a, _ in pairs():
        with torch.no_grad():
            expected = other.net(other.scaling_layer(2 * a - 1))
        features = network(a)
        assert tuple(features) == alexnet.LAYERS
        for layer, channels in zip(alexnet.LAYERS, (64, 192, 384, 256, 256), strict=True):
            assert features[layer].shape[1] == channels
            torch.testing.assert_close(features[layer], getattr(expected, layer), rtol=1e-4, atol=1e-4)


def test_the_input_scale_is_that_of_lpips(loaded):
    """(2 x - 1 - shift) / scale = (x - (1 + shift) / 2) / (scale / 2)."""
    shift, scale = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
    assert loaded.mean == pytest.approx([(1 + s) / 2 for s in shift])
    assert loaded.std == pytest.approx([s / 2 for s in scale])


def test_the_smallest_picture_has_one_position_at_the_last_layer(loaded):
    network = alexnet.AlexNetFeatures(loaded)
    features = network(torch.rand(1, 3, 31, 34))
    assert [tuple(x.shape[2:]) for x in features.values()] == [(7, 7), (3, 3), (1, 1), (1, 1), (1, 1)]
    with pytest.raises(ValueError, match="64 px wide and 30 px high; AlexNet needs sides of at least 31 px"):
        network(torch.rand(1, 3, 30, 64))
    with pytest.raises(ValueError, match=r"the picture is on meta, the network on cpu"):
        network(torch.rand(1, 3, 64, 64, device="meta"))


def test_lpips_on_alexnet_is_a_symmetric_distance_averaged_over_the_batch(loaded):
    a, b, c = (sample_image(name, (64, 64)) for name in ("cat", "dog", "bison"))
    ab, ac = metrics.lpips(a, b, network="alexnet"), metrics.lpips(a, c, network="alexnet")
    assert metrics.lpips(a, a, network="alexnet") == 0
    assert metrics.lpips(b, a, network="alexnet") == pytest.approx(ab, rel=1e-5)
    both = metrics.lpips(torch.cat([a, a]), torch.cat([b, c]), network="alexnet")
    assert both == pytest.approx((ab + ac) / 2, rel=1e-5)
    assert metrics.lpips(a, b) != pytest.approx(ab, rel=0.05)  # the default is VGG-16


def test_lpips_on_alexnet_orders_pictures_as_people_do(loaded):
    photo = sample_image("eilean_donan", size=96)
    blurred = F.avg_pool2d(F.pad(photo, [2] * 4, mode="replicate"), 5, stride=1)
    other = sample_image("great_wave", tuple(photo.shape[-2:]))
    distances = [metrics.lpips(photo, x, network="alexnet") for x in (photo.roll(1, 3), blurred, other)]
    assert distances == sorted(distances)


def test_an_unknown_network_is_refused_with_the_list():
    image = torch.rand(1, 3, 64, 64)
    for name in ("alex", "vgg", "VGG16", None):
        with pytest.raises(ValueError, match="network must be one of 'vgg16', 'alexnet', got "):
            metrics.lpips(image, image, network=name)
