"""The page that paints in the browser: its networks are ours, its files are made whole, and it says what is missing."""

import json
import re
from pathlib import Path

import book_try_it
import numpy as np
import onnx
import pytest
import torch
import tried_numbers
from onnx.reference import ReferenceEvaluator
from PIL import Image

from benchmarks import try_it as measure
from book.try_it import export, onnx_graph
from course_lib.methods import cyclegan, johnson, pix2pix
from course_lib.networks.resnet_generator import ResnetGenerator
from course_lib.networks.transformer_net import TransformerNet
from course_lib.networks.unet import UNet
from scripts import packages

ROOT = Path(__file__).resolve().parents[2]

# float32 sums in another order: some hundred products of numbers around 1, 1e-7 each; a level of 8 bits is 4e-3
ROUNDING = 2e-5


def evaluated(network, image, bits=8):
    """What ONNX's own reference makes of the exported network."""
    session = ReferenceEvaluator(onnx.load_from_string(onnx_graph.export(network, bits=bits)))
    return torch.from_numpy(session.run(None, {"image": image.numpy()})[0])


def painter(**settings):
    torch.manual_seed(0)
    return TransformerNet(**{"width": 0.2, "num_blocks": 1, **settings}).eval()


@pytest.mark.parametrize("bits", onnx_graph.BITS)
@pytest.mark.parametrize("size", [(32, 32), (37, 50), (8, 11), (23, 20)])
def test_a_painter_survives_the_export_at_any_size(bits, size):
    network, image = painter(), torch.rand(1, 3, *size)
    with torch.no_grad():
        expected = onnx_graph.rounded(network, bits=bits)(image)
    torch.testing.assert_close(evaluated(network, image, bits), expected, rtol=0, atol=ROUNDING)


