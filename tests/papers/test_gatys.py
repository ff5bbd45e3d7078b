"""Gatys, Ecker & Bethge 2016: configuration, objective, run and invalid input.

Most tests use a small random network, the last ones the real one.
"""

import dataclasses
import math
import warnings
from contextlib import nullcontext
from functools import partial
from itertools import pairwise

import pytest
import torch

from course_lib import VGGFeatures, losses, runtime, sample_image
from course_lib.images import resize
from course_lib.losses.balance import layer_weights
from course_lib.losses.perceptual import PerceptualLoss
from course_lib.methods import gatys
from course_lib.methods.gatys import Config, dissect, stylize
from course_lib.optimize.lbfgs import LBFGS
from course_lib.optimize.objective import Objective
from course_lib.painting import terms
from course_lib.pretrained.vgg import STYLE_LAYERS, cached_network

small = partial(Config, weights=None, precision="float32", device="cpu", num_steps=8)


@pytest.fixture
def content(picture):
    return picture(40, 32, 1)


@pytest.fixture
def style(picture):
    return 1 - picture(32, 40, 2).flip(1)


def start_of(content, style, **settings):
    """The first picture, after one step of negligible length."""
    config = small(num_steps=1, optimizer="adam", learning_rate=1e-9, **settings)
    return stylize(content, style, config).image


def first(content, style, **settings):
    """The terms of the loss at the start."""
    history = stylize(content, style, small(num_steps=1, **settings)).history
    return {name: values[0] for name, values in history.items() if name != "seconds"}


@pytest.fixture
def evaluated(monkeypatch):
    """Every picture at which the loss was evaluated, without clamping."""
    pictures = []
    original = Objective.with_gradient

    def with_gradient(self, image):
        pictures.append(image.clone())
        return original(self, image)

    monkeypatch.setattr(Objective, "with_gradient", with_gradient)
    return pictures


# --- the paper's configuration ---


def test_the_defaults_are_the_papers():
    paper = {
        "content_layers": ("relu4_2",),  # "conv4_2": the papers mean the rectified output
        "style_layers": ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
        "scales": None,
        "arch": "vgg19",
        "weights": "default",  # normalized
        "pooling": "average",
        "start": "noise",
        "optimizer": "lbfgs",
        "tv_weight": 0.0,  # no image prior
        "style_scale": 1.0,  # the style image at the content's size
        "project": True,
        "precondition": 0.0,  # plain L-BFGS
        "num_steps": 500,  # Wang 2019: satisfactory within 500
        "noise_ratio": 0.7,  # the ANU report
        "learning_rate": 2 / 255,  # Premamayudu et al.: 2.0 in 0–255
    }
    config = Config()
    assert {name: getattr(config, name) for name in paper} == paper
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.num_steps = 3


def loss_network(content, style, config):
    return gatys.objective(content, style, config).parts[0].network


def test_the_network_is_built_as_configured(content, style):
    for pooling in ("average", "max"):
        network = loss_network(content, style, small(pooling=pooling, arch="vgg16"))
        assert network.pooling == pooling
        assert network.arch == "vgg16"
    # the network ends at the deepest layer in use
    assert loss_network(content, None, small()).layers == ("relu4_2",)
    assert loss_network(None, style, small()).layers[-1] == "relu5_1"


def test_quick_differs_in_start_and_steps():
    quick = dataclasses.asdict(Config.quick())
    assert {n: v for n, v in quick.items() if v != getattr(Config(), n)} == {"num_steps": 100, "start": "content"}


def test_fast_has_the_papers_objective():
    """Only the way to its minimum differs."""
    fast = dataclasses.asdict(Config.fast())
    changed = {name for name, value in fast.items() if value != getattr(Config(), name)}
    assert changed == {"precondition", "curvature", "num_steps", "scales"}


# --- the objective ---


def test_every_term_by_the_papers_equations(content, style):
    """Eqs. 1, 4, 5 and 7, written out with loops over layers, on size-independent terms."""
    settings = {"content_weight": 3.0, "style_weight": 50.0, "tv_weight": 7.0, "start": "style"}
    settings["style_layer_weights"] = "equal"
    terms = first(content, style, **settings)
    config = small()
    network = VGGFeatures("vgg19", (*config.style_layers, *config.content_layers), weights=None)
    x = resize(style, (40, 32))
    f, p, s = network(x), network(content), network(resize(style, 40))
    expected = {"content/relu4_2": 3.0 * 0.5 * (f["relu4_2"] - p["relu4_2"]).square().mean().item()}
    for layer in config.style_layers:
        g, a = (torch.einsum("nihw,njhw->ij", t[layer], t[layer]) / t[layer][0, 0].numel() for t in (f, s))
        expected[f"style/{layer}"] = 50.0 / 5 * (g - a).square().mean().item() / 4
    across, down = x.diff(dim=3), x.diff(dim=2)
    expected["tv"] = 7.0 * (across.square().mean() + down.square().mean()).item()
    assert list(terms) == ["total", *expected]
    assert terms["total"] == pytest.approx(sum(expected.values()), rel=1e-4)
    for name, value in expected.items():
        assert terms[name] == pytest.approx(value, rel=1e-4), name
    assert all(value > 0 for value in expected.values())


