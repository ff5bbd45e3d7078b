"""The panel that takes any painting: its networks compute what PyTorch computes, and it says what was left out."""

import json
import re

import book_try_it
import numpy as np
import onnx
import pytest
import torch
import tried_numbers
from onnx.reference import ReferenceEvaluator
from PIL import Image

from book.try_it import any_style, export, onnx_style
from course_lib.networks.adain_decoder import AdaINDecoder
from course_lib.networks.feature_transforms import adain
from course_lib.pretrained import weights
from course_lib.pretrained.vgg import VGGFeatures

# float32 sums in another order, and Winograd's transforms: 1e-5 of the largest feature; a level of 8 bits is 4e-3
ROUNDING = 3e-5


@pytest.fixture(autouse=True)
def narrow_layers_too(monkeypatch):
    monkeypatch.setattr(onnx_style, "FEWEST_CHANNELS", 6)


def evaluated(network, given, bits=8):
    """What ONNX's own reference makes of the exported network."""
    model = onnx.load_from_string(onnx_style.export(network, bits=bits))
    (name,) = (one.name for one in model.graph.input)
    return torch.from_numpy(ReferenceEvaluator(model).run(None, {name: given.numpy()})[0])


def encoder():
    return VGGFeatures("vgg19", ["relu4_1"], pooling="max", padding="reflect", weights=None)


def decoder():
    torch.manual_seed(0)
    return AdaINDecoder(width=0.12, channels=64).eval()


def mirrored(image):
    height, width = image.shape[2:]
    return torch.nn.functional.pad(image, (0, -width % 8, 0, -height % 8), mode="reflect")


@pytest.mark.parametrize("bits", [8, 16, 32])
@pytest.mark.parametrize("size", [(32, 48), (29, 43), (16, 17)])
def test_the_encoder_survives_the_export_at_any_size(bits, size):
    image = torch.rand(1, 3, *size)
    with torch.inference_mode():
        expected = onnx_style.rounded(encoder(), bits=bits)(mirrored(image))["relu4_1"]
    found = evaluated(encoder(), image, bits)
    torch.testing.assert_close(found, expected, rtol=0, atol=ROUNDING * expected.max().item())


def test_a_decoder_of_a_shallower_layer_goes_with_its_encoder():
    """relu3_1 has a position for 4×4 pixels."""
    torch.manual_seed(0)
    network = AdaINDecoder(width=0.12, layer="relu3_1", channels=32).eval()
    part = VGGFeatures("vgg19", ["relu3_1"], pooling="max", padding="reflect", weights=None)
    image = torch.rand(1, 3, 18, 23)
    features = evaluated(part, image, 32)
    assert features.shape == (1, 32, 5, 6)
    with torch.inference_mode():
        expected = network(part(torch.nn.functional.pad(image, (0, 1, 0, 2), mode="reflect"))["relu3_1"])
    torch.testing.assert_close(evaluated(network, features, 32), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", [(2, 2), (3, 5), (4, 8)])
def test_the_decoder_survives_the_export_at_any_size(size):
    features = torch.randn(1, 64, *size)
    with torch.inference_mode():
        expected = onnx_style.rounded(decoder())(features)
    found = evaluated(decoder(), features)
    assert found.shape == (1, 3, 8 * size[0], 8 * size[1])
    torch.testing.assert_close(found, expected, rtol=0, atol=ROUNDING)


def test_one_painting_after_the_other_through_both_files():
    photo, painting = torch.rand(1, 3, 24, 33), torch.rand(1, 3, 40, 19)
    target = adain(evaluated(encoder(), photo), evaluated(encoder(), painting))
    with torch.inference_mode():
        coarse = onnx_style.rounded(encoder())
        expected = adain(*(coarse(mirrored(picture))["relu4_1"] for picture in (photo, painting)))
        expected = onnx_style.rounded(decoder())(expected)
    found = evaluated(decoder(), target)
    assert found.shape == (1, 3, 24, 40)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)


def test_winograd_is_for_layers_of_many_channels(monkeypatch):
    def kinds():
        graph = onnx.load_from_string(onnx_style.export(decoder())).graph
        return [node.op_type for node in graph.node]

    quick = kinds().count("MatMul")
    monkeypatch.setattr(onnx_style, "FEWEST_CHANNELS", 1000)
    assert kinds().count("MatMul") == 0
    assert kinds().count("Conv") == 9
    assert quick == 3 * 8  # all but the last layer, which has three outputs


