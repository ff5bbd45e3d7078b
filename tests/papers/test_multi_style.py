"""Dumoulin, Shlens & Kudlur 2017, one network for many styles: configuration, training, blends, a new style, files.

All tests use a small random loss network and tiny networks.
"""

import dataclasses
import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.data import IterableDataset

from course_lib import VGGFeatures, losses
from course_lib.images import resize
from course_lib.methods import johnson, multi_style
from course_lib.methods.multi_style import Config, Model, add_style, load, save, train
from course_lib.networks.multi_style_net import ConditionalInstanceNorm

TINY = {
    "num_steps": 2, "batch_size": 2, "image_size": 32, "style_size": 32, "width": 0.25, "num_blocks": 1,
    "weights": None, "precision": "float32", "device": "cpu",
}  # fmt: skip
NAMES = ("stripes", "noise")

stylize = partial(multi_style.stylize, device="cpu", precision="float32")


def tiny(**settings):
    return Config(**{**TINY, **settings})


def learner(**settings):
    """A small network whose loss falls within seconds."""
    return tiny(**{"num_steps": 80, "learning_rate": 1e-2, **settings})


@pytest.fixture
def photos(picture):
    return [picture(48, 64, seed) for seed in range(3)]


@pytest.fixture
def styles(picture):
    stripes = torch.zeros(1, 3, 40, 50)
    stripes[..., ::6] = 1.0
    return dict(zip(NAMES, (stripes, (picture(40, 50, 9) > 0.5).float()), strict=True))


def untrained(names=NAMES, **settings):
    """A model whose styles differ."""
    config = tiny(num_styles=len(names), **settings)
    network = multi_style.build(config).eval()
    with torch.random.fork_rng():
        torch.manual_seed(5)
        for name in sorted(network.names_of_rows()):  # a set has another order in each process
            network.get_parameter(name).data += 0.5 * torch.randn(len(names), 1)
    return Model(network, config, {"styles": [*names]})


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def style_sum(history, steps):
    return mean(sum(history[name][k] for name in history if name.startswith("style/")) for k in steps)


# --- the configuration of the paper and of the authors' code


def test_the_defaults_are_the_papers():
    paper = {
        "num_steps": 40_000, "batch_size": 16, "image_size": 256, "learning_rate": 1e-3,
        "content_layers": ("relu3_3",), "content_weight": 1.0, "tv_weight": 0.0,
        "style_layers": ("relu1_2", "relu2_2", "relu3_3", "relu4_3"),
        "arch": "vgg16", "weights": "default", "width": 1.0, "num_blocks": 5, "cooldown": 0.0, "style_rate": 1.0,
    }  # fmt: skip
    config = Config()
    assert {name: getattr(config, name) for name in paper} == paper
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.num_steps = 3


def test_the_fields_in_which_released_fast_and_quick_differ():
    def changed(config, reference):
        return {f.name for f in dataclasses.fields(Config) if getattr(config, f.name) != getattr(reference, f.name)}

    assert changed(Config.released(), Config()) == {"style_weight", "equalize"}
    objective = {"content_weight", "style_weight", "content_layers", "style_layers", "arch", "weights", "equalize"}
    assert not changed(Config.fast(), Config()) & objective
    assert changed(Config.quick(), Config.fast()) == {"num_steps", "image_size"}


def test_the_network_is_the_papers():
    network = multi_style.build(Config(num_styles=32))
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert [c.kernel_size[0] for c in convolutions] == [9] + [3] * 14 + [9]
    assert [c.stride[0] for c in convolutions] == [1, 2, 2] + [1] * 13
    assert all(c.bias is None for c in convolutions)
    assert sum(isinstance(module, ConditionalInstanceNorm) for module in network.modules()) == len(convolutions)
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_777_024


def test_the_weights_of_the_authors_give_their_gradient():
    """Their terms by hand, on features s times ours: mean squares of F, and of Gram matrices divided by H·W."""
    s = 57.63
    ours = torch.rand(1, 4, 5, 6, dtype=torch.float64, requires_grad=True)
    goal, content = torch.rand(1, 4, 4, dtype=torch.float64), torch.rand(1, 4, 5, 6, dtype=torch.float64)
    theirs = s * ours
    gram = theirs.flatten(2) @ theirs.flatten(2).mT / 30
    (expected,) = torch.autograd.grad(
        (theirs - s * content).square().mean() + 1e-4 * (gram - s**2 * goal).square().mean(), ours
    )
    weight = multi_style.style_weight_of_authors(1e-4, s)
    (got,) = torch.autograd.grad(
        losses.content_loss(ours, content, losses.JOHNSON) + weight * losses.style_loss(ours, goal, losses.JOHNSON),
        ours,
    )
    torch.testing.assert_close(s**2 * got, expected)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_steps", 0),
        ("num_styles", 0),
        ("learning_rate", 0.0),
        ("style_rate", -1.0),
        ("cooldown", 1.5),
        ("style_weight", math.nan),
        ("equalize", "yes"),
        ("arch", "vgg11"),
    ],
)
def test_an_invalid_field_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=field):
        Config(**{field: value})


