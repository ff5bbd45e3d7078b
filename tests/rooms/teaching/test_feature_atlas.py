"""The atlas of the feature explorer: pictures and values come back as they were stored, and they are the network's."""

from collections import Counter

import pytest
import torch
from torch import nn

from course_lib.images import load_image
from course_lib.networks.layers import receptive_field
from course_lib.pretrained.vgg import VGGFeatures
from course_lib.runtime import seeded_generator
from course_lib.samples import sample_image, sample_path
from course_lib.teaching import feature_atlas, records
from course_lib.teaching.feature_atlas import Config

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


@pytest.fixture(scope="module")
def stored():
    return records.load("atlas_vgg19").values


@pytest.fixture(scope="module")
def vgg():
    return VGGFeatures("vgg19", LAYERS)


def test_a_picture_comes_back_with_its_grays_exactly_and_its_colors_nearly():
    grays = torch.randint(0, 256, (1, 1, 12, 18), generator=seeded_generator(0)).expand(1, 3, 12, 18) / 255
    assert torch.equal(feature_atlas.unpack(feature_atlas.pack(grays)), grays)
    photo = load_image(sample_path("scarlet_macaw"), 96)
    height, width = (side // 2 * 2 for side in photo.shape[-2:])
    back = feature_atlas.unpack(feature_atlas.pack(photo))
    assert back.shape == (1, 3, height, width)
    assert (back - photo[..., :height, :width]).square().mean().sqrt() < 6 / 255
    one_color = torch.tensor([1.0, 0.4, 0.0]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    torch.testing.assert_close(feature_atlas.unpack(feature_atlas.pack(one_color)), one_color, atol=2.01 / 255, rtol=0)


def test_values_come_back_within_the_stated_error():
    values = torch.rand(3, 7, 9, generator=seeded_generator(1)) ** 4 * torch.tensor([0.01, 1.0, 40.0])[:, None, None]
    scales = values.amax((1, 2))
    back = feature_atlas.decode(feature_atlas.encode(values, scales), scales.tolist(), values.shape)
    bound = scales[:, None, None] * ((values / scales[:, None, None]).sqrt() / 255 + 1 / 510**2)
    assert ((back - values).abs() <= bound * 1.001).all()
    assert torch.equal(back.amax((1, 2)), scales)
    silent = torch.zeros(1, 2, 2)
    assert torch.equal(feature_atlas.decode(feature_atlas.encode(silent, torch.zeros(1)), [0.0], (1, 2, 2)), silent)


def test_varied_channels_represent_all_and_repeat_none():
    """Three groups of channels that respond alike, and one channel that never responds."""
    group = torch.tensor([0, 0, 0, 1, 1, 2])
    correlation = torch.zeros(7, 7)
    correlation[:6, :6] = torch.where(group[:, None] == group, 0.9, -0.5)
    correlation[:6, :6].fill_diagonal_(1.0)
    chosen = feature_atlas.varied(correlation, 3)
    assert chosen[0] in (0, 1, 2)  # it represents most
    assert {int(group[k]) for k in chosen} == {0, 1, 2}
    assert 6 not in feature_atlas.varied(correlation, 6)
    with pytest.raises(ValueError, match="count"):
        feature_atlas.varied(correlation, 0)


def test_correlations_are_those_of_the_values():
    seen, maps = feature_atlas._Seen(), [torch.rand(1, 5, 12, 9, generator=seeded_generator(k)) for k in (0, 1)]
    for one in maps:
        seen.add(one, 2)
    values = torch.cat([one[0, :, 1::2, 1::2].flatten(1) for one in maps], 1)
    torch.testing.assert_close(seen.correlation().float(), torch.corrcoef(values))
    ((photo, row, column, value), (other, *_)) = seen.patches(3, 2)
    assert value == max(one[0, 3].max().item() for one in maps) == maps[photo][0, 3, row, column].item()
    assert {photo, other} == {0, 1}  # at most one from a photograph


@pytest.mark.parametrize("layer", LAYERS)
def test_receptive_fields_are_what_autograd_finds(layer):
    """The middle position of a small network, far from the borders: the rows of pixels that it depends on."""
    network = VGGFeatures("vgg19", layer, weights=None, winograd=False).double()
    side, stride = feature_atlas.field_of(network, layer)
    picture = torch.rand(1, 3, 352, 352, dtype=torch.double, generator=seeded_generator(0)).requires_grad_(True)
    k = 176 // stride
    (pull,) = torch.autograd.grad(network(picture)[layer][0, :, k, k].sum(), picture)
    rows = pull.abs().sum((0, 1, 3)).nonzero().flatten().tolist()
    first = k * stride + (stride - side) // 2
    assert rows == list(range(first, first + side))


def test_receptive_fields_are_the_library_s():
    chain = [nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3), nn.AvgPool2d(2), nn.Conv2d(1, 1, 3)]
    network = VGGFeatures("vgg19", ["relu2_1"], weights=None)
    assert feature_atlas.field_of(network, "relu2_1") == receptive_field(nn.Sequential(*chain)) == (10, 2)


def test_an_atlas_of_a_small_network_holds_its_values():
    layers = ("relu1_1", "relu2_1", "relu3_1")
    network = VGGFeatures("vgg19", layers, weights=None, seed=2)
    config = Config(("dahlia", "cat"), size=80, layers=layers, channels=5, patches=2, grid=8)
    atlas = feature_atlas.make(config, ["cat", "dahlia", "owl"], network)
    assert [(one["field"], one["stride"], one["step"]) for one in atlas["layers"]] == [
        (3, 1, 1),
        (10, 2, 4),
        (24, 4, 2),
    ]
    for p, photo in enumerate(atlas["photos"]):
        features = network(feature_atlas.unpack(photo))
        for n, one in enumerate(atlas["layers"]):
            start = one["step"] // 2
            expected = features[one["name"]][0, one["channels"], start :: one["step"], start :: one["step"]]
            found = feature_atlas.values(atlas, p, n)
            if n == 0:
                torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
            else:
                scales = torch.tensor(one["scales"])[:, None, None]
                assert ((found - expected).abs() <= 0.005 * scales).all()
    for photo, row, column, value in (
        patch for one in atlas["layers"][2:] for best in one["patches"] for patch in best
    ):
        f = network(sample_image(atlas["names"][photo], 80))["relu3_1"][0]
        assert any(f[c, row, column].item() == pytest.approx(value, rel=1e-4) for c in atlas["layers"][2]["channels"])


def test_what_cannot_be_an_atlas_is_refused():
    network = VGGFeatures("vgg19", ["relu2_1"], weights=None)
    with pytest.raises(ValueError, match="4 patches come from as many photographs, got 2"):
        feature_atlas.make(Config(), ["cat", "owl", "cat"], network)
    with pytest.raises(ValueError, match="an atlas begins with it; got relu2_1"):
        feature_atlas.make(Config(layers=("relu2_1",), patches=1), ["cat"], network)


def test_the_stored_atlas_is_what_the_network_computes(stored, vgg):
    """All stored values of all photographs, to one part in 255 of √; and every patch that comes from one photograph."""
    assert [len(one["channels"]) for one in stored["layers"]] == [24] * 5
    for p, photo in enumerate(stored["photos"]):
        features = vgg(feature_atlas.unpack(photo))
        for n, one in enumerate(stored["layers"]):
            start = one["step"] // 2
            expected = features[one["name"]][0, one["channels"], start :: one["step"], start :: one["step"]]
            scales = torch.tensor(one["scales"])[:, None, None]
            error = (feature_atlas.values(stored, p, n) - expected).abs()
            assert (error <= (1e-4 if n == 0 else 0.005) * scales).all()
    patches = [patch for one in stored["layers"] for best in one["patches"] for patch in best]
    often = Counter(photo for photo, *_ in patches).most_common(1)[0][0]
    features = vgg(sample_image(stored["names"][often], stored["size"]))
    for one in stored["layers"]:
        for channel, best in zip(one["channels"], one["patches"], strict=True):
            values = [value for *_, value in best]
            assert values == sorted(values, reverse=True)
            for row, column, value in (rest for photo, *rest in best if photo == often):
                peaks = features[one["name"]][0, channel]
                assert peaks[row, column].item() == pytest.approx(value, rel=1e-3)
                assert peaks.max().item() == pytest.approx(value, rel=1e-3)


def test_what_the_questions_of_the_explorer_say_is_so(stored):
    """Channel 31 is positive throughout and leads on white ground; channel 43 adds up to nearly nothing there."""
    channels = stored["layers"][0]["channels"]
    weights = torch.tensor(stored["filters"]["weights"])
    bright, edge = channels.index(31), channels.index(43)
    assert (weights[bright] > 0).all()
    assert (weights[edge].sum((1, 2)).abs() < 0.05 * weights[edge].abs().sum((1, 2))).all()
    macaw = feature_atlas.unpack(stored["photos"][0])[0]
    alike = (torch.nn.functional.unfold(macaw[None], 3).view(3, 9, -1) > 0.97).all(0).all(0)  # white ground
    height, width = macaw.shape[-2:]
    inside = feature_atlas.values(stored, 0, 0)[:, 1:-1, 1:-1].flatten(1)[:, alike]
    assert alike.sum() > 50
    assert height * width > alike.sum()
    assert (inside.argmax(0) == bright).float().mean() > 0.95
    assert inside[edge].max() < 1.0 < 20 < feature_atlas.values(stored, 0, 0)[edge].max()