def test_transformed_filters_do_not_travel():
    """The file has 9 numbers of 8 bits for each filter, where the transformed one has 36 of 32 bits."""
    filters = sum(weight.numel() for weight in decoder().parameters() if weight.ndim == 4)
    matrices = 9 * 4 * (36 * 36 + 36 * 9 + 36 * 16)  # for each layer again
    assert filters < len(onnx_style.export(decoder())) < filters + matrices + 20_000
    model = onnx.load_from_string(onnx_style.export(decoder()))
    constants = {one.name for one in model.graph.initializer}
    for node in model.graph.node:  # a runtime can compute every first factor of the 36 products in advance
        if constants.issuperset(node.input):
            constants.update(node.output)
    products = [node for node in model.graph.node if node.op_type == "MatMul"]
    assert all(node.input[0] in constants for node in products)


# --- the switch
def test_a_published_copy_does_without(monkeypatch):
    monkeypatch.setattr(weights, "at_hand", lambda name: True)
    monkeypatch.delenv(any_style.SWITCH, raising=False)
    assert any_style.left_out() == ""
    monkeypatch.setenv(any_style.SWITCH, "off")
    assert any_style.left_out().startswith("A published copy of this page does without")
    monkeypatch.setattr(any_style, "DECODER", "ours")
    assert any_style.left_out() == "", "what we trained can be published"


def test_networks_that_are_missing_are_named_with_the_command(monkeypatch):
    monkeypatch.setattr(weights, "at_hand", lambda name: name != "adain_decoder")
    monkeypatch.delenv(any_style.SWITCH, raising=False)
    assert "python -m course_lib fetch adain_decoder" in any_style.left_out()


def test_making_a_release_turns_it_off():
    makefile = (export.ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"release: export {any_style.SWITCH} := off" in makefile
    assert "make release" in (export.ROOT / ".github" / "workflows" / "book.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize("left_out", ["", "Left out: why."])
def test_the_panel_says_what_was_left_out(tmp_path, monkeypatch, left_out):
    one = {"name": "a", "label": "The A", "title": "A", "creator": "Ada Bee", "year": "1900", "licence": "CC0-1.0"}
    made = {"painters": [one], "photos": [one], "paintings": [one], "scenes": ["s"], "street painter": "a",
            "runtime": {"version": "1", "bytes": 5, "unpacked": 9, "gpu": 11}, "stable painter": None,
            "models": {"a": 3}, "notes": [],
            "stills": {"castle_wave": ["a", "a"]}, "decoder": "trained by <her>", "any style left out": left_out,
            "any style": None if left_out else {"models": {"any_encoder": 7}},
            "streets": ["street"], "noise": {"numbers": 8, "sides": [4, 4, 8], "from": 8}}  # fmt: skip
    (tmp_path / "pictures").mkdir()
    (tmp_path / "manifest.json").write_text(json.dumps(made))
    stills = ("still_before", "still_castle_wave", "still_street", "still_dusk", "still_noise_first")
    for name in ("a", "a_small", "s", "street_clear", *stills):
        Image.new("RGB", (6, 4)).save(tmp_path / "pictures" / f"{name}.webp")
    monkeypatch.setattr(book_try_it, "MADE", tmp_path)
    text = book_try_it.panel("any")
    assert left_out in text
    assert "$" not in text
    assert "trained by &lt;her&gt;" in text
    assert ("data-sizes" in text) == ('data-gpu="11"' in text) == (not left_out)
    assert ("The A, in the style of The A" in text) == bool(left_out)
    assert ("any_encoder" in book_try_it.panel("paint")) == (not left_out), "one engine fetches for all panels"
    assert "data-sizes" in book_try_it.panel("paint")


def test_the_stored_run_is_of_these_networks_and_has_the_pictures():
    values = tried_numbers.record()["values"]
    for name, network in any_style.networks().items():
        assert values["any bytes"][name.removeprefix("any_")]["8"] == len(onnx_style.export(network))
    assert sum(sizes["8"] for sizes in values["any bytes"].values()) < 8e6
    assert values["dB"]["any 8"] > values["dB"]["any 6"] > 20
    for name in any_style.STILLS:
        with Image.open(export.STILLS / f"{name}.webp") as picture:
            assert max(picture.size) == export.STILL
    assert np.all(np.array([*values["any ms"].values()]) > 0)


def test_every_picture_of_the_panel_has_a_place_in_it():
    """A still shows what a visitor can choose."""
    for photo, *paintings in any_style.STILLS.values():
        assert photo in export.PHOTOS
        assert {*paintings} <= {*any_style.PAINTINGS}
    script = (export.ROOT / "book" / "try_it" / "_static" / "try_it" / "any.js").read_text(encoding="utf-8")
    assert re.search(rf"LARGEST = {any_style.SIDE};", script)
