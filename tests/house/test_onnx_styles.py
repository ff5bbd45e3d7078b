"""The two networks of streets from noise as ONNX: what the file computes is what PyTorch computes."""

import onnx
import pytest
import torch
import tried_numbers
from onnx.reference import ReferenceEvaluator

from benchmarks.try_it import psnr
from book.try_it import export, onnx_graph, onnx_styles
from course_lib.methods import stylegan
from course_lib.networks.stylegan import StyleGenerator

ROUNDING = 2e-5  # float32 sums in another order, as in test_onnx_graph.py


def generator(**settings):
    """Untrained, but with noise and biases that matter, and a mean style."""
    torch.manual_seed(0)
    network = StyleGenerator(16, width=64, most=12, z_size=10, w_size=14, num_mapping=2, **settings).eval()
    with torch.no_grad():
        for layer in (*network.convs, *network.colors):
            layer.bias.normal_()
        for layer in network.convs:
            layer.noise_strength.fill_(0.5)
        network.mapping.mean.normal_()
    return network


def evaluated(network, given, bits=8):
    session = ReferenceEvaluator(onnx.load_from_string(onnx_styles.export(network, bits=bits)))
    return torch.from_numpy(session.run(None, {session.input_names[0]: given.numpy()})[0])


@pytest.mark.parametrize("bits", onnx_graph.BITS)
@torch.inference_mode()
def test_styles_of_their_own_for_every_layer_survive_the_export(bits):
    network = generator()
    styles = torch.randn(1, network.num_styles, 14)
    expected = onnx_styles.rounded(network, bits=bits)(styles).clamp(0, 1)
    found = evaluated(network, styles[None], bits)
    torch.testing.assert_close(found, expected, rtol=0, atol=ROUNDING)
    assert (expected * (1 - expected)).mean() > 0.05, "a picture that is not only black and white"


@torch.inference_mode()
def test_every_style_matters_to_the_file():
    network = generator()
    styles = torch.randn(1, 1, network.num_styles, 14)
    before = evaluated(network, styles)
    for layer in range(network.num_styles):
        changed = styles.clone()
        changed[:, :, layer] += 1
        assert not torch.equal(evaluated(network, changed), before), layer


@pytest.mark.parametrize("bits", onnx_graph.BITS)
@torch.inference_mode()
def test_noise_becomes_a_style_beside_the_mean_one(bits):
    mapping = generator().mapping
    z = torch.randn(1, 10)
    found = evaluated(mapping, z[None, None], bits)
    assert found.shape == (1, 1, 2, 14)
    torch.testing.assert_close(found[0, 0, 0], onnx_styles.rounded(mapping, bits=bits)(z)[0], rtol=0, atol=ROUNDING)
    assert torch.equal(found[0, 0, 1], mapping.mean)
    longer = evaluated(mapping, 7 * z[None, None], bits)
    torch.testing.assert_close(longer, found, rtol=0, atol=ROUNDING)  # only the direction of noise counts


@torch.inference_mode()
def test_what_does_not_depend_on_a_style_is_left_to_the_runtime():
    """Energies of the filters are computed when the file is loaded: no node between them and the constants needs it."""
    model = onnx.load_from_string(onnx_styles.export(generator()))
    known = {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        if set(node.input) <= known:
            known.update(node.output)
    sums = [node.output[0] for node in model.graph.node if node.op_type == "ReduceSum"]
    assert len(sums) == len(generator().convs)
    assert set(sums) <= known


def test_layers_with_adain_are_refused():
    with pytest.raises(TypeError, match="no ONNX here for layers with AdaIN"):
        onnx_styles.export(generator(style="instance"))


@torch.inference_mode()
def test_the_shipped_network_is_small_and_paints_the_same():
    painter, mapping = (export.network(name) for name in ("streets", "streets_style"))
    assert sum(len(onnx_styles.export(network)) for network in (painter, mapping)) < 2_300_000
    model = stylegan.load(export.NOISE_MODEL)
    styles = stylegan.styles(16, model, seed=3, truncation=0.7)
    exact, coarse = painter(styles).clamp(0, 1), onnx_styles.rounded(painter)(styles).clamp(0, 1)
    assert psnr(coarse, exact) > 40, "less than what shows"
    one = styles[:1]
    torch.testing.assert_close(evaluated(painter, one[None]), coarse[:1], rtol=0, atol=ROUNDING)


def test_numbers_agree_with_the_networks_of_today():
    """The stored run is of the network that is shipped."""
    values = tried_numbers.record(tried_numbers.NOISE)["values"]
    assert values["runtime"] == export.locked_version()
    assert values["bytes"]["8"] == sum(len(onnx_styles.export(export.network(name))) for name in export.NOISE)
    assert values["levels between page and PyTorch"] < 0.5
