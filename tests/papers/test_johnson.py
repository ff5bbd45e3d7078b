"""Johnson, Alahi & Fei-Fei 2016, style transfer: configuration, objective, training, forward pass and files.

All tests use a small random loss network and tiny transformer networks.
"""

import dataclasses
import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import IterableDataset

from course_lib import VGGFeatures, losses, sample_image
from course_lib.data.crops import Crops
from course_lib.images import resize
from course_lib.losses.balance import layer_weights
from course_lib.methods import johnson
from course_lib.methods.johnson import Config, Model, load, save, train
from course_lib.networks import tiles
from course_lib.networks.layers import ResidualBlock
from course_lib.training.batches import order
from course_lib.training.checkpoints import CheckpointError

TINY = {
    "num_steps": 2, "batch_size": 2, "image_size": 32, "style_size": 32, "width": 0.25, "num_blocks": 1,
    "weights": None, "precision": "float32", "device": "cpu",
}  # fmt: skip


stylize = partial(johnson.stylize, device="cpu", precision="float32")


def tiny(**settings):
    return Config(**{**TINY, **settings})


def learner(**settings):
    """A small network whose loss falls within seconds."""
    return tiny(**{"num_steps": 60, "learning_rate": 1e-2, "norm": "instance", "upsampling": "resize", **settings})


@pytest.fixture
def photos(picture):
    return [picture(48, 64, seed) for seed in range(3)]


@pytest.fixture
def style(picture):
    return (picture(40, 50, 9) > 0.5).float()


def untrained(**settings):
    config = tiny(**settings)
    return Model(johnson.build(config).eval(), config, {})


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def style_sum(history, steps):
    return mean(sum(history[name][k] for name in history if name.startswith("style/")) for k in steps)


# --- the paper's configuration ---


def test_the_defaults_are_the_papers():
    paper = {
        "num_steps": 40_000,  # "roughly two epochs" of 80,000 pictures
        "batch_size": 4,
        "image_size": 256,
        "learning_rate": 1e-3,
        "content_layers": ("relu2_2",),
        "style_layers": ("relu1_2", "relu2_2", "relu3_3", "relu4_3"),
        "arch": "vgg16",
        "weights": "default",
        "width": 1.0,
        "num_blocks": 5,
        "norm": "batch",
        "upsampling": "transposed",  # stride 1/2
    }
    config = Config()
    assert {name: getattr(config, name) for name in paper} == paper
    assert config.num_steps * config.batch_size == 2 * len(Crops([torch.zeros(1, 3, 8, 8)], size=8))
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.num_steps = 3


def test_the_network_is_the_papers():
    network = johnson.build(Config())
    assert sum(isinstance(module, nn.BatchNorm2d) for module in network.modules()) == 3 + 2 * 5 + 2
    assert sum(isinstance(module, ResidualBlock) for module in network.modules()) == 5
    halves = [module for module in network.modules() if isinstance(module, nn.ConvTranspose2d)]
    assert [(module.stride, module.kernel_size, module.out_channels) for module in halves] == [
        ((2, 2), (3, 3), 64),
        ((2, 2), (3, 3), 32),
    ]
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert [c.kernel_size[0] for c in convolutions] == [9] + [3] * 12 + [9]
    assert [c.stride[0] for c in convolutions] == [1, 2, 2] + [1] * 11
    assert [c.out_channels for c in convolutions[:3]] == [32, 64, 128]


def test_the_fields_in_which_released_fast_and_quick_differ():
    def changed(config, reference):
        return {f.name for f in dataclasses.fields(Config) if getattr(config, f.name) != getattr(reference, f.name)}

    assert changed(Config.released(), Config()) == {"norm", "content_layers"}
    objective = {"content_weight", "style_weight", "tv_weight", "content_layers", "style_layers", "arch", "weights"}
    assert not changed(Config.fast(), Config()) & objective
    assert changed(Config.quick(), Config.fast()) == {"num_steps", "image_size"}