def test_the_gradient_is_that_of_the_total(content, style):
    objective = gatys.objective(content, style, small(tv_weight=1.0))
    x = torch.rand(content.shape, generator=torch.Generator().manual_seed(0))
    terms, gradient = objective.with_gradient(x)
    direction = (
        gradient / gradient.square().mean().sqrt()
    )  # along the gradient, where a central difference is least noisy
    assert objective.names == ("content/relu4_2", *(f"style/{layer}" for layer in Config().style_layers), "tv")
    assert terms.shape == (7,)
    above, below = (objective.with_gradient(x + h * direction)[0].sum().item() for h in (5e-4, -5e-4))
    assert (above - below) / 1e-3 == pytest.approx((gradient * direction).sum().item(), rel=0.02)
    assert gradient.shape == x.shape
    assert gradient.dtype == torch.float32


def test_terms_do_not_grow_with_the_picture(picture):
    """The default weights must mean the same at 64 and at 128 px.

    As printed, Eq. 1 would grow fourfold, and with Gram matrices not divided by M the style term sixteenfold.
    """
    for start in ("noise", "content", "style"):
        at = {}
        for side in (64, 128):
            terms = first(picture(side, side, 1), 1 - picture(side, side, 2), start=start)
            at[side] = {
                "content": terms["content/relu4_2"],
                "style": sum(value for name, value in terms.items() if name.startswith("style/")),
            }
        for kind in ("content", "style"):
            if start != kind:
                assert 0.5 < at[128][kind] / at[64][kind] < 2, (start, kind)


def test_layer_weights_are_scaled_to_sum_to_one(content, style):
    equal = first(content, style, style_layer_weights="equal")
    weights = (3.0, 1.0, 0.0, 0.0, 0.0)
    weighted = first(content, style, style_layer_weights=weights)
    for layer, weight in zip(Config().style_layers, weights, strict=True):
        assert weighted[f"style/{layer}"] == pytest.approx(equal[f"style/{layer}"] * 5 * weight / 4, rel=1e-4)
    assert weighted["content/relu4_2"] == pytest.approx(equal["content/relu4_2"], rel=1e-4)


def test_the_default_balance_is_that_of_the_network(content, style):
    equal = first(content, style, style_layer_weights="equal")
    shares = layer_weights("balanced", STYLE_LAYERS, weights=None)
    balanced = first(content, style)
    for layer, share in zip(STYLE_LAYERS, shares, strict=True):
        expected = equal[f"style/{layer}"] * 5 * share / sum(shares)
        assert balanced[f"style/{layer}"] == pytest.approx(expected, rel=1e-4)


def test_several_content_layers_share_the_weight(content):
    one = [first(content, None, content_layers=(layer,))["total"] for layer in ("relu2_1", "relu3_1")]
    both = first(content, None, content_layers=("relu2_1", "relu3_1"))
    assert both["total"] == pytest.approx(sum(one) / 2, rel=1e-4)


# --- the run ---


def test_from_coarse_to_fine_is_a_chain_of_runs(picture):
    """Each size starts from the enlarged result of the one before, which had smaller images and twice the steps."""
    content, style = picture(96, 64, 1), 1 - picture(64, 96, 2).flip(1)
    seen = []
    done = stylize(content, style, small(start="content", scales=(48, 200)), callback=seen.append)
    coarse = stylize(resize(content, 48), style, small(start="content", num_steps=16))
    fine = stylize(content, style, small(), initial=resize(coarse.image, (96, 64)))
    torch.testing.assert_close(done.image, fine.image)
    assert done.history["total"] == pytest.approx(coarse.history["total"] + fine.history["total"], rel=1e-5)
    assert done.history["scale"] == [48] * 16 + [96] * 8
    assert done.history["seconds"] == sorted(done.history["seconds"])
    assert [(p.step, p.num_steps) for p in seen] == [(k, 24) for k in range(1, 25)]
    assert {p.image().shape for p in seen} == {content.shape}


def test_from_coarse_to_fine_reaches_a_lower_loss_in_less_work(picture):
    content, style = picture(128, 128, 1), 1 - picture(128, 128, 2).flip(1)
    one = stylize(content, style, small(num_steps=20)).history["total"][-1]  # 20 steps of 128²
    two = stylize(content, style, small(num_steps=13, scales=(64,))).history["total"][-1]  # 19.5 such steps
    assert two < one


def test_an_initial_picture_is_reduced_for_the_first_size(content, style):
    config = small(scales=(20,), num_steps=1, optimizer="adam", learning_rate=1e-9)
    result = stylize(content, style, config, initial=1 - content)
    torch.testing.assert_close(result.image, resize(resize(1 - content, 20), (40, 32)), atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="must have the size of the content image"):
        stylize(content, style, config, initial=resize(content, 20))


def test_a_texture_grows_through_the_scales_too(picture):
    style = picture(48, 64, 2)
    texture = stylize(None, style, small(scales=(32,)))
    assert texture.image.shape == style.shape
    assert texture.history["scale"] == [32] * 16 + [64] * 8
    larger = stylize(None, style, small(scales=(48,)), initial=torch.rand(1, 3, 96, 128))
    assert larger.image.shape == (1, 3, 96, 128)