# --- the objective


def test_a_step_is_the_papers_objective_with_a_style_for_each_picture(styles, photos):
    """Written out with autograd: each picture against the Gram matrices of its own painting, times a_s."""
    config = tiny(style_weight=3.0, content_weight=0.5)
    batch, painted = (torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(k)) for k in (1, 2))
    loss = multi_style.objective([*styles.values()], config, batch)
    chosen = torch.tensor([1, 0, 1])
    x = painted.clone().requires_grad_()
    loss(x, batch, chosen).sum().backward()
    vgg = VGGFeatures("vgg16", config.style_layers, pooling="max", weights=None)
    y = painted.clone().requires_grad_()
    found, content = vgg(y), vgg(batch)["relu3_3"]
    expected = 0.5 * (found["relu3_3"] - content).square().mean()
    for layer in config.style_layers:
        goals = [losses.gram_matrix(vgg(resize(style, 32))[layer], mean=True) for style in styles.values()]
        apart = losses.gram_matrix(found[layer], mean=True) - torch.cat(goals)[chosen]
        expected = expected + 3.0 * (loss.factors[chosen] * apart.square().mean((1, 2))).mean()
    expected.backward()
    torch.testing.assert_close(loss(painted, batch, chosen).sum(), expected.detach(), rtol=1e-4, atol=0)
    torch.testing.assert_close(x.grad, y.grad, rtol=1e-3, atol=1e-3 * y.grad.abs().max().item())


def test_for_photos_the_style_terms_of_all_paintings_are_equal(styles):
    photos = torch.rand(4, 3, 32, 32)
    loss = multi_style.objective([*styles.values()], tiny(), photos)
    terms = loss.style_terms(photos)
    torch.testing.assert_close(terms[0], terms[1])
    plain = multi_style.objective([*styles.values()], tiny(equalize=False), photos).style_terms(photos)
    assert plain.max() > 1.2 * plain.min()
    assert terms[0].item() == pytest.approx(plain.log().mean().exp().item(), rel=1e-5)


# --- training


def test_all_styles_are_learned_and_differ(styles, photos, picture):
    model = train(styles, photos, learner())
    history = model.facts["history"]
    assert style_sum(history, range(70, 80)) < 0.4 * style_sum(history, range(5))
    assert model.styles == NAMES
    assert model.config.num_styles == 2
    unseen = picture(40, 48, 77)
    loss = multi_style.objective([*styles.values()], model.config, unseen, model.facts["style_start"])
    table = torch.stack([loss.style_terms(stylize(unseen, model, name).image) for name in NAMES])
    assert (table.diagonal() < 0.5 * loss.style_terms(unseen)).all()
    assert (table.argmin(0) == torch.arange(2)).all()  # each painting is nearest to the pictures in its own style


def test_the_learning_rate_of_scales_and_shifts_has_its_own_factor(styles, photos):
    first = multi_style.build(tiny(num_styles=2)).state_dict()
    model = train(styles, photos, tiny(num_steps=1, learning_rate=1e-3, style_rate=10.0))
    steps = {name: (value - first[name]).abs().max().item() for name, value in model.network.state_dict().items()}
    rows = model.network.names_of_rows()  # Adam's first step is the learning rate, where the gradient is not tiny
    assert max(step for name, step in steps.items() if name in rows) == pytest.approx(1e-2, rel=1e-3)
    assert max(step for name, step in steps.items() if name not in rows) == pytest.approx(1e-3, rel=1e-3)


def test_a_painter_of_one_style_can_be_the_start(styles, photos):
    shape = {"width": 0.25, "num_blocks": 1}
    painter = johnson.Config(**shape, norm="instance", upsampling="resize", weights=None)
    start = johnson.Model(johnson.build(painter), painter, {"name": "wave"})
    model = train(styles, photos, tiny(learning_rate=1e-12), start=start)
    torch.testing.assert_close(model.network.down[0].weight, start.network.down[0].weight, rtol=0, atol=1e-7)
    assert model.facts["started_from"] == "wave"


def test_a_start_gives_the_styles_that_it_has(styles, photos):
    start = untrained(("other", "noise"))
    model = train(styles, photos, tiny(learning_rate=1e-12), start=start)
    rows, given = model.network.down[1].weight, start.network.down[1].weight
    torch.testing.assert_close(rows[1], given[1], rtol=0, atol=1e-7)
    torch.testing.assert_close(rows[0], given.mean(0), rtol=0, atol=1e-7)