@pytest.mark.parametrize("seed", [0, 1])
def test_the_first_weights_depend_on_the_seed_alone(seed):
    before = torch.get_rng_state()
    a, b = (johnson.build(tiny(seed=s)).state_dict() for s in (seed, 0))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a[name], b[name]) for name in a) == (seed == 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_steps", 0),
        ("num_steps", 1.5),
        ("num_steps", True),
        ("batch_size", 0),
        ("image_size", 7),
        ("style_size", 7),
        ("num_blocks", -1),
        ("accumulate", 0),
        ("learning_rate", 0.0),
        ("learning_rate", math.inf),
        ("width", 0.0),
        ("width", math.nan),
        ("content_weight", -1.0),
        ("style_weight", math.nan),
        ("tv_weight", math.inf),
        ("content_layers", "relu2_2"),
        ("style_layers", "relu2_2"),
        ("norm", "btach"),
        ("upsampling", "nearest"),
        ("arch", "vgg11"),
        ("style_layer_weights", "even"),
        ("style_layer_weights", (1.0, 2.0)),  # of four layers
        ("seed", 0.5),
        ("seed", -1),
    ],
)
def test_an_invalid_field_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=field):
        Config(**{field: value})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"precision": "half"}, "unknown precision 'half'"),
        ({"device": "gpu"}, "unknown device 'gpu'"),
        ({"content_layers": ("relu9_9",)}, "vgg16 has no layer .*relu9_9"),
        ({"style_layers": (), "content_layers": ()}, "no layer was asked for"),
        ({"cooldown": 1.5}, "cooldown is a part of the run, from 0 to 1, got 1.5"),
        ({"accumulate": 3}, "a batch of 2 does not divide into 1 × 3"),
    ],
)
def test_training_refuses_settings_that_contradict_its_data(style, photos, settings, message):
    with pytest.raises(ValueError, match=message):
        train(style, photos, tiny(**settings))


# --- the objective ---


def features_of(config, seed=0):
    names = (*config.content_layers, *config.style_layers)
    return VGGFeatures("vgg16", names, pooling="max", weights=None, seed=seed)


def papers_objective(network, painted, photo, painting, config):
    """Eqs. 2–5 written out for one picture: a dict of weighted terms."""
    f, p, s = network(painted), network(photo), network(painting)
    terms = {}
    for layer in config.content_layers:
        _, channels, height, width = f[layer].shape
        squares = ((f[layer] - p[layer]) ** 2).sum()
        terms[f"content/{layer}"] = config.content_weight * squares / (channels * height * width)  # Eq. 2
    for layer in config.style_layers:
        grams = []
        for features in (f, s):
            _, channels, height, width = features[layer].shape
            psi = features[layer].reshape(channels, height * width)
            grams.append(psi @ psi.T / (channels * height * width))  # Eq. 3
        terms[f"style/{layer}"] = config.style_weight * torch.linalg.matrix_norm(grams[0] - grams[1]) ** 2  # Eq. 4
    across = ((painted[..., :, 1:] - painted[..., :, :-1]) ** 2).mean()
    down = ((painted[..., 1:, :] - painted[..., :-1, :]) ** 2).mean()
    terms["tv"] = config.tv_weight * (across + down)
    return terms


def by_hand(style, photos, config):
    """The training written out; it shares only the order of the pictures with the library's loop."""
    network, loss_network = johnson.build(config).train(), features_of(config)
    crops = Crops(photos, size=config.image_size, seed=config.seed)
    painting = resize(style, config.style_size)
    adam = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    rows = []
    for step in range(config.num_steps):
        chosen = [k for _, k in next(order(len(crops), config.batch_size, config.seed, start=step))]
        batch = torch.stack([crops[k] for k in chosen])
        objectives = [
            papers_objective(loss_network, one[None], photo[None], painting, config)
            for one, photo in zip(network(batch), batch, strict=True)
        ]
        means = {name: sum(terms[name] for terms in objectives) / len(objectives) for name in objectives[0]}
        adam.zero_grad()
        sum(means.values()).backward()
        adam.step()
        rows.append({name: value.item() for name, value in means.items()})
    return rows, network


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_training_equals_the_papers_equations(style, photos, norm):
    """Eq. 5 with Adam, compared with a plain loop: equal losses at every step, so equal weights in between."""
    config = tiny(
        num_steps=4,
        norm=norm,
        content_weight=2.0,
        style_weight=3.0,
        tv_weight=5.0,
        content_layers=("relu2_2", "relu3_3"),
    )
    history = train(style, photos, config).facts["history"]
    rows, _ = by_hand(style, photos, config)
    assert list(history) == ["total", *rows[0], "seconds"]
    for step, row in enumerate(rows):
        assert history["total"][step] == pytest.approx(sum(row.values()), rel=1e-3)
        for name, value in row.items():
            assert value > 0
            assert history[name][step] == pytest.approx(value, rel=1e-3), (step, name)


