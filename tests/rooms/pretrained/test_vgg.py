"""VGG features: names, sizes, pooling, and the real networks against torchvision's architecture."""

import pytest
import torch
import torch.nn.functional as F
import torchvision

from course_lib import VGGFeatures
from course_lib.pretrained import weights
from course_lib.pretrained.vgg import CONTENT_LAYER, STYLE_LAYERS, layer_names

# Simonyan & Zisserman 2015, Table 1, columns D and E: convolutions a block
BLOCKS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
CHANNELS = (64, 128, 256, 512, 512)


def random_image(height=32, width=32, seed=0):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


# --- the architecture ---


def test_all_names_of_vgg19():
    assert layer_names("vgg19") == (
        *("conv1_1", "relu1_1", "conv1_2", "relu1_2", "pool1"),
        *("conv2_1", "relu2_1", "conv2_2", "relu2_2", "pool2"),
        *("conv3_1", "relu3_1", "conv3_2", "relu3_2", "conv3_3", "relu3_3", "conv3_4", "relu3_4", "pool3"),
        *("conv4_1", "relu4_1", "conv4_2", "relu4_2", "conv4_3", "relu4_3", "conv4_4", "relu4_4", "pool4"),
        *("conv5_1", "relu5_1", "conv5_2", "relu5_2", "conv5_3", "relu5_3", "conv5_4", "relu5_4", "pool5"),
    )