def test_a_preview_shows_all_styles(styles, photos, picture):
    shown = []
    train(styles, photos, tiny(), preview=picture(16, 20, 3), callback=lambda progress: shown.append(progress.image()))
    assert [image.shape for image in shown] == [(1, 3, 16, 40)] * 2
    with pytest.raises(ValueError, match="the preview"):
        train(styles, photos, tiny(), preview=picture(4, 4, 3))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({}, r"styles must map names to paintings.* got the names \[\]"),
        (torch.rand(1, 3, 16, 16), "got Tensor"),
        ({"a": torch.rand(2, 3, 16, 16)}, "the painting a"),
        ({"a": 255 * torch.rand(1, 3, 16, 16)}, "the painting a"),
        ({"": torch.rand(1, 3, 16, 16)}, r"got the names \[''\]"),
    ],
)
def test_what_is_no_painting_by_name_is_refused(photos, bad, message):
    with pytest.raises(ValueError, match=message):
        train(bad, photos, tiny())


def test_photos_without_numbers_are_refused(styles):
    class Stream(IterableDataset):
        def __iter__(self):
            return iter([])

    with pytest.raises(ValueError, match="photos must be a map-style data set"):
        train(styles, Stream(), tiny())


@pytest.mark.parametrize("bad", [johnson, "wave", untrained().network])
def test_a_start_is_a_model(styles, photos, bad):
    with pytest.raises(TypeError, match="start must be what multi_style.train or multi_style.load returns"):
        train(styles, photos, tiny(), start=bad)


def test_a_checkpoint_belongs_to_the_paintings_and_their_order(styles, photos, tmp_path):
    """The rows of γ and β have numbers, not names."""
    train(styles, photos, tiny(num_steps=1), checkpoint=tmp_path / "run")
    for other in (dict(reversed(styles.items())), {**styles, "noise": 1 - styles["noise"]}):
        with pytest.raises(ValueError, match="trained with other style images, or another order of them; give the old"):
            train(other, photos, tiny(num_steps=2), checkpoint=tmp_path / "run")
    assert train(styles, photos, tiny(num_steps=2), checkpoint=tmp_path / "run").facts["steps"] == 2


# --- a new style


def test_a_new_style_changes_nothing_but_its_row(styles, photos, picture):
    model = untrained()
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    more = add_style(model, "dots", (picture(40, 40, 4) > 0.7).float(), photos, tiny(num_steps=3, learning_rate=0.1))
    assert more.styles == (*NAMES, "dots")
    assert more.config.num_styles == 3
    torch.testing.assert_close(model.network.state_dict(), before, rtol=0, atol=0)
    for name, value in more.network.state_dict().items():
        if name in more.network.names_of_rows():
            assert torch.equal(value[:2], before[name])
            assert not any(torch.equal(value[2], row) for row in before[name])  # it was trained
        else:
            assert torch.equal(value, before[name])
    photo = picture(20, 24, 1)
    assert torch.equal(stylize(photo, more, "noise").image, stylize(photo, model, "noise").image)


def test_the_convolutions_are_those_of_the_model_while_a_new_style_is_learned(styles, photos, picture):
    """What the callback sees at the last step is what the new model paints."""
    shown, photo = [], picture(20, 24, 1)
    more = add_style(
        untrained(), "dots", (picture(40, 40, 4) > 0.7).float(), photos, tiny(num_steps=3, learning_rate=0.1),
        preview=photo, callback=lambda progress: shown.append(progress.image()),
    )  # fmt: skip
    assert (shown[-1] - shown[0]).abs().max() > 0.01
    torch.testing.assert_close(shown[-1], stylize(photo, more, "dots").image)


def test_a_new_style_has_the_balance_of_the_others(styles, photos):
    model = replace(untrained(), facts={"styles": [*NAMES], "style_start": 0.125})
    more = add_style(model, "new", 1 - styles["noise"], photos, tiny(num_steps=1))
    assert more.facts["style_start"] == 0.125


def test_a_new_style_starts_from_the_nearest_one(styles, photos):
    model = train(styles, photos, learner(num_steps=40))
    more = add_style(model, "again", styles["noise"], photos, tiny(learning_rate=1e-12))
    rows = more.network.down[1].weight
    torch.testing.assert_close(rows[2], rows[1], rtol=0, atol=1e-7)