def test_the_gradient_is_that_of_autograd(style, photos):
    """The closed form of `objective`, compared with autograd through the equations, for a batch of two."""
    config = tiny(tv_weight=0.0, style_weight=3.0)
    network, loss = features_of(config), johnson.objective(style, config)
    batch = torch.cat([resize(photo, (32, 32)) for photo in photos[:2]])
    painted = torch.rand(batch.shape, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    loss.set_content(batch)
    (ours,) = torch.autograd.grad(loss(painted).sum(), painted)
    total = 0.0
    for k in range(2):
        terms = papers_objective(network, painted[k : k + 1], batch[k : k + 1], resize(style, 32), config)
        total = total + sum(terms.values())
    (theirs,) = torch.autograd.grad(total, painted)
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5 * theirs.abs().max().item())


@pytest.mark.parametrize("shares", [(1.0, 0.5, 2.0, 0.0), "balanced"])
def test_the_weights_of_style_layers_are_factors(style, photos, shares):
    config = tiny(style_layer_weights=shares)
    factors = layer_weights(shares, config.style_layers, arch="vgg16", pooling="max", weights=None)
    assert len(set(factors)) > 1
    terms = {}
    for each in (tiny(), config):
        loss = johnson.objective(style, each)
        loss.set_content(photos[0])
        terms[each] = dict(zip(loss.names, loss(photos[1]).tolist(), strict=True))
    for layer, factor in zip(config.style_layers, factors, strict=True):
        assert terms[config][f"style/{layer}"] == pytest.approx(factor * terms[tiny()][f"style/{layer}"], rel=1e-5)
    assert terms[config]["content/relu2_2"] == terms[tiny()]["content/relu2_2"]


def test_evaluate_returns_the_objective_of_each_photograph(style, photos):
    """Compared with the written-out equations."""
    model = train(style, photos, tiny(content_weight=2.0, style_weight=3.0))
    batch = torch.cat([resize(photo, (40, 48)) for photo in photos])
    objectives = johnson.evaluate(batch, style, model)
    for photo, value in zip(batch.split(1), objectives, strict=True):
        painted = stylize(photo, model).image
        terms = papers_objective(features_of(model.config), painted, photo, resize(style, 32), model.config)
        assert value == pytest.approx(sum(terms.values()).item(), rel=0.05)  # the library's pass may use bfloat16


def test_tv_weight_of_the_paper():
    """λ·Σ over pixels in 0–255 and features of a 0–255 network, by hand: the terms have the same ratio."""
    size, scale, weight = 24, 50.0, 1e-5
    x = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    p = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(1))
    pixels = 255 * x
    theirs = sum((pixels.diff(dim=d) ** 2).sum() for d in (2, 3)).item() * weight
    content = {
        "theirs": ((scale * x - scale * p) ** 2).mean(),
        "ours": ((x - p) ** 2).mean(),
    }  # φ(x) = scale·x, φ(x) = x
    ours = johnson.tv_weight_of_paper(weight, size, scale) * losses.total_variation_loss(x).item()
    edge = size / (size - 1)  # there are slightly fewer pairs of neighbors than pixels
    assert ours * edge**-1 == pytest.approx(theirs * (content["ours"] / content["theirs"]).item(), rel=1e-4)
    # the default λ_TV lies in the paper's range at the paper's size
    low, high = (johnson.tv_weight_of_paper(w, 256) for w in (1e-6, 1e-4))
    assert low * 0.2 < Config().tv_weight < high


def test_a_tv_weight_of_zero_removes_the_term(style, photos):
    history = train(style, photos, tiny(tv_weight=0.0)).facts["history"]
    assert "tv" not in history
    assert len(history["total"]) == 2


def test_accumulating_gradients_over_parts_gives_the_same_losses(style, photos):
    """With instance norm, whose statistics do not depend on the batch."""
    whole, parts = (
        train(style, photos, tiny(batch_size=4, norm="instance", accumulate=n)).facts["history"] for n in (1, 4)
    )
    for name in set(whole) - {"seconds"}:
        assert parts[name][0] == pytest.approx(whole[name][0], rel=1e-4), name
        assert parts[name][1] == pytest.approx(whole[name][1], rel=1e-3), name


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("upsampling", ["resize", "transposed"])
@pytest.mark.parametrize("count", [1, 2])
def test_the_networks_gradient_does_not_depend_on_the_memory_layout(norm, upsampling, count):
    """Channels-last in float32, as in training, compared with the default layout in float64."""
    config, gradients = tiny(norm=norm, upsampling=upsampling), []
    photo = torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    weights = torch.rand(photo.shape, generator=torch.Generator().manual_seed(1))
    for dtype, layout in ((torch.float32, torch.channels_last), (torch.float64, torch.contiguous_format)):
        network = johnson.build(config).train().to(dtype, memory_format=layout)
        (network(photo.to(dtype, memory_format=layout)) * weights.to(dtype)).sum().backward()
        gradients.append({name: value.grad.double() for name, value in network.named_parameters()})
    for name, exact in gradients[1].items():
        if exact.norm() > 1e-3:  # a bias before a normalization has no effect, and a zero gradient
            # rounding can flip a ReLU, an error of a few percent; a wrong backward pass gives more than 100 %
            assert (gradients[0][name] - exact).norm() < 0.25 * exact.norm(), name