def test_a_scale_at_which_an_image_would_be_too_small_is_left_out(picture):
    """relu5_1 needs 16 px: a long and narrow painting has them only at twice the side."""
    content, narrow = picture(96, 96, 1), picture(24, 96, 2)
    scales_of = lambda *images, **more: set(stylize(*images, small(scales=(32, 63), **more)).history["scale"])  # noqa: E731
    assert scales_of(content, narrow) == {96}
    assert scales_of(content, narrow, style_scale=2.0) == {32, 63, 96}
    assert scales_of(None, narrow) == {96}
    assert scales_of(None, picture(32, 96, 2)) == {63, 96}


def test_a_broken_coarse_run_returns_a_picture_of_the_full_size(content, style, monkeypatch):
    original = Objective.with_gradient

    def broken(self, image):
        terms, gradient = original(self, image)
        return terms, gradient * math.nan

    monkeypatch.setattr(Objective, "with_gradient", broken)
    with pytest.warns(RuntimeWarning, match="not finite at step 1"):
        result = stylize(content, style, small(scales=(20,)))
    assert result.image.shape == content.shape
    assert result.stopped


def test_the_loss_falls_and_the_history_adds_up(content, style):
    result = stylize(content, style, small(num_steps=25, tv_weight=1.0))
    history = result.history
    layers = {f"style/{layer}" for layer in Config().style_layers}
    assert set(history) == {"total", "seconds", "content/relu4_2", "tv", *layers}
    assert {len(values) for values in history.values()} == {25}
    assert history["total"][-1] < 0.2 * history["total"][0]
    for step, total in enumerate(history["total"]):
        parts = (values[step] for name, values in history.items() if name not in ("total", "seconds"))
        assert sum(parts) == pytest.approx(total, rel=1e-9)
    assert history["seconds"] == sorted(history["seconds"])
    assert (result.stopped, result.advice) == (None, None)
    assert result.extra["device"] == "cpu"
    assert result.extra["precision"] == "float32"
    assert result.extra["weights"] == "random, seed 0"
    assert result.image.shape == content.shape
    assert result.image.dtype == torch.float32
    assert result.image.min() >= 0
    assert result.image.max() <= 1


@pytest.mark.parametrize("start", ["noise", "content", "style", "mixed"])
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_the_loss_falls_from_every_start_with_both_optimizers(content, style, start, optimizer):
    result = stylize(content, style, small(start=start, optimizer=optimizer, num_steps=25))
    assert result.history["total"][-1] < 0.8 * result.history["total"][0]


def test_half_precision_convolutions_give_nearly_the_same_picture(content, style):
    exact, half = (stylize(content, style, small(precision=p, num_steps=15)) for p in ("float32", "bfloat16"))
    assert half.extra["precision"] == "bfloat16"
    assert half.image.dtype == torch.float32
    assert half.history["total"][0] == pytest.approx(exact.history["total"][0], rel=0.03)
    assert half.history["total"][-1] < 1.5 * exact.history["total"][-1]


def test_the_first_pictures(content, style):
    noise = start_of(content, style)
    for width in (0.0, 0.2, 1.0):
        white = start_of(content, style, noise_width=width)
        assert white.mean() == pytest.approx(0.5, abs=0.02)
        assert white.std() == pytest.approx(width / math.sqrt(12), abs=0.005)  # uniform
        assert (white - 0.5).abs().max() == pytest.approx(width / 2, abs=0.005)
    torch.testing.assert_close(start_of(content, style, start="content"), content)
    torch.testing.assert_close(start_of(content, style, start="style"), resize(style, (40, 32)))
    for ratio in (0.0, 0.3, 0.7, 1.0):
        mixed = start_of(content, style, start="mixed", noise_ratio=ratio)
        torch.testing.assert_close(mixed, ratio * noise + (1 - ratio) * content)


def test_equal_seeds_agree_and_others_differ(content, style):
    images = [stylize(content, style, small(seed=seed)).image for seed in (1, 1, 2)]
    assert torch.equal(images[0], images[1])
    assert not torch.allclose(images[0], images[2], atol=0.05)
    before = torch.get_rng_state()
    stylize(content, style, small(num_steps=1))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_inputs_are_not_changed(content, style):
    copies = content.clone(), style.clone()
    for start in ("content", "style"):
        stylize(content, style, small(start=start, project=True))
    stylize(content, style, small(), initial=content)
    assert torch.equal(content, copies[0])
    assert torch.equal(style, copies[1])


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("initial", [False, True])
@pytest.mark.parametrize("switched_off", [nullcontext, torch.no_grad, torch.inference_mode])
def test_gradients_of_the_caller_neither_matter_nor_arise(content, style, switched_off, initial, optimizer):
    """Inside no_grad or inference mode, with pictures made there or that require gradients: the same picture."""
    config = small(num_steps=3, optimizer=optimizer, tv_weight=1.0)
    expected = gatys.stylize(content, style, config, initial=content if initial else None).image
    cached_network.cache_clear()
    with switched_off(), warnings.catch_warnings():
        warnings.simplefilter("error")
        inputs = [image.clone().requires_grad_(switched_off is nullcontext) for image in (content, style)]
        result = gatys.stylize(*inputs, config, initial=inputs[0] if initial else None)
        assert list(gatys.dissect(inputs[0], *inputs, config)) == [name for name in result.history if "/" in name] + [
            "tv"
        ]
    assert not result.image.requires_grad
    assert all(image.grad is None for image in inputs)
    assert torch.equal(result.image, expected)
    again = gatys.stylize(content, style, config, initial=content if initial else None).image
    assert torch.equal(again, expected)  # what was cached inside is of use outside