@pytest.mark.parametrize("arch", ["vgg16", "vgg19"])
def test_names_and_sizes_at_32(arch):
    network = VGGFeatures(arch, layer_names(arch), weights=None)
    features = network(random_image())
    assert tuple(features) == layer_names(arch)
    for block, convs in enumerate(BLOCKS[arch], start=1):
        side = 32 // 2 ** (block - 1)
        for index in range(1, convs + 1):
            for kind in ("conv", "relu"):
                shape = features[f"{kind}{block}_{index}"].shape
                assert shape == (1, CHANNELS[block - 1] // 8, side, side)
        assert features[f"pool{block}"].shape[2:] == (side // 2, side // 2)
    assert len(network.convs) == sum(BLOCKS[arch])


def test_the_defaults_are_the_papers_layers():
    assert STYLE_LAYERS == ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    assert CONTENT_LAYER == "relu4_2"
    network = VGGFeatures(weights=None)
    assert network.arch == "vgg19"
    assert network.pooling == "average"
    assert network.layers == ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1")


def test_the_answer_is_in_order_of_depth_whatever_was_asked():
    network = VGGFeatures("vgg19", ["relu3_1", "conv1_1", "pool2"], weights=None)
    assert tuple(network(random_image())) == ("conv1_1", "pool2", "relu3_1")
    assert VGGFeatures("vgg19", "relu2_2", weights=None).layers == ("relu2_2",)  # one name is a list of one


@pytest.mark.parametrize(("deepest", "count"), [("conv1_1", 1), ("relu2_1", 3), ("pool2", 4), ("relu4_2", 10)])
def test_nothing_is_computed_beyond_the_deepest_layer(monkeypatch, deepest, count):
    network = VGGFeatures("vgg19", ["conv1_1", deepest], weights=None)
    assert len(network.convs) == count
    ran = []
    for name, conv in network.convs.items():
        conv.register_forward_hook(lambda *_, name=name: ran.append(name))
    network(random_image())
    assert ran == [name for name in layer_names("vgg19") if name.startswith("conv")][:count]


# --- a pass for some of the layers ---


@pytest.mark.parametrize("pooling", ["average", "max"])
def test_some_of_the_layers_have_the_values_they_had(pooling):
    network = VGGFeatures("vgg19", ["conv1_2", "relu1_2", "pool2", "relu3_1"], pooling=pooling, weights=None)
    every, image = network(random_image()), random_image()
    for some in (("relu1_2",), ("pool2", "conv1_2"), ("relu3_1", "relu1_2"), network.layers):
        found = network(image, some)
        assert tuple(found) == tuple(name for name in network.layers if name in some)  # in order of depth
        assert all(torch.equal(found[name], every[name]) for name in some)
    assert tuple(network(image)) == network.layers
    assert tuple(network(image, "pool2")) == ("pool2",)  # one name is a list of one
    assert network(image, ()) == {}


@pytest.mark.parametrize(("some", "count"), [((), 0), (["conv1_1"], 1), (["conv1_1", "pool1"], 2), (["relu3_1"], 5)])
def test_a_pass_ends_at_the_deepest_layer_it_is_for(some, count):
    network = VGGFeatures("vgg19", ["conv1_1", "pool1", "relu3_1", "relu4_2"], weights=None)
    ran = []
    for name, conv in network.convs.items():
        conv.register_forward_hook(lambda *_, name=name: ran.append(name))
    network(random_image(), some)
    assert ran == [name for name in layer_names("vgg19") if name.startswith("conv")][:count]


@pytest.mark.parametrize("some", [["relu2_1"], ["relu1_1", "relu2_1", "nonsense"], "relu2_1"])
def test_a_layer_the_network_was_not_made_for_is_refused(some):
    network = VGGFeatures("vgg19", ["relu1_1", "relu3_1"], weights=None)  # it would pass by relu2_1
    with pytest.raises(ValueError, match=r"this network was built for relu1_1, relu3_1, not for .*'relu2_1'"):
        network(random_image(), some)


# --- what the layers compute ---


def test_relu_is_the_rectified_conv_and_the_conv_stays_raw():
    features = VGGFeatures("vgg19", ["conv2_1", "relu2_1", "conv4_2", "relu4_2"], weights=None)(random_image())
    for block in ("2_1", "4_2"):
        assert (features[f"conv{block}"] < 0).any()
        assert torch.equal(features[f"relu{block}"], features[f"conv{block}"].clamp_min(0))


def test_pooling_by_hand():
    network = {p: VGGFeatures("vgg19", ["relu1_2", "pool1"], pooling=p, weights=None) for p in ("average", "max")}
    features = {p: network[p](random_image()) for p in network}
    before = features["average"]["relu1_2"]
    assert torch.equal(before, features["max"]["relu1_2"])
    corner = before[0, :, 4:6, 10:12].flatten(1)  # the four values under one window
    torch.testing.assert_close(features["average"]["pool1"][0, :, 2, 5], corner.mean(1))
    torch.testing.assert_close(features["max"]["pool1"][0, :, 2, 5], corner.max(1).values)
    assert not torch.allclose(features["average"]["pool1"], features["max"]["pool1"])


def test_an_odd_side_loses_its_last_row_at_the_pool():
    assert VGGFeatures("vgg19", ["pool1"], weights=None)(random_image(33, 47))["pool1"].shape[2:] == (16, 23)


def test_the_network_is_frozen_but_the_image_gets_a_gradient():
    network = VGGFeatures(weights=None)
    assert not network.training
    assert all(not parameter.requires_grad for parameter in network.parameters())
    image = random_image().requires_grad_()
    network(image)["relu5_1"].sum().backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_batch_is_its_images():
    network = VGGFeatures("vgg19", ["relu3_1"], weights=None)
    a, b = random_image(seed=1), random_image(seed=2)
    both = network(torch.cat([a, b]))["relu3_1"]
    torch.testing.assert_close(both, torch.cat([network(a)["relu3_1"], network(b)["relu3_1"]]))


def test_a_random_network_is_told_by_its_seed():
    first, again, other = (
        VGGFeatures("vgg19", ["relu3_1"], weights=None, seed=seed)(random_image())["relu3_1"] for seed in (5, 5, 6)
    )
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    assert "random, seed 5" in repr(VGGFeatures("vgg19", ["relu3_1"], weights=None, seed=5))


def test_half_precision_comes_back_as_such_and_close():
    exact = VGGFeatures("vgg19", ["relu3_1"], weights=None)(random_image())["relu3_1"]
    half = VGGFeatures("vgg19", ["relu3_1"], weights=None, precision=torch.bfloat16)(random_image())["relu3_1"]
    assert half.dtype == torch.bfloat16
    error = (half.float() - exact).norm() / exact.norm()
    assert error < 0.03  # bfloat16 keeps 8 bits: 0.4 % a rounding, over five convolutions


def test_float64_images_are_welcome():
    network = VGGFeatures("vgg19", ["relu2_1"], weights=None)
    torch.testing.assert_close(network(random_image().double()), network(random_image()))


# --- what bad input gets ---


def test_an_unknown_layer_lists_the_layers():
    with pytest.raises(ValueError, match=r"vgg16 has no layer \['conv3_4'\]; the layers are conv1_1, .*, pool5"):
        VGGFeatures("vgg16", ["relu1_1", "conv3_4"], weights=None)
    with pytest.raises(ValueError, match="name at least one of conv1_1"):
        VGGFeatures("vgg16", [], weights=None)


def test_unknown_words_are_refused():
    with pytest.raises(ValueError, match="'resnet'; use 'vgg16' or 'vgg19'"):
        VGGFeatures("resnet", weights=None)
    with pytest.raises(ValueError, match="pooling must be one of 'average', 'max', got 'mean'"):
        VGGFeatures(pooling="mean", weights=None)
    with pytest.raises(weights.WeightsError, match="normalised"):
        VGGFeatures(weights="normalised")


@pytest.mark.parametrize(("layer", "side"), [("conv1_1", 1), ("pool1", 2), ("relu5_1", 16), ("pool5", 32)])
def test_too_small_an_image_is_told_the_smallest_side(layer, side):
    network = VGGFeatures("vgg19", [layer], weights=None)
    assert network.min_size(layer) == side
    assert network(random_image(side, side + 5))[layer].shape[2] == 1
    if side > 1:
        with pytest.raises(ValueError, match=rf"{layer} needs an image of at least {side} px .* got 40×{side - 1}"):
            network(random_image(40, side - 1))


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 1, 32, 32), (1, 32, 32, 3)])
def test_a_wrong_shape_is_told_the_right_one(shape):
    with pytest.raises(ValueError, match=r"Got shape .*, expected \(N, 3, H, W\)"):
        VGGFeatures("vgg19", ["relu1_1"], weights=None)(torch.zeros(shape))


