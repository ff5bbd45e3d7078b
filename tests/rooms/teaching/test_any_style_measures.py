"""The measures of chapter 12: what each number is when the pictures are known in advance."""

from dataclasses import replace

import pytest
import torch

from course_lib import sample_image, samples
from course_lib.methods import adain, johnson, multi_style
from course_lib.networks.adain_decoder import AdaINDecoder
from course_lib.teaching import measures, registry
from course_lib.teaching.measures import any_style, cases, several_styles

NAMES = tuple(name for name in samples.sample_names("style") if name not in cases.NEW_PAINTINGS)


def model_of(names=NAMES):
    """An untrained network of these styles, whose loss network is random."""
    config = multi_style.Config(
        num_styles=len(names), width=0.1, num_blocks=1, weights=None, device="cpu", image_size=32, style_size=32
    )
    return multi_style.Model(multi_style.build(config).eval(), config, {"styles": [*names]})


@pytest.fixture
def twelve(monkeypatch):
    """A tiny network takes the place of the trained one."""
    model = model_of()
    monkeypatch.setattr(multi_style, "load", lambda name: model)
    return model


@pytest.fixture
def untrained(monkeypatch):
    """The decoder that is published is a small untrained one, and its encoder has random weights."""
    network = any_style.cached_network
    config = adain.Config(weights=None, device="cpu", precision="float32")
    model = adain.Model(AdaINDecoder(channels=64).eval(), config, {})
    monkeypatch.setattr(adain, "published", lambda: model)
    for module in (any_style, several_styles):
        monkeypatch.setattr(
            module,
            "cached_network",
            lambda arch, layers, pooling, _, *rest: network(arch, layers, pooling, None, *rest),
        )


def painted(picture):
    """A stylization whose result is known."""
    return lambda *_, **__: multi_style.Result(picture, {"seconds": [0.0]})


def test_the_paintings_of_the_cases_are_twelve_and_three():
    everything = set(samples.sample_names("style"))
    assert len(NAMES) == 12
    assert len(set(cases.NEW_PAINTINGS)) == 3
    asked = {*cases.PAINTERS, *(name for blend in cases.BLENDS for name in blend)}
    assert asked <= set(NAMES) <= everything


def test_colors_apart_are_computed_by_hand():
    """One channel: means 0.2 apart, and a variance of 0.02 where the other picture has a single color."""
    image, gray = torch.full((1, 3, 1, 2), 0.5), torch.full((1, 3, 4, 4), 0.5)
    image[0, 0, 0] = torch.tensor([0.6, 0.8])
    assert any_style._color_distance(image, gray) == pytest.approx(0.2 + 0.02, rel=1e-4)
    assert any_style._color_distance(gray, gray) == 0


def test_at_alpha_0_the_painting_does_not_matter(untrained):
    photo = sample_image("cat", (32, 32))
    one, other = (any_style.alpha(photo, sample_image(name, (32, 32))) for name in ("great_wave", "poppies"))
    assert set(one.images) == {f"α = {a:g}" for a in any_style.SHARES}
    assert one.numbers["content at 0"] == other.numbers["content at 0"]
    assert one.numbers["style at 0"] != other.numbers["style at 0"]


def test_a_stylization_that_returns_the_photo_has_no_content_loss_and_moves_nowhere(untrained, monkeypatch):
    photo, painting = sample_image("cat", (32, 32)), sample_image("great_wave", (32, 32))
    monkeypatch.setattr(adain, "stylize", painted(photo))
    numbers = any_style.alpha(photo, painting).numbers
    assert [numbers[f"content at {a:g}"] for a in any_style.SHARES] == [0] * 5
    assert len({numbers[f"style at {a:g}"] for a in any_style.SHARES}) == 1
    assert not registry.Expression(registry.find("adain.alpha_monotone").holds)(numbers)


def test_each_half_is_compared_with_its_own_painting(untrained, monkeypatch):
    """Halves that *are* the paintings have distance 0 to their own and not to the other."""
    photo, names = sample_image("cat", (32, 64)), ("great_wave", "poppies")
    square = {name: sample_image(name, (32, 32)) for name in names}
    asked = []

    def stylize(content, styles, **options):
        asked.append(options)
        return adain.Result(torch.cat([*square.values()], -1), {})

    monkeypatch.setattr(adain, "stylize", stylize)
    monkeypatch.setattr(samples, "sample_image", lambda name, size: square[name])
    found = any_style.run_time(photo, blend=names, size=32)
    assert found.numbers["first in its half"] == found.numbers["second in its half"] == 0
    assert min(found.numbers["first in the other half"], found.numbers["second in the other half"]) > 0
    (masks,) = [options["masks"] for options in asked if "masks" in options]
    assert masks.shape == (2, 1, 32, 64)
    assert torch.equal(masks[0, 0, 0], torch.tensor([1.0] * 32 + [0.0] * 32))
    assert torch.equal(masks.sum(0), torch.ones(1, 32, 64))
    assert [options["weights"] for options in asked if "weights" in options] == [(0, 1), (0.5, 0.5), (1, 0)]