def test_an_initial_image_replaces_the_start(content, style, picture):
    mine = picture(40, 32, 7)
    config = small(num_steps=1, optimizer="adam", learning_rate=1e-9)
    torch.testing.assert_close(stylize(content, style, config, initial=mine).image, mine)
    wide = picture(20, 64, 7)  # for a texture, it also sets the size
    assert stylize(None, style, small(num_steps=2), initial=wide).image.shape == wide.shape
    with pytest.raises(ValueError, match=r"size of the content image, got \(1, 3, 20, 64\) and \(1, 3, 40, 32\)"):
        stylize(content, style, small(), initial=wide)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_projection_keeps_every_picture_in_range(content, style, evaluated, optimizer):
    settings = {"optimizer": optimizer, "num_steps": 10, "learning_rate": 0.1}
    stylize(content, style, small(project=True, **settings))
    assert all(image.min() >= 0 and image.max() <= 1 for image in evaluated)
    evaluated.clear()
    stylize(content, style, small(project=False, **settings))
    assert any(image.min() < 0 or image.max() > 1 for image in evaluated)  # without projection they leave the range


def test_the_callback_gets_every_step(content, style):
    steps, pictures, seen = [], [], []

    def watch(progress):
        steps.append(progress.step)
        pictures.append(progress.image())
        seen.append(progress.losses["total"])
        assert progress.num_steps == 6

    result = stylize(content, style, small(num_steps=6), callback=watch)
    assert steps == [1, 2, 3, 4, 5, 6]
    assert seen == result.history["total"]
    assert all(image.min() >= 0 and image.max() <= 1 for image in pictures)
    assert torch.equal(pictures[-1], result.image)
    assert all(not torch.equal(a, b) for a, b in pairwise(pictures))  # copies, not one tensor that changes