def test_bytes_are_not_a_picture_in_0_1():
    with pytest.raises(ValueError, match=r"torch\.uint8.*255"):
        VGGFeatures("vgg19", ["relu1_1"], weights=None)(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))


def test_an_image_on_another_device_is_told_how_to_move():
    network = VGGFeatures("vgg19", ["relu1_1"], weights=None)
    with pytest.raises(ValueError, match=r"the image is on meta, the network on cpu; .*image\.to\("):
        network(torch.zeros(1, 3, 32, 32, device="meta"))


def test_weights_of_another_network_are_refused(tmp_path):
    import safetensors.torch

    path = tmp_path / "other.safetensors"
    safetensors.torch.save_file({"0.weight": torch.zeros(64, 3, 3, 3), "0.bias": torch.zeros(64)}, path)
    VGGFeatures("vgg19", ["relu1_1"], weights=path)  # all that this depth needs
    with pytest.raises(ValueError, match=r"do not fit vgg19: conv1_2 needs \(64, 64, 3, 3\), got nothing"):
        VGGFeatures("vgg19", ["relu1_2"], weights=path)


# --- the real networks ---


@pytest.mark.real_weights
@pytest.mark.parametrize(
    ("arch", "name"), [("vgg19", "vgg19_normalized"), ("vgg16", "vgg16_torchvision")], ids=["vgg19", "vgg16"]
)
def test_the_same_as_torchvisions_network(real_network, photos, arch, name):
    photo = photos["chenonceau"][..., :96, :96]
    layers = ("conv1_1", "relu1_1", "pool1", "relu2_2", "conv3_3", "relu4_2", "pool4", "relu5_1")
    ours = real_network(arch, layers, pooling="max")(photo)
    loaded = weights.load(name)
    with torch.device("meta"):
        reference = getattr(torchvision.models, arch)().features
    reference.load_state_dict(loaded.state_dict, strict=True, assign=True)
    mean, std = {
        # Oxford's mean in 0–255, no division (the normalization assumes it); torchvision's documented transform
        "vgg19": (torch.tensor([123.68, 116.779, 103.939]) / 255, torch.full((3,), 1 / 255)),
        "vgg16": (torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])),
    }[arch]
    x = (photo - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
    with torch.no_grad():
        for index, layer in enumerate(layer_names(arch)):
            x = reference[index](x.clone())  # its ReLUs work in place
            if layer in layers:
                scale = x.abs().max().item()
                torch.testing.assert_close(ours[layer].contiguous(), x, rtol=1e-3, atol=1e-5 * scale)
            if layer == "relu5_1":
                break


@pytest.mark.real_weights
@pytest.mark.slow
def test_mean_activation_is_one_with_max_pooling_only(real_network, photos):
    """Gatys et al. 2016, Section 2: filters rescaled so that the mean activation over images and positions is one.

    Holds for the pooling it was made with. Average pooling passes on less with every pool: about 0.2 in block 5.
    """
    means = {}
    for pooling in ("max", "average"):
        network = real_network("vgg19", STYLE_LAYERS, pooling=pooling)
        found = [network(photo) for photo in photos.values()]
        means[pooling] = {layer: sum(f[layer].mean().item() for f in found) / len(found) for layer in STYLE_LAYERS}
    for layer, mean in means["max"].items():
        assert 0.9 < mean < 1.15, (layer, mean)
    assert means["average"]["relu1_1"] == pytest.approx(means["max"]["relu1_1"])
    assert means["average"]["relu5_1"] < 0.5
    assert means["average"]["relu3_1"] < 0.8


@pytest.mark.real_weights
def test_the_default_is_the_real_normalized_network_with_average_pooling(real_network, photos):
    default = real_network("vgg19", ["relu4_1"])
    named = real_network("vgg19", ["relu4_1"], weights="normalized", pooling="average")
    assert torch.equal(default(photos["cat"])["relu4_1"], named(photos["cat"])["relu4_1"])
    assert "package index" in default.source
    assert default.convs["conv4_1"].weight.shape == (512, 256, 3, 3)


@pytest.mark.real_weights
def test_a_scene_moved_by_a_pixel_stays_the_same_scene(real_network, photos):
    """At relu4_2, a photograph one pixel further on is nearly the same, and another photograph is not."""
    network = real_network("vgg19", ["relu4_2"])
    photo, other = photos["chenonceau"], photos["pagoda"][..., :160, :160]
    a, moved = photo[..., :160, :160], photo[..., 1:161, 1:161]
    f, g, h = (F.normalize(network(x)["relu4_2"].flatten(), dim=0) for x in (a, moved, other))
    assert f @ g > 0.8
    assert f @ h < 0.5


# --- memory ---


@pytest.mark.parametrize(("precision", "item"), [(torch.float32, 4), (torch.bfloat16, 2)])
def test_memory_is_counted_layer_by_layer(precision, item):
    """To relu2_1 with an eighth of the channels: 8 and 8 at full size, 16 at half size, by hand."""
    network = VGGFeatures("vgg19", ["relu2_1"], weights=None, precision=precision)
    height, width = 40, 60
    kept = item * (2 * 8 * height * width + 16 * 20 * 30)
    widest = 8 * height * width * max(2 * item, 4)  # two gradients of it, or a float32 copy
    assert network.memory_needed(height, width) == kept + widest
    largest = VGGFeatures("vgg19", ["relu2_1"], weights=None, precision=precision, pooling="max")
    assert largest.memory_needed(height, width) == kept + widest + 8 * 8 * 20 * 30  # and where each maximum was


def test_memory_counts_what_is_recorded(picture):
    for pooling in ("average", "max"):
        network = VGGFeatures("vgg19", ["conv2_1", "relu3_1"], weights=None, pooling=pooling)
        cache = network.forward_with_cache(picture(40, 60, 1))
        held = sum(t.numel() * t.element_size() for t in cache.values())
        widest = max(t.numel() for t in cache.values())
        assert network.memory_needed(40, 60) == held + 8 * widest