def test_transposed_convolutions_too():
    network, image = painter(upsampling="transposed"), torch.rand(1, 3, 21, 34)
    with torch.no_grad():
        expected = onnx_graph.rounded(network)(image)
    torch.testing.assert_close(evaluated(network, image), expected, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("skips", [True, False])
def test_a_translator_survives_the_export(skips):
    torch.manual_seed(0)
    network = UNet(depth=4, width=0.1, norm="instance", skips=skips)
    for image in (torch.rand(1, 3, 32, 32), torch.rand(1, 3, 16, 48)):
        with torch.no_grad():
            expected = onnx_graph.rounded(network)(image)
        torch.testing.assert_close(evaluated(network, image), expected, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("settings", [{"upsampling": "resize"}, {"upsampling": "transposed"}, {"norm": "instance"}])
@pytest.mark.parametrize("size", [(32, 32), (37, 50), (8, 11)])
def test_a_generator_without_pairs_survives_the_export_at_any_size(settings, size):
    torch.manual_seed(0)
    network, image = ResnetGenerator(2, width=0.1, **settings).eval(), torch.rand(1, 3, *size)
    with torch.no_grad():
        expected = onnx_graph.rounded(network)(image)
    torch.testing.assert_close(evaluated(network, image), expected, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("direction", cyclegan.DIRECTIONS)
def test_the_shipped_generators_are_small_and_translate_the_same(direction):
    network, image = cyclegan.load(export.TRANSLATOR).network[direction].eval(), torch.rand(1, 3, 37, 50)
    with torch.no_grad():
        exact, coarse = network(image), onnx_graph.rounded(network)(image)
    assert len(onnx_graph.export(network)) < 1_200_000
    torch.testing.assert_close(evaluated(network, image), coarse, rtol=0, atol=ROUNDING)
    assert 0 < (coarse - exact).square().mean().sqrt() < 1.5 / 255


def test_the_shipped_painter_is_small_and_paints_the_same():
    network, image = johnson.load("great_wave").network, torch.rand(1, 3, 45, 62)
    with torch.no_grad():
        exact, coarse = network(image), onnx_graph.rounded(network)(image)
    assert len(onnx_graph.export(network)) < 500_000
    torch.testing.assert_close(evaluated(network, image), coarse, rtol=0, atol=ROUNDING)
    assert 0 < (coarse - exact).square().mean().sqrt() < 1.5 / 255  # eight bits are not nothing, and not to be seen


def test_statistics_are_the_pictures_own():
    """The picture's mean and contrast change nothing after a normalization that computes its own."""
    network, image = painter(), 0.25 + 0.5 * torch.rand(1, 3, 24, 24)
    brighter = evaluated(network, image + 0.2)
    assert (brighter - evaluated(network, image)).abs().max() < 1e-4


def test_weights_are_off_by_half_a_step_at_most():
    network = painter()
    for bits in (8, 4):
        coarse = onnx_graph.rounded(network, bits=bits)
        for exact, found in zip(network.parameters(), coarse.parameters(), strict=True):
            if exact.ndim == 4 and 3 not in exact.shape[:2]:
                step = exact.abs().amax((1, 2, 3), keepdim=True) / (2 ** (bits - 1) - 1)
                assert ((found - exact).abs() <= 0.5001 * step).all()
                levels = (found / step).round().int()
                assert levels.abs().max() == 2 ** (bits - 1) - 1
            elif exact.ndim < 4:
                assert torch.equal(exact, found)


def test_dropout_is_off_in_the_file():
    network = UNet(depth=4, width=0.1, norm="instance", dropout=(1, 2)).train()
    kinds = [node.op_type for node in onnx.load_from_string(onnx_graph.export(network)).graph.node]
    assert "Dropout" not in kinds
    assert kinds.count("ConvTranspose") == 4


def test_what_cannot_be_exported_is_refused():
    with pytest.raises(TypeError, match=r"no ONNX here for a BatchNorm2d; there is for .*InstanceNorm"):
        onnx_graph.export(painter(norm="batch"))
    with pytest.raises(ValueError, match="8, 16, 32 bits, got 7"):
        onnx_graph.export(painter(), bits=7)


def test_decibels_are_what_they_are_called():
    assert measure.psnr(torch.zeros(3), torch.full((3,), 0.1)) == pytest.approx(20)
    assert measure.psnr(torch.zeros(2), torch.tensor([0.0, 0.01])) == pytest.approx(40 + 10 * np.log10(2))
    frame = measure.inner(torch.zeros(1, 3, 100, 60))
    assert frame.sum() == 100 * 60 - (100 - 32) * (60 - 32)
    assert frame[..., 15, 30]
    assert not frame[..., 16, 30]


# --- the folder of the page
def test_without_npm_there_is_a_page_that_says_so(tmp_path, monkeypatch):
    def missing():
        raise packages.PackagesError("npm was not found: install it.")

    monkeypatch.setattr(packages, "install", missing)
    monkeypatch.setattr(export, "_write", lambda folder, parts: (folder / "made").write_text(str(parts.runtime)))
    (note,) = export.prepare(tmp_path / "made_here")
    assert "left out of this copy: npm was not found" in note
    assert (tmp_path / "made_here" / "made").read_text() == "None"


def test_the_page_says_why_without_npm_s_own_words(monkeypatch):
    """They name files of the machine that built the book."""

    def failed():
        raise packages.PackagesError("npm ci could not install (is there a network?):\nA log is in /home/ada/.npm/log")

    monkeypatch.setattr(packages, "install", failed)
    (note,) = export.find_runtime().notes
    assert note.endswith("npm ci could not install (is there a network?)")


def test_nothing_is_made_twice_and_nothing_half(tmp_path, monkeypatch):
    calls = []

    def write(folder, parts):
        (folder / "file").write_text("first" if not calls else "second")
        calls.append(folder)
        if len(calls) > 1:
            raise RuntimeError("the disk is full")

    monkeypatch.setattr(export, "_write", write)
    monkeypatch.setattr(export, "find_runtime", lambda: export.Parts(None, ("no program",)))
    folder = tmp_path / "made_here"
    assert export.prepare(folder) == export.prepare(folder) == ("no program",)
    assert len(calls) == 1
    monkeypatch.setattr(export, "_key", lambda parts: "another")
    with pytest.raises(RuntimeError, match="full"):
        export.prepare(folder)
    assert (folder / "file").read_text() == "first"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made_here"]


@pytest.mark.parametrize("runtime", [None, {"version": "1", "bytes": 5, "unpacked": 9, "gpu": 11}])
def test_the_panels_say_what_is_missing(tmp_path, monkeypatch, runtime):
    one = {"name": "a", "label": "The A", "title": "A <b>", "creator": "Ada Bee", "year": "1900", "licence": "CC0-1.0"}
    made = {"painters": [one], "photos": [one], "scenes": ["s"], "street painter": "a", "stable painter": "a",
            "runtime": runtime,
            "models": {"a": 3}, "notes": ["Left out: why."], "paintings": [one], "stills": {}, "decoder": "",
            "any style": None, "any style left out": "", "streets": ["street"],
            "noise": {"numbers": 8, "sides": [4, 8, 8, 16, 16, 16], "from": 16}}  # fmt: skip
    (tmp_path / "pictures").mkdir()
    (tmp_path / "manifest.json").write_text(json.dumps(made))
    stills = (
        "still_before",
        "still_after",
        "still_street",
        "still_painting",
        "still_dusk",
        "still_noise_first",
        "still_stable",
    )
    for name in ("a", "a_small", "s", "street_clear", *stills):
        Image.new("RGB", (6, 4)).save(tmp_path / "pictures" / f"{name}.webp")
    monkeypatch.setattr(book_try_it, "MADE", tmp_path)
    for which in ("paint", "camera", "draw", "dusk", "noise"):
        text = book_try_it.panel(which)
        assert ("Left out: why." in text) == (runtime is None)
        assert ("data-sizes" in text) == (runtime is not None)
        assert "A <b>" not in text
        assert "$" not in text


def test_every_number_of_the_page_is_measured():
    """The page asks for no number that the stored run does not have, and types none itself."""
    text = (ROOT / "book" / "try_it" / "index.md").read_text(encoding="utf-8")
    asked = {" ".join(name.split()) for name in re.findall(r"\{tried\}`([^`]+)`", text)}
    assert asked
    assert asked <= set(tried_numbers.facts())


def test_numbers_agree_with_the_networks_of_today():
    """The stored run is of the networks that are shipped: their sizes as ONNX."""
    values = tried_numbers.record()["values"]
    assert values["runtime"] == export.locked_version()
    for name, model in (("painter", johnson.load("great_wave")), ("sketcher", pix2pix.load("facade_sketch"))):
        assert values[f"{name} bytes"]["8"] == len(onnx_graph.export(model.network))
    assert np.all(np.array([*values["ms"].values()]) > 0)
    dusk = tried_numbers.record(tried_numbers.DUSK)["values"]
    assert dusk["runtime"] == export.locked_version()
    for name in export.TRANSLATORS:
        assert dusk["bytes"]["8"] == len(onnx_graph.export(export.network(name)))
    assert min(dusk["dB"][f"{way} 8"] for way in cyclegan.DIRECTIONS) > 50, "as little as a file of 8 bits a color"
    assert dusk["levels between page and PyTorch"] < 0.5


def test_borders_of_zeros_change_the_border_and_nothing_far_from_it():
    image = torch.rand(1, 3, 96, 96)
    network = painter()
    with torch.no_grad():
        change = (measure.with_borders_of_zeros(network)(image) - network(image)).abs().mean(1)[0]
    assert change[:8].mean() > 3 * change[40:56, 40:56].mean()
    assert change[:8].mean() > 1e-3