def test_an_exception_of_the_callback_is_passed_on(content, style):
    def stop(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stylize(content, style, small(), callback=stop)


def test_a_tv_weight_makes_the_picture_smoother(content, style):
    rough, smooth = (stylize(content, style, small(num_steps=30, tv_weight=w)).image for w in (0.0, 1000.0))
    assert losses.total_variation_loss(smooth) < 0.5 * losses.total_variation_loss(rough)


def test_a_larger_style_weight_brings_the_picture_closer_to_the_style(content, style):
    def distance(image):
        network = VGGFeatures("vgg19", ["relu3_1"], weights=None)
        grams = [losses.gram_matrix(network(x)["relu3_1"], mean=True) for x in (image, resize(style, 40))]
        return (grams[0] - grams[1]).norm().item()

    little, much = (
        stylize(content, style, small(num_steps=30, start="content", style_weight=w)).image for w in (0.01, 1e4)
    )
    assert distance(much) < 0.5 * distance(little)
    assert (little - content).abs().mean() < (much - content).abs().mean()


# --- style images ---


def test_the_style_image_is_resized_to_the_contents_size_times_the_scale(content, style, monkeypatch):
    sizes = []

    def recorded(image, size, **options):
        sizes.append(size)
        return resize(image, size, **options)

    monkeypatch.setattr(terms, "resize", recorded)
    plain = first(content, style)
    coarse = first(content, style, style_scale=0.5)
    assert sizes == [40, 20]
    assert plain["style/relu2_1"] != pytest.approx(coarse["style/relu2_1"], rel=1e-3)


def test_a_style_of_another_size_and_shape(content, picture):
    for height, width in ((16, 16), (90, 200), (200, 90)):
        result = stylize(content, picture(height, width, 3), small(num_steps=3))
        assert result.image.shape == content.shape
    # the same painting at twice the size is the same style
    large = picture(128, 128, 3)
    terms = [first(content, image) for image in (large, resize(large, 64))]
    assert terms[0]["total"] == pytest.approx(terms[1]["total"], rel=0.05)


def test_several_styles_with_weights(content, style, picture):
    other = picture(40, 40, 9)
    alone, second = (first(content, [image]) for image in (style, other))
    assert first(content, style) == alone  # a list of one image gives the same
    both = {w: first(content, [style, other], style_blend=w) for w in ((1.0, 0.0), (0.0, 5.0), (1.0, 1.0))}
    assert both[1.0, 0.0]["total"] == pytest.approx(alone["total"], rel=1e-5)
    assert both[0.0, 5.0]["total"] == pytest.approx(second["total"], rel=1e-5)
    assert first(content, [style, other])["total"] == pytest.approx(both[1.0, 1.0]["total"], rel=1e-5)
    assert both[1.0, 1.0]["total"] not in (alone["total"], second["total"])


# --- the special cases ---


def test_reconstruction_from_a_low_layer_returns_the_picture(content):
    result = stylize(content, None, small(content_layers=("relu1_1",), num_steps=150))
    assert set(result.history) == {"total", "seconds", "content/relu1_1"}
    error = (result.image - content).abs().mean()
    assert error < 0.1 * (start_of(content, None) - content).abs().mean()


def test_texture_synthesis_has_the_styles_size_and_statistics(style):
    result = stylize(None, style, small(num_steps=60))
    assert result.image.shape == style.shape
    assert set(result.history) == {"total", "seconds", *(f"style/{layer}" for layer in Config().style_layers)}
    assert result.history["total"][-1] < 0.02 * result.history["total"][0]


def test_a_weight_of_zero_removes_its_terms(content, style):
    only_style = stylize(content, style, small(content_weight=0.0, num_steps=2))
    assert not any(name.startswith("content") for name in only_style.history)
    assert only_style.image.shape == content.shape
    only_content = stylize(content, style, small(style_weight=0.0, num_steps=2))
    assert not any(name.startswith("style") for name in only_content.history)


# --- values that are not finite ---


def test_a_weight_beyond_float32_stops_at_once_and_is_named(content, style):
    with pytest.warns(RuntimeWarning, match=r"style/relu1_1 was not finite at step 1.*smaller weight on that term"):
        result = stylize(content, style, small(style_weight=1e42, start="content"))
    assert "style/relu1_1" in result.stopped
    torch.testing.assert_close(result.image, content)  # the start, which is finite
    assert result.history.get("total", []) == []


def test_a_term_that_becomes_nan_returns_the_last_finite_picture(content, style, monkeypatch):
    pictures = []
    stylize(content, style, small(num_steps=3), callback=lambda progress: pictures.append(progress.image()))
    original, calls = losses.content_loss, []

    def breaks_at_the_fourth(*arguments):
        calls.append(1)
        return original(*arguments) * (math.nan if len(calls) == 4 else 1)

    monkeypatch.setattr("course_lib.losses.perceptual.content_loss", breaks_at_the_fourth)
    with pytest.warns(RuntimeWarning, match="content/relu4_2 was not finite at step 4"):
        result = stylize(content, style, small(num_steps=10))
    assert len(calls) == len(result.history["total"]) + 1 == 4
    assert torch.equal(result.image, pictures[1])  # the third evaluation was the last finite one
    assert all(math.isfinite(value) for values in result.history.values() for value in values)


def test_the_same_if_the_host_reads_losses_only_every_tenth_step(content, style, monkeypatch):
    """On an accelerator, the run has already passed the broken step when the host notices it."""
    pictures = []
    monkeypatch.setattr(runtime, "steps_between_looks", lambda device: 10)
    whole = stylize(content, style, small(num_steps=25), callback=lambda progress: pictures.append(progress.image()))
    assert len(whole.history["seconds"]) == len(whole.history["total"]) == 25
    assert whole.history["seconds"] == sorted(whole.history["seconds"])
    original, calls = losses.content_loss, []

    def breaks_at_the_fourteenth(*arguments):
        calls.append(1)
        return original(*arguments) * (math.nan if len(calls) >= 14 else 1)

    monkeypatch.setattr("course_lib.losses.perceptual.content_loss", breaks_at_the_fourteenth)
    with pytest.warns(RuntimeWarning, match="content/relu4_2 was not finite at step 14"):
        result = stylize(content, style, small(num_steps=25))
    assert len(calls) == 20
    assert len(result.history["total"]) == len(result.history["seconds"]) == 13
    assert torch.equal(result.image, pictures[11])
    assert result.history["total"] == whole.history["total"][:13]


def test_a_step_does_not_wait_for_the_device(content, style, host_reads):
    """Reading a number from the device would make the host wait at every step."""
    config = small(precondition=0.4, tv_weight=1.0)
    objective, x = gatys.objective(content, style, config), gatys.first_image(content, style, config)
    optimizer = gatys.optimizer(x, config)
    with host_reads() as reads:
        for _ in range(4):
            terms, gradient = objective.with_gradient(x)
            optimizer.step(gradient)
    assert not reads
    assert terms.isfinite().all()


def test_the_losses_of_several_steps_are_read_at_once(content, style, monkeypatch, host_reads):
    counts = []
    for every in (1, 10):
        monkeypatch.setattr(runtime, "steps_between_looks", lambda device, every=every: every)
        with host_reads() as reads:
            stylize(content, style, small(num_steps=20))
        counts.append(len(reads))
    assert counts[0] - counts[1] == 20 - 2


def test_a_gradient_that_is_not_finite_is_named(content, monkeypatch):
    backward = VGGFeatures.backward_to_image
    monkeypatch.setattr(VGGFeatures, "backward_to_image", lambda self, *args: backward(self, *args) * math.nan)
    with pytest.warns(RuntimeWarning, match="gradient was not finite at step 1"):
        result = stylize(content, None, small(start="content"))
    torch.testing.assert_close(result.image, content)


def test_a_last_step_to_nan_is_undone(content, style, monkeypatch):
    monkeypatch.setattr(LBFGS, "step", lambda self, gradient: self.x.mul_(math.nan))
    result = stylize(content, style, small(num_steps=1, start="content"))
    assert "not" in result.stopped or "left" in result.stopped
    torch.testing.assert_close(result.image, content)


def test_a_stalled_run_gets_advice(content):
    config = small(num_steps=120, optimizer="adam", learning_rate=1e-9, content_layers=("relu1_1",))
    stalled = stylize(content, None, config)
    assert "last 50 steps" in stalled.advice
    assert "learning_rate" in stalled.advice
    moving = stylize(content, None, dataclasses.replace(config, learning_rate=2 / 255))
    assert moving.advice is None


def test_a_normal_run_gives_no_warning(content, style):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stylize(content, style, small(num_steps=3))


# --- invalid input ---


@pytest.mark.parametrize("name", ["content_weight", "style_weight", "tv_weight"])
@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_negative_and_infinite_weights_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a finite number of at least 0, got {value}"):
        Config(**{name: value})


def test_all_weights_zero_are_refused(content, style):
    with pytest.raises(ValueError, match="both 0: there is nothing to match"):
        Config(content_weight=0, style_weight=0)
    with pytest.raises(ValueError, match="needs a content_weight greater than 0"):
        stylize(content, None, small(content_weight=0))
    with pytest.raises(ValueError, match="needs a style_weight greater than 0"):
        stylize(None, style, small(style_weight=0))


@pytest.mark.parametrize("steps", [0, -3, 2.5, True])
def test_zero_steps_are_refused(steps):
    with pytest.raises(ValueError, match=f"num_steps must be a whole number of at least 1, got {steps}"):
        Config(num_steps=steps)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"start": "photo"}, "start must be one of .*'mixed'.*, got 'photo'"),
        ({"optimizer": "sgd"}, "optimizer must be one of .*, got 'sgd'"),
        ({"noise_ratio": 1.5}, r"noise_ratio must be in \[0, 1\], got 1.5"),
        ({"noise_width": -0.1}, r"noise_width must be in \[0, 1\], got -0.1"),
        ({"noise_ratio": math.nan}, r"noise_ratio must be in \[0, 1\], got nan"),
        ({"learning_rate": 0.0}, "learning_rate must be a finite number greater than 0, got 0"),
        ({"learning_rate": math.inf}, "learning_rate must be a finite number greater than 0"),
        ({"style_scale": -1.0}, "style_scale must be a finite number greater than 0"),
        ({"style_scale": math.nan}, "style_scale must be a finite number greater than 0"),
        ({"history_size": 0}, "history_size must be a whole number of at least 1, got 0"),
        ({"style_layer_weights": "balance"}, "style_layer_weights must be one of 'balanced', 'equal', got 'balance'"),
        (
            {"scales": (256, 128)},
            r"scales must be a tuple of long sides in pixels, from small to large, got \(256, 128\)",
        ),
        ({"scales": (0, 128)}, "scales must be a tuple of long sides in pixels"),
        ({"scales": (64.5,)}, "scales must be a tuple of long sides in pixels"),
        ({"scales": 256}, "scales must be a tuple of long sides in pixels, from small to large, got 256"),
        ({"style_layer_weights": (1.0, 1.0)}, "style_layer_weights must be 5 numbers"),
        ({"style_layer_weights": (0.0,) * 5}, "not all 0"),
        ({"style_layer_weights": (1.0, 1.0, 1.0, 1.0, math.nan)}, "style_layer_weights must be 5 numbers"),
        ({"style_blend": (1.0, -1.0)}, "style_blend must be 2 numbers of at least 0"),
        ({"style_layers": ()}, "style_layers is empty"),
        ({"content_layers": ()}, "content_layers is empty"),
        ({"content_layers": "relu4_2"}, "content_layers must be a tuple of names"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_invalid_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Config(**settings)


def test_a_call_without_images_is_refused():
    with pytest.raises(ValueError, match="a content image, a style image, or both; got neither"):
        stylize(None, None, small())


@pytest.mark.parametrize("nothing", [[], (), iter([])])
def test_an_empty_list_of_styles_is_no_style(content, nothing):
    """It would paint without a style, and nobody would notice."""
    with pytest.raises(ValueError, match="the list of style images is empty"):
        stylize(content, nothing, small())


def test_several_styles_may_come_from_a_generator(content, style):
    config = small(num_steps=2)
    ours = stylize(content, (image for image in (style, style)), config)
    assert torch.equal(ours.image, stylize(content, [style, style], config).image)


@pytest.mark.parametrize("switched_off", [torch.no_grad, torch.inference_mode])
def test_pictures_that_were_made_without_gradients(content, style, switched_off):
    config = small(num_steps=2)
    ours, terms = stylize(content, style, config), dissect(content, content, style, config)
    with switched_off(), warnings.catch_warnings():
        warnings.simplefilter("error")
        inside = stylize(content.clone(), style.clone(), config)
        again = dissect(content.clone(), content.clone(), style.clone(), config)
    assert torch.equal(inside.image, ours.image)
    assert {name: value for name, (value, _) in again.items()} == {name: value for name, (value, _) in terms.items()}


def test_pictures_that_require_a_gradient_are_detached(content, style):
    config = small(num_steps=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = stylize(content.clone().requires_grad_(), style.clone().requires_grad_(), config)
    assert not ours.image.requires_grad
    assert torch.equal(ours.image, stylize(content, style, config).image)


def test_an_image_too_small_for_the_deepest_layer_is_refused(content, style, picture):
    with pytest.raises(ValueError, match=r"relu5_1 needs an image of at least 16 px .* got 15×40"):
        stylize(picture(15, 40, 1), style, small())
    with pytest.raises(ValueError, match=r"the style image, resized to 5×40: relu5_1 needs .* at least 16 px"):
        stylize(content, picture(20, 160, 1), small())


def test_an_unknown_layer_is_refused(content, style):
    with pytest.raises(ValueError, match=r"vgg19 has no layer \['conv6_1'\]; the layers are conv1_1"):
        stylize(content, style, small(content_layers=("conv6_1",)))


@pytest.mark.parametrize("which", ["content", "style", "initial"])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda image: image * 255, r"values run from .*, expected \[0, 1\].*by 255"),
        (lambda image: image * 2 - 1, r"values run from -.*, expected \[0, 1\].*use \(x \+ 1\) / 2"),
        (lambda image: image / 0 * 0, r"3,840 of 3,840 values are NaN or infinite"),
        (lambda image: image[0], r"got shape \(3, .*, expected \(1, 3, H, W\)"),
        (lambda image: image.repeat(2, 1, 1, 1), r"got shape \(2, 3, .*, expected \(1, 3, H, W\)"),
        (lambda image: image[:, :1], r"got shape \(1, 1, .*, expected \(1, 3, H, W\)"),
        (lambda image: (image * 0).byte(), r"got torch.uint8, expected floats in \[0, 1\]"),
        (lambda image: image.numpy(), "expected a torch.Tensor, got ndarray; load_image"),
        (lambda image: image[..., :0], r".* expected \(1, 3, H, W\), with no side 0"),
    ],
    ids=["0–255", "-1–1", "nan", "3 dims", "batch", "gray", "bytes", "numpy", "empty"],
)
def test_an_invalid_image_is_named(content, style, which, spoil, message):
    images = {"content": content, "style": style, "initial": content}
    images[which] = spoil(images[which])
    images["style"] = [images["style"]]
    with pytest.raises(ValueError, match=f"the {which} image: {message}"):
        stylize(images["content"], images["style"], small(), initial=images["initial"])