def test_the_nearest_painting_is_counted(twelve, untrained, monkeypatch):
    photo = sample_image("cat", (32, 32))
    monkeypatch.setattr(multi_style, "stylize", lambda _, model, style: painted(sample_image(style, 32))())
    assert several_styles.own_style(photo, size=32).numbers == {"own painting is nearest": 1.0}
    monkeypatch.setattr(multi_style, "stylize", painted(sample_image(NAMES[3], 32)))
    assert several_styles.own_style(photo, size=32).numbers == {"own painting is nearest": pytest.approx(1 / 12)}


@pytest.fixture
def tiny_painter(monkeypatch):
    """A painter that nobody has trained, with a random loss network."""
    config = johnson.Config(width=0.1, num_blocks=1, weights=None, device="cpu", norm="instance", style_size=32)
    model = johnson.Model(johnson.build(config).eval(), config, {})
    monkeypatch.setattr(johnson, "load", lambda name: model)
    return model


def test_networks_that_paint_the_same_have_a_quotient_of_one(twelve, tiny_painter, monkeypatch):
    photo = sample_image("cat", (32, 32))
    alone = johnson.stylize(photo, tiny_painter).image
    monkeypatch.setattr(multi_style, "stylize", painted(alone))
    numbers = several_styles.near_single(photo, painter="great_wave").numbers
    assert numbers["content"] == numbers["style"] == 1
    objective = sum(numbers[f"{part}, this painting alone"] for part in ("content", "style"))
    tv_free = replace(tiny_painter, config=replace(tiny_painter.config, tv_weight=0.0))
    expected = johnson.evaluate(photo, sample_image("great_wave"), tv_free)
    assert objective == pytest.approx(expected[0], rel=1e-4)
    monkeypatch.setattr(multi_style, "stylize", painted(photo))
    assert several_styles.near_single(photo, painter="great_wave").numbers["content"] == 0


def test_the_line_between_two_paintings_is_walked_from_the_second_to_the_first(twelve, monkeypatch):
    """Where the network mixes pixels, the picture of weight 1 is the painting itself: its style loss is 0."""
    first, second = (sample_image(name, (32, 32)) for name in ("great_wave", "poppies"))
    monkeypatch.setattr(samples, "sample_image", lambda name: first if name == "great_wave" else second)
    whole = johnson.Config
    monkeypatch.setattr(
        johnson, "Config", lambda device: whole(weights=None, device=device, style_size=32, precision="float32")
    )
    monkeypatch.setattr(
        multi_style, "stylize",
        lambda photo, model, mix: painted(mix["great_wave"] * first + mix["poppies"] * second)(),
    )  # fmt: skip
    numbers = several_styles.interpolation(torch.rand(1, 3, 32, 32), blend=("great_wave", "poppies")).numbers
    assert numbers["first at 1"] == pytest.approx(0, abs=1e-9)
    assert numbers["second at 0"] == pytest.approx(0, abs=1e-9)
    assert min(numbers["first at 0"], numbers["second at 1"]) > 1e-6


def test_a_new_style_has_an_eighth_of_the_steps_and_the_same_objective(twelve, monkeypatch):
    asked = {}

    def learned(kind):
        def train(*arguments, **options):
            asked[kind] = arguments[-1]
            return model_of(("harvest",))

        return train

    monkeypatch.setattr(multi_style, "add_style", learned("added"), raising=False)
    monkeypatch.setattr(multi_style, "train", learned("alone"))
    numbers = several_styles.new_style(new_painting="harvest", seed=3, size=32, steps=16).numbers
    assert (asked["added"].num_steps, asked["alone"].num_steps) == (2, 16)
    assert replace(asked["added"], num_steps=16) == asked["alone"]
    assert (asked["alone"].seed, asked["alone"].image_size, asked["alone"].equalize) == (3, 32, False)
    assert numbers["largest quotient"] == numbers["smallest quotient"] == 1  # two networks of one seed


def test_ways_take_turns_and_the_first_turn_does_not_count(monkeypatch):
    calls, now = [], [0.0]

    def way(name, seconds):
        calls.append(name)
        now[0] += seconds[calls.count(name) - 1]

    monkeypatch.setattr(several_styles.runtime, "pick_device", lambda name: torch.device("cpu"))
    monkeypatch.setattr(several_styles.time, "process_time", lambda: now[0])
    ways = {"a": lambda: way("a", [9, 1, 2, 3]), "b": lambda: way("b", [9, 5, 5, 8])}
    assert several_styles._in_turns(ways, 3) == {"a": 2, "b": 5}
    assert calls == ["a", "b"] * 4


def test_a_style_adds_one_fifth_of_a_percent():
    """The count that makes `dumoulin.parameters` a theorem: two numbers for each normalized channel."""
    channels = 32 + 64 + 128 + 5 * 2 * 128 + 64 + 32 + 3
    sizes = [
        sum(parameter.numel() for parameter in multi_style.build(multi_style.Config(num_styles=count)).parameters())
        for count in (1, 2)
    ]
    assert (2 * channels, sizes[0], sizes[1] - sizes[0]) == (3206, 1_677_638, 3206)
    assert round(100 * 3206 / sizes[0], 2) == 0.19
    assert "3,206 of 1,677,638" in registry.find("dumoulin.parameters").theorem


def test_every_measure_of_the_chapter_decides_a_claim():
    modules = {any_style.__name__, several_styles.__name__}
    names = {name for name, function in measures.MEASURES.items() if function.__module__ in modules}
    decided = {claim.record for claim in registry.load().values() if claim.chapter == "12"}
    assert {measures.PREFIX + name for name in names} == decided