# --- training ---


def test_the_style_is_learned(style, photos):
    model = train(style, photos, learner())
    history = model.facts["history"]
    assert style_sum(history, range(50, 60)) < 0.25 * style_sum(history, range(5))
    assert mean(history["total"][-10:]) < 0.5 * history["total"][0]
    assert model.stopped is None
    # also for a photo outside the training set
    config = model.config
    loss = johnson.objective(style, config)
    unseen = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(77))
    unseen = resize(unseen, (48, 40))
    loss.set_content(unseen)
    before, after = (
        sum(value.item() for name, value in zip(loss.names, loss(image), strict=True) if name.startswith("style"))
        for image in (unseen, stylize(unseen, model).image)
    )
    assert after < 0.5 * before


def test_the_style_is_learned_with_the_papers_network(style, photos):
    """Batch normalization, transposed convolutions."""
    history = train(style, photos, tiny(num_steps=60, learning_rate=1e-2)).facts["history"]
    assert style_sum(history, range(50, 60)) < 0.5 * style_sum(history, range(5))


def test_another_painting_is_learned_faster_from_a_trained_network(style, photos):
    """Both at the first step and after equally many steps."""
    first = train(style, photos, learner())
    other = 1 - style.flip(-1)
    scratch, ahead = (
        train(other, photos, learner(num_steps=20), start=start).facts["history"]["total"] for start in (None, first)
    )
    assert ahead[0] < 0.5 * scratch[0]
    assert mean(ahead) < 0.8 * mean(scratch)


def test_a_larger_content_weight_keeps_more_of_the_photo(style, photos):
    ends = []
    for weight in (0.5, 50.0):
        history = train(style, photos, learner(content_weight=weight)).facts["history"]
        ends.append((mean(history["content/relu2_2"][-10:]) / weight, style_sum(history, range(50, 60))))
    (little, little_style), (much, much_style) = ends
    assert much < 0.7 * little
    assert much_style > little_style


def test_a_larger_tv_weight_gives_smoother_pictures(style, photos):
    rough, smooth = (
        losses.total_variation_loss(stylize(photos[0], train(style, photos, learner(tv_weight=w))).image)
        for w in (0.0, 1000.0)
    )
    assert smooth < 0.5 * rough


def test_the_facts_name_the_loss_network(style, photos):
    assert train(style, photos, tiny()).facts["loss_network"] == "random, seed 0"