def test_a_path_instead_of_an_image_is_refused(content):
    with pytest.raises(ValueError, match="the content image: expected a torch.Tensor, got str"):
        stylize("photo.jpg", content, small())
    with pytest.raises(ValueError, match="the style image: expected a torch.Tensor, got str"):
        stylize(content, "painting.jpg", small())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_images_of_other_float_formats_are_computed_in_float32(content, style, evaluated, dtype, optimizer):
    config = small(start="content", optimizer=optimizer, num_steps=4)
    result = stylize(content.to(dtype), style.to(dtype), config)
    assert result.image.dtype == torch.float32
    assert {image.dtype for image in evaluated} == {torch.float32}
    if dtype == torch.float64:
        assert torch.equal(result.image, stylize(content, style, config).image)


def test_a_slight_overshoot_from_resampling_is_no_error(content, style):
    stylize(content + 5e-4, style - 5e-4, small(num_steps=1))


def test_styles_and_their_weights_must_match(content, style):
    with pytest.raises(ValueError, match="style_blend has 3 weights for 2 style images"):
        stylize(content, [style, style], small(style_blend=(1.0, 1.0, 1.0)))


def test_a_start_without_its_image_is_refused(content, style):
    with pytest.raises(ValueError, match="start='style' needs a style image"):
        stylize(content, None, small(start="style"))
    for start in ("content", "mixed"):
        with pytest.raises(ValueError, match=f"start='{start}' needs a content image"):
            stylize(None, style, small(start=start))


