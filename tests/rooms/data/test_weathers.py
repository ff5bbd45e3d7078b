"""One street in eight weathers: only what the weather changes may differ."""

import pytest
import torch

from course_lib.data.facades import (
    CLASSES,
    MATERIALS,
    SEASONS,
    WEATHERS,
    class_map,
    dataset,
    draw_facade,
    weather,
    weather_photos,
)
from course_lib.data.facades.canvas import Painter

NAMES = [*CLASSES]


def painted(k, name, size=48):
    return dataset._painted(k, size, 0, given=weather.conditions(name, None, None, f"0 {k}"))


@pytest.fixture
def fills(monkeypatch):
    """What is filled with which color: (class, color, corners), in the order of drawing."""
    drawn = []
    original = Painter._fill

    def noted(self, corners, name, color, ink):
        drawn.append((name, tuple(color), tuple(corners)))
        return original(self, corners, name, color, ink)

    monkeypatch.setattr(Painter, "_fill", noted)
    return drawn


@pytest.mark.parametrize("k", range(8))
def test_labels_sketch_and_random_numbers_are_the_same_in_every_weather(k):
    states = set()
    for name in WEATHERS:
        p = painted(k, name)
        generators = p.layout.getstate(), p.look.getstate(), p.hand.getstate()
        states.add((hash(generators), p.labels.tobytes(), p.sketch.tobytes()))
    assert len(states) == 1


@pytest.mark.parametrize("k", range(4))
def test_walls_cars_and_trees_have_the_same_colors_in_every_weather(k, fills):
    """All fills, except the ground's (wet or white) and, at night, the glass of street lamps."""
    found = {}
    for name in ("clear", "golden", "overcast", "rain", "dusk"):  # snow lies on roofs and cars
        fills.clear()
        painted(k, name)
        found[name] = [each for each in fills if each[0] not in ("road", "pavement", "background")]
    near = {name: [each for each in fill if each[0] in ("car", "vegetation", "door")] for name, fill in found.items()}
    assert all(fill == near["clear"] for fill in near.values())
    places = {name: [(each[0], each[2]) for each in fill] for name, fill in found.items()}
    assert all(place == places["clear"] for place in places.values())


def test_weathers_change_the_photo():
    scenes = [draw_facade(2, size=48, weather=name).photo for name in WEATHERS]
    for k, one in enumerate(scenes):
        for other in scenes[:k]:
            assert (one - other).abs().mean() > 0.005
    clear, dusk = (weather_photos(name, range(12), size=32) for name in ("clear", "dusk"))
    assert dusk.mean() < 0.9 * clear.mean()


def test_without_a_weather_all_random_numbers_come_from_the_look():
    """So the pictures of earlier versions, with which stored networks were trained, stay as they were."""
    p = dataset._painted(0, 32, 0)
    assert all(generator is p.look for generator in (p.air, p.lamps, p.tones))
    assert p.given == weather.Conditions()


def test_only_the_chosen_material_and_season_change():
    plain = draw_facade(3, size=96, weather="overcast")
    brick = draw_facade(3, size=96, weather="overcast", material="brick")
    autumn = draw_facade(3, size=96, weather="overcast", season="autumn")
    classes = class_map(plain.labels)
    for other in (brick, autumn):
        assert torch.equal(other.labels, plain.labels)
        assert torch.equal(other.sketch, plain.sketch)
    tree = classes == NAMES.index("vegetation")
    changed = (autumn.photo - plain.photo).abs().sum(0) > 0.05
    assert changed[tree].float().mean() > 0.5  # glass may reflect a tree, nothing else follows the season
    assert changed[classes == NAMES.index("car")].float().mean() < 0.05
    road = classes == NAMES.index("road")
    torch.testing.assert_close(brick.photo[:, road], plain.photo[:, road], rtol=0, atol=0.05)


@pytest.mark.parametrize("season", SEASONS)
def test_leaves_have_the_colors_of_their_season(season):
    weights = weather.leaf_weights(season)
    assert len(weights) == len(weather.leaf_weights(None))
    assert sum(weights) > 0


def test_brick_is_redder_than_stone():
    def red(material):
        scene = draw_facade(5, size=64, weather="overcast", material=material)
        wall = class_map(scene.labels) == NAMES.index("building")
        return (scene.photo[0] - scene.photo[2])[wall].mean()

    assert set(MATERIALS) == {"plaster", "brick", "stone"}
    assert red("brick") > red("stone") + 0.05


def test_photos_of_a_weather_are_those_of_its_scenes():
    photos = weather_photos("dusk", (4, 2), size=40, seed=1)
    assert photos.shape == (2, 3, 40, 40)
    assert torch.equal(photos[1], draw_facade(2, size=40, seed=1, weather="dusk").photo)


@pytest.mark.parametrize(
    ("given", "message"),
    [({"weather": "fog"}, "fog"), ({"season": "winter"}, "winter"), ({"material": "straw"}, "straw")],
)
def test_unknown_names_are_refused_with_the_list(given, message):
    with pytest.raises(ValueError, match=message) as caught:
        draw_facade(0, size=32, **given)
    (what,) = given
    known = {"weather": WEATHERS, "season": SEASONS, "material": MATERIALS}[what]
    assert all(name in str(caught.value) for name in known)


def test_no_scenes_are_refused():
    with pytest.raises(ValueError, match="range"):
        weather_photos("dusk", ())
