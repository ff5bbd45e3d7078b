"""A published generator of CycleGAN (`networks/cyclegan_vintage.py`)."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_lib.networks import cyclegan_vintage
from course_lib.pretrained import weights

LUMA = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)


class Block(nn.Module):
    """A residual block in PyTorch's own layers, with the names of the file."""

    def __init__(self):
        super().__init__()
        half = [nn.ReflectionPad2d(1), nn.Conv2d(256, 256, 3), nn.InstanceNorm2d(256, affine=True)]
        again = [nn.ReflectionPad2d(1), nn.Conv2d(256, 256, 3), nn.InstanceNorm2d(256, affine=True)]
        self.conv_block = nn.Sequential(*half, nn.ReLU(), *again)

    def forward(self, x):
        return x + self.conv_block(x)


def reference():
    """c7s1-64, d128, d256, R256 × 9, u128, u64, c7s1-3, tanh (Zhu et al., Section 7.2), pictures in [-1, 1]."""

    def unit(layer, channels):
        return [layer, nn.InstanceNorm2d(channels, affine=True), nn.ReLU()]

    up = [nn.ConvTranspose2d(c, c // 2, 3, stride=2, padding=1, output_padding=1) for c in (256, 128)]
    return nn.Sequential(
        nn.ReflectionPad2d(3), *unit(nn.Conv2d(3, 64, 7), 64),
        *unit(nn.Conv2d(64, 128, 3, stride=2, padding=1), 128), *unit(nn.Conv2d(128, 256, 3, stride=2, padding=1), 256),
        *(Block() for _ in range(9)),
        *unit(up[0], 128), *unit(up[1], 64),
        nn.ReflectionPad2d(3), nn.Conv2d(64, 3, 7), nn.Tanh(),
    )  # fmt: skip


@pytest.fixture(scope="module")
def published():
    try:
        return cyclegan_vintage.published()
    except weights.WeightsError as error:
        pytest.fail(f"this test needs cyclegan_vintage (`make weights` fetches it): {error}", pytrace=False)


def translated(network, images):
    with torch.no_grad():
        return network(images)


@pytest.fixture(scope="module")
def plain():
    """The plain network with random weights everywhere, scales and shifts included."""
    network, generator = reference().eval(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    return network


@pytest.fixture(scope="module")
def small(plain):
    return cyclegan_vintage.from_file(plain.state_dict())


def test_the_numbers_of_the_file_are_the_layers_of_the_network(plain, small):
    images = torch.rand(1, 3, 32, 40, generator=torch.Generator().manual_seed(0))
    expected = translated(plain, 2 * images - 1)
    torch.testing.assert_close(2 * translated(small, images) - 1, expected, rtol=0, atol=1e-4)


def test_a_missing_weight_is_named():
    state = {key: value for key, value in reference().state_dict().items() if key != "14.conv_block.2.bias"}
    with pytest.raises(RuntimeError, match=r"layers\.13\.body\.1\.bias"):
        cyclegan_vintage.from_file(state)


@pytest.mark.real_weights
def test_the_published_network_is_the_papers_with_scales_and_shifts(published):
    count = sum(parameter.numel() for parameter in published.parameters())
    scales = sum(p.numel() for m in published.modules() if isinstance(m, nn.InstanceNorm2d) for p in m.parameters())
    assert (count, scales, count - scales) == (11_388_675, 10_496, 11_378_179)  # the paper's network has the last
    plain = reference().eval()
    plain.load_state_dict(weights.load("cyclegan_vintage").state_dict)
    photo = torch.rand(1, 3, 64, 48, generator=torch.Generator().manual_seed(1))
    expected = 0.5 + 0.5 * translated(plain, 2 * photo - 1)
    torch.testing.assert_close(translated(published, photo), expected, rtol=0, atol=1e-4)


@pytest.mark.real_weights
def test_photographs_stay_recognizable_and_turn_yellow(published, photos):
    """Every photo keeps its light and dark and none stays as it was; in most, red and green gain over blue."""
    yellower = []
    for name, large in photos.items():
        photo = F.interpolate(large, size=(128, 128), mode="area")
        aged = translated(published, photo)
        luma = torch.stack([(LUMA * image).sum(1).flatten() for image in (photo, aged)])
        assert torch.corrcoef(luma)[0, 1] > 0.95, name
        assert (aged - photo).abs().mean() > 0.01, name
        before, after = ((image[:, :2].mean() - image[:, 2].mean()).item() for image in (photo, aged))
        yellower.append(after - before)
    assert sum(change > 0 for change in yellower) > len(yellower) / 2