DEVICES = ["cpu", *(kind for kind in ("cuda", "mps", "xpu") if getattr(torch, kind).is_available())]


@pytest.mark.parametrize("device", DEVICES)
def test_images_may_be_on_any_device(content, style, device):
    """The pictures are moved to the device of the network; the result is returned on the CPU."""
    config = small(device=device, num_steps=3)
    result = stylize(content.to(device), style, config, initial=style.new_full(content.shape, 0.5))
    assert result.image.device.type == "cpu"
    assert result.extra["device"].startswith(device)


def test_a_run_that_does_not_fit_is_refused_with_a_size_that_does(content, style, monkeypatch):
    config = small()
    free = gatys.memory_needed(40, 32, config) // 2
    monkeypatch.setattr(gatys.runtime, "available_memory", lambda device: free)
    with pytest.raises(
        MemoryError, match=r"40×32 px needs about .* GB .* largest that fits has a long side of (\d+)"
    ) as e:
        stylize(content, style, config)
    side = int(str(e.value).split("long side of ")[1].split()[0])
    assert gatys.memory_needed(side, side * 32 // 40, config) <= free
    assert gatys.memory_needed(side + 1, (side + 1) * 32 // 40, config) > free
    assert 20 <= side < 40
    fitting = resize(content, (side, side * 32 // 40))
    assert stylize(fitting, style, small(num_steps=1)).image.shape == fitting.shape


def test_if_the_free_memory_is_unknown_nothing_is_refused(content, style, monkeypatch):
    monkeypatch.setattr(gatys.runtime, "available_memory", lambda device: None)
    assert stylize(content, style, small(num_steps=1)).stopped is None


def test_memory_of_optimizers():
    """L-BFGS keeps two pictures per curvature pair, Adam two in total."""
    lbfgs, adam = (gatys.memory_needed(100, 200, small(optimizer=name, history_size=7)) for name in ("lbfgs", "adam"))
    assert lbfgs - adam == pytest.approx(1.1 * (2 * 7 - 2) * 4 * 3 * 100 * 200, abs=2)


def test_a_missing_device_is_refused(content, style, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="'cuda' is not available here"):
        stylize(content, style, small(device="cuda"))


# --- the real network ---


@pytest.mark.real_weights
def test_a_real_painting_takes_the_paintings_statistics_and_keeps_the_scene(real_network):
    photo, painting = sample_image("schwerin_palace", 96), sample_image("great_wave", 96)
    network = real_network("vgg19", ("relu2_1", "relu4_1", "relu4_2"))
    config = Config(num_steps=30, start="content", precision="float32", device="cpu")
    result = stylize(photo, painting, config)
    assert "package index" in result.extra["weights"]

    def gram(image, layer):
        f = network(image)[layer]
        return torch.einsum("nihw,njhw->ij", f, f) / f[0, 0].numel()

    for layer in ("relu2_1", "relu4_1"):
        before, after = ((gram(image, layer) - gram(painting, layer)).norm() for image in (photo, result.image))
        assert after < 0.5 * before, layer
    f, p, s = (network(image)["relu4_2"] for image in (result.image, photo, resize(painting, photo.shape[-2:])))
    assert (f - p).norm() < 0.8 * (s - p).norm()  # the content is closer to the photograph's than the painting's is
    assert (result.image - photo).abs().mean() > 0.02  # the picture has changed


@pytest.mark.real_weights
@pytest.mark.slow
def test_the_printed_ratio_read_literally_returns_the_photograph():
    """With α/β = 1e-3 and the sums of Eqs. 1 and 4, a run from the photograph hardly changes it."""
    photo, painting = sample_image("schwerin_palace", 96), sample_image("great_wave", 96)
    positions = math.prod(n // 8 for n in photo.shape[-2:])
    alpha, beta = losses.convert_weights(
        1e-3, 1.0, losses.GATYS, losses.SIZE_INDEPENDENT, channels=512, positions=positions
    )
    settings = {"num_steps": 20, "start": "content", "precision": "float32", "device": "cpu"}
    literal = stylize(photo, painting, Config(content_weight=alpha, style_weight=beta, **settings)).image
    ours = stylize(photo, painting, Config(**settings)).image
    assert (literal - photo).abs().mean() < 0.5 * (ours - photo).abs().mean()


def test_the_first_steps_are_those_of_pytorch(real_network):
    """Twenty steps of a real run, compared with `torch.optim.LBFGS`: same first step, no bounds, no limit, float64.

    In float32, rounding errors about double with every step: 3e-7 after 4 steps, 2e-3 after 20.
    """
    content, style = (sample_image(name, size=64).double() for name in ("eilean_donan", "great_wave"))
    weights = dict.fromkeys(STYLE_LAYERS, 20.0)
    network = real_network("vgg19", (*STYLE_LAYERS, "relu4_2"), precision=torch.float64)
    loss = PerceptualLoss(network, content={"relu4_2": 1.0}, style=weights)
    loss.set_content(content)
    loss.set_style([style])
    ours, theirs = content.clone(), content.clone().requires_grad_(True)
    reference = torch.optim.LBFGS([theirs], lr=1, max_iter=1, history_size=10, tolerance_grad=0, tolerance_change=0)

    def evaluate(image):
        x = image.detach().requires_grad_(True)
        value = loss(x).sum()
        return value.item(), torch.autograd.grad(value, x)[0]

    def closure():
        value, theirs.grad = evaluate(theirs)
        values.append(value)
        return value

    values, gradient = [], evaluate(ours)[1]
    length = min(1.0, 1 / gradient.abs().sum().item()) * gradient.square().mean().sqrt().item()
    optimizer = LBFGS(ours, history_size=10, first_step=length, max_step=math.inf)
    for _ in range(20):
        value, gradient = evaluate(ours)
        optimizer.step(gradient)
        reference.step(closure)
        assert value == pytest.approx(values[-1], rel=1e-10)
    assert values[-1] < 0.1 * values[0]


def test_the_measured_curvature_is_used_from_noise_only():
    x = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    color = torch.tensor([1.0, 0.0, -1.0]).view(1, 3, 1, 1).expand(1, 3, 8, 8)  # flat in luminance
    for start, gain in (("noise", 1.3 / (0.9 + 0.3)), ("content", 1.0)):
        optimizer = gatys.optimizer(x.clone(), small(start=start, curvature=True, precondition=0.5))
        torch.testing.assert_close(optimizer.precondition(color), 8**0.5 * gain * color)
        assert optimizer.average == (start == "noise")