def test_photos_may_be_a_folder_or_a_data_set(style, photos, tmp_path):
    from course_lib import save_image

    for k, photo in enumerate(photos[:2]):
        save_image(photo, tmp_path / f"{k}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    assert train(style, tmp_path, tiny()).facts["photos"] == 2
    assert train(style, str(tmp_path), tiny()).facts["photos"] == 2
    crops = Crops(photos, size=32, length=5)
    assert train(style, crops, tiny()).facts["photos"] == 3
    stack = torch.stack([crops[k] for k in range(5)])
    assert train(style, list(stack[:, None]), tiny()).facts["photos"] == 5

    class Stream(IterableDataset):
        def __iter__(self):
            return iter(stack)

    assert train(style, Stream(), tiny()).facts["photos"] is None


# --- the run ---


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_a_preview_changes_only_the_callbacks_picture(style, photos, picture, norm):
    photo, config, pictures = picture(20, 28, 5), tiny(num_steps=3, norm=norm), []
    plain = train(style, photos, config)
    watched = train(style, photos, config, callback=lambda progress: pictures.append(progress.image()), preview=photo)
    states = plain.network.state_dict(), watched.network.state_dict()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert [image.shape for image in pictures] == [photo.shape] * 3
    torch.testing.assert_close(pictures[-1], stylize(photo, watched).image)
    assert not torch.allclose(pictures[0], pictures[-1], atol=1e-4)


def test_a_checkpoint_of_another_painting_or_other_photos_is_refused(style, photos, tmp_path):
    """Their pixels matter, not only their number."""
    file, config = tmp_path / "run.checkpoint", tiny()
    train(style, photos, config, checkpoint=file)
    for painting, pictures in ((1 - style, photos), (style, photos[:2]), (style, [1 - photo for photo in photos])):
        with pytest.raises(CheckpointError, match="belongs to a run with another configuration"):
            train(painting, pictures, config, checkpoint=file)


def test_a_number_that_is_not_finite_ends_the_run_and_is_named(style, photos):
    model = train(style, photos, tiny(style_weight=1e42))
    assert "style/relu1_2 is not finite any more" in model.stopped
    assert model.facts["steps"] == 0
    first = johnson.build(model.config).state_dict()
    assert all(torch.equal(value, first[name]) for name, value in model.network.state_dict().items())


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (torch.rand(3, 32, 32), r"style image: got shape \(3, 32, 32\), expected \(1, 3, H, W\)"),
        (torch.rand(2, 3, 32, 32), r"style image: got shape \(2, 3, 32, 32\), expected \(1, 3, H, W\)"),
        (255 * torch.rand(1, 3, 32, 32), r"expected \[0, 1\]"),
        (torch.full((1, 3, 32, 32), math.nan), r"expected \[0, 1\]"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), "expected floats"),
    ],
)
def test_an_invalid_painting_is_refused(photos, bad, message):
    with pytest.raises(ValueError, match=message):
        train(bad, photos, tiny())
    with pytest.raises(ValueError, match=message.replace("style image", "preview")):
        train(photos[0], photos, tiny(), preview=bad)


def test_photos_too_small_are_refused(style, picture):
    with pytest.raises(ValueError, match="a crop of 32 px needs photos"):
        train(style, [picture(31, 50, 1)], tiny())


# --- the forward pass ---


@pytest.mark.parametrize("size", [(8, 8), (9, 31), (37, 50), (64, 65)])
@pytest.mark.parametrize("settings", [{}, {"norm": "instance", "upsampling": "resize"}])
def test_pictures_of_any_size(picture, size, settings):
    model = untrained(**settings)
    result = stylize(picture(*size, 1), model)
    assert result.image.shape == (1, 3, *size)
    assert result.image.dtype == torch.float32
    assert result.image.min() >= 0
    assert result.image.max() <= 1
    assert not result.image.requires_grad
    assert len(result.history["seconds"]) == 1


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_a_batch_gives_the_same_as_its_pictures_one_by_one(picture, norm):
    model, batch = untrained(norm=norm), torch.cat([picture(33, 40, seed) for seed in range(3)])
    single = torch.cat([stylize(one[None], model).image for one in batch])
    torch.testing.assert_close(stylize(batch, model).image, single, rtol=0, atol=1e-5)
    tiled = stylize(batch, model, tile=12).image
    torch.testing.assert_close(tiled, single, rtol=0, atol=1e-5)


LEVEL = 1 / 255


@pytest.mark.parametrize("name", ["cafe_terrace", "church_at_auvers", "composition_viii", "great_wave", "poppies"])
def test_each_painter_paints_the_same_in_tiles(name):
    model, photo = johnson.load(name), sample_image("eilean_donan", 160)
    whole = stylize(photo, model).image
    for tile in (20, 64):
        tiled = stylize(photo, model, tile=tile).image
        torch.testing.assert_close(tiled, whole, rtol=0, atol=LEVEL / 10)


def test_in_bfloat16_tiles_are_as_close_to_float32_as_one_piece():
    """Rounding to 8 bits, 15 times over, moves single pixels by many levels; tiles add nothing to it."""
    model, photo = johnson.load("great_wave"), sample_image("eilean_donan", 160)
    exact = stylize(photo, model).image
    whole, tiled = (stylize(photo, model, tile=tile, precision="bfloat16").image for tile in (None, 64))
    of_whole, of_tiled = ((image - exact).abs().mean() for image in (whole, tiled))
    assert of_tiled < min(1.1 * of_whole, LEVEL)
    assert (tiled - whole).abs().mean() < of_whole


@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("upsampling", ["resize", "transposed"])
@pytest.mark.parametrize(("size", "tile"), [((10, 90), 16), ((61, 45), 7), ((61, 45), 44)])
def test_tiles_equal_the_whole_picture(picture, norm, upsampling, size, tile):
    model, photo = untrained(norm=norm, upsampling=upsampling), picture(*size, 1)
    whole, tiled = (stylize(photo, model, tile=side).image for side in (None, tile))
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-5)