def test_a_new_style_is_learned(styles, photos, picture):
    """By an eighth of its numbers; the terms are compared on a photo that was not trained on."""
    model, new = train(styles, photos, learner(num_steps=150)), 1 - styles["stripes"].mT.contiguous()
    more = add_style(model, "across", new, photos, learner(num_steps=120, style_rate=2.0))
    unseen = picture(40, 48, 77)
    loss = multi_style.objective([new], model.config, unseen)
    nearest = min(loss.style_terms(stylize(unseen, model, name).image).item() for name in NAMES)
    assert loss.style_terms(stylize(unseen, more, "across").image).item() < 0.8 * nearest


def test_without_a_configuration_a_new_style_takes_an_eighth_of_the_steps(styles, photos):
    more = add_style(untrained(num_steps=24), "new", styles["noise"], photos)
    assert more.facts["steps"] == 3
    assert more.config == untrained(num_steps=3, names=("a", "b", "c")).config


def test_a_name_is_given_once(styles, photos):
    with pytest.raises(ValueError, match="the model already has a style 'noise'"):
        add_style(untrained(), "noise", styles["noise"], photos)


def test_a_new_style_needs_the_shape_of_the_model(styles, photos):
    with pytest.raises(ValueError, match=r"has width=0.25, not 0.5"):
        add_style(untrained(), "new", styles["noise"], photos, tiny(width=0.5))


# --- painting


def test_weights_are_shares(picture):
    model, photo = untrained(), picture(20, 24, 1)
    alone = {name: stylize(photo, model, name).image for name in NAMES}
    assert (alone["stripes"] - alone["noise"]).abs().max() > 0.01
    torch.testing.assert_close(stylize(photo, model, {"noise": 7}).image, alone["noise"])
    torch.testing.assert_close(stylize(photo, model, {"noise": 2.0, "stripes": 0}).image, alone["noise"])
    half = stylize(photo, model, {"stripes": 1, "noise": 1}).image
    torch.testing.assert_close(stylize(photo, model, {"noise": 0.3, "stripes": 0.3}).image, half)
    row = model.network(photo, torch.tensor([[0.5, 0.5]]))
    torch.testing.assert_close(half, row.detach(), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("size", "tile"), [((10, 90), 16), ((61, 45), 7), ((61, 45), 44)])
def test_tiles_equal_the_whole_picture(picture, size, tile):
    model, photo = untrained(), picture(*size, 1)
    whole, tiled = (stylize(photo, model, {"stripes": 1, "noise": 2}, tile=side).image for side in (None, tile))
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("style", "message"),
    [
        ("poppies", "this model has no style 'poppies'; it has stripes, noise"),
        ({"noise": 1, "poppies": 0}, "no style 'poppies'"),
        ({"noise": -1.0, "stripes": 2}, "the weights must be 2 numbers of at least 0 for the styles, not all 0"),
        ({"noise": 0.0}, "not all 0"),
        ({"noise": math.inf}, "must be 1 numbers"),
        ({}, "got none; the styles are stripes, noise"),
        (["noise"], "got list"),
    ],
)
def test_a_style_that_is_not_there_and_weights_without_a_meaning_are_refused(picture, style, message):
    with pytest.raises(ValueError, match=message):
        stylize(picture(16, 16, 1), untrained(), style)


@pytest.mark.parametrize("bad", [torch.rand(3, 16, 16), 255 * torch.rand(1, 3, 16, 16), torch.rand(1, 3, 7, 16)])
def test_invalid_pictures_are_refused(bad):
    with pytest.raises(ValueError, match="the photos"):
        stylize(bad, untrained(), "noise")


def test_a_model_of_another_method_is_refused(picture):
    config = johnson.Config(width=0.25, num_blocks=1)
    with pytest.raises(TypeError, match=r"got a johnson.Model"):
        stylize(picture(16, 16, 1), johnson.Model(johnson.build(config), config, {}), "noise")


def test_painting_draws_no_random_numbers(picture):
    model, before = untrained(), torch.get_rng_state()
    stylize(picture(20, 24, 1), model, {"noise": 1, "stripes": 2})
    assert torch.equal(torch.get_rng_state(), before)


# --- files


def test_names_and_styles_come_back_from_a_file(tmp_path, picture):
    model, photo = untrained(), picture(20, 24, 1)
    save(model, tmp_path / "two.safetensors")
    again = load(tmp_path / "two.safetensors")
    assert again.styles == NAMES
    assert again.config == model.config
    for name in NAMES:
        assert torch.equal(stylize(photo, again, name).image, stylize(photo, model, name).image)


def test_a_file_of_more_styles_has_more_rows(tmp_path, styles, photos):
    more = add_style(untrained(), "new", 1 - styles["noise"], photos, tiny())
    save(more, tmp_path / "three.safetensors")
    assert load(tmp_path / "three.safetensors").styles == (*NAMES, "new")


def test_without_names_styles_are_counted():
    model = untrained()
    assert replace(model, facts={}).styles == ("style 0", "style 1")