def test_a_picture_no_larger_than_a_tile_is_painted_in_one_piece(picture, monkeypatch):
    monkeypatch.setattr(tiles, "by_tiles", lambda *_, **__: pytest.fail("tiles"))
    stylize(picture(10, 40, 1), untrained(), tile=40)


def test_tiles_are_used_if_memory_is_short(picture, monkeypatch):
    asked = []

    def by_tiles(network, content, *, tile, **_):
        asked.append(tile)
        return torch.zeros_like(content)

    monkeypatch.setattr(tiles, "by_tiles", by_tiles)
    monkeypatch.setattr(johnson.runtime, "available_memory", lambda device: 1000)
    model = untrained()
    assert stylize(picture(10, 700, 1), model).image.max() == 0
    assert asked == [384]
    assert stylize(picture(10, 384, 1), model).image.max() > 0  # one tile
    monkeypatch.setattr(johnson.runtime, "available_memory", lambda device: None)
    assert stylize(picture(10, 700, 1), model).image.max() > 0
    assert asked == [384]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("tile", [None, 12])
def test_photographs_of_other_types_are_converted(picture, dtype, tile):
    model, photo = untrained(), picture(20, 24, 1).to(dtype)
    result = stylize(photo.requires_grad_(), model, tile=tile).image
    assert result.dtype == torch.float32
    assert not result.requires_grad
    torch.testing.assert_close(result, stylize(photo.detach().float(), model).image)


@pytest.mark.parametrize("tile", [None, 12])
def test_a_network_in_float64_paints_too(picture, tile):
    model, photo = untrained(norm="instance"), picture(20, 24, 1)
    expected = stylize(photo, model).image
    model.network.double()
    assert model.network(photo.double()).dtype == torch.float64
    result = stylize(photo, model, tile=tile).image
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (torch.rand(3, 16, 16), r"(?i)got shape \(3, 16, 16\)"),
        (torch.rand(1, 1, 16, 16), "(?i)got shape"),
        (torch.zeros(1, 3, 16, 16, dtype=torch.uint8), "torch.uint8, expected floats"),
        (255 * torch.rand(1, 3, 16, 16), r"expected \[0, 1\]"),
        (torch.full((1, 3, 16, 16), math.nan), r"expected \[0, 1\]"),
        (torch.rand(1, 3, 7, 16), "sides of at least 8 px"),
    ],
)
def test_invalid_pictures_are_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        stylize(bad, untrained())


@pytest.mark.parametrize("tile", [0, -1, 2.5, "8", True])
def test_a_tile_is_a_whole_number(picture, tile):
    for size in ((16, 16), (150, 20)):
        with pytest.raises(ValueError, match="tile must be a whole number of at least 1, got"):
            stylize(picture(*size, 1), untrained(), tile=tile)


def test_a_tile_from_numpy_is_a_number(picture):
    model, photo = untrained(), picture(20, 24, 1)
    for tile in (np.int64(12), 12.0):
        assert torch.equal(stylize(photo, model, tile=tile).image, stylize(photo, model, tile=12).image)


# --- files ---


def test_a_configuration_loads_unchanged(tmp_path):
    """Every field differs from its default."""
    config = Config(
        num_steps=7, batch_size=3, image_size=40, learning_rate=0.3, cooldown=0.25, content_weight=1 / 3,
        style_weight=2e-7, tv_weight=0.0, content_layers=("relu3_3", "relu2_1"), style_layers=("relu1_1",),
        style_layer_weights=(0.5,),
        style_size=99, width=0.1, num_blocks=2, norm="instance", upsampling="resize", arch="vgg19", weights=None,
        accumulate=3, precision="bfloat16", device="cpu", seed=11,
    )  # fmt: skip
    facts = {"style": "wave", "photos": 3, "started_from": None, "seconds": 1.5, "history": {"total": [1.0]}}
    save(Model(johnson.build(config), config, facts), tmp_path / "m.safetensors")
    model = load(tmp_path / "m.safetensors")
    assert model.config == config
    assert isinstance(model.config.content_layers, tuple)
    assert model.facts == {"style": "wave", "photos": 3, "started_from": None, "seconds": 1.5, "name": "m"}
    assert not [f.name for f in dataclasses.fields(Config) if getattr(config, f.name) == getattr(Config(), f.name)]
