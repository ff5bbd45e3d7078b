"""The measure of mouths and eyes in wrong places: what it counts on faces whose patches are known."""

import pytest
import torch

from course_lib.data.faces import PARTS, draw_face
from course_lib.painting import objective as painting_objective
from course_lib.teaching import measures, registry
from course_lib.teaching.measures import faces
from course_lib.teaching.registry import Expression

MOUTH, SKIN = PARTS.index("mouth"), PARTS.index("skin")


@pytest.fixture(autouse=True)
def random_network(monkeypatch):
    """The loss network has random weights: what a number is does not matter then."""
    network = painting_objective.cached_network

    def cached_network(arch, layers, pooling, _, *rest):
        return network(arch, layers, pooling, None, *rest)

    for module in (painting_objective, faces):
        monkeypatch.setattr(module, "cached_network", cached_network)
    monkeypatch.setattr(painting_objective, "layer_weights", lambda _, layers, **__: (1.0,) * len(layers))


def test_the_painting_itself_has_everything_in_its_place():
    painted = draw_face(0, 96, manner="painting")
    shares = faces.misplaced(painted.image, painted.parts, painted.image, painted.parts)
    assert shares == {"misplaced": 0, "on skin": 0, "lost": 0}


def test_a_mouth_that_should_be_skin_is_counted():
    """The same picture; the map says that the skin goes on where the mouth is, so each patch of the mouth is wrong."""
    painted = draw_face(0, 96, manner="painting")
    without = torch.where(painted.parts == MOUTH, SKIN, painted.parts)
    shares = faces.misplaced(painted.image, without, painted.image, painted.parts)
    kept, wanted = (faces.part_of_positions(parts)[1:-1, 1:-1] for parts in (painted.parts, without))
    wrong = ((kept == MOUTH) & (wanted != MOUTH)).double()
    assert wrong.sum() > 4
    assert shares["misplaced"] == pytest.approx(wrong.mean().item())
    assert shares["on skin"] == pytest.approx(wrong[wanted == SKIN].mean().item())
    assert shares["lost"] == 0


def test_a_mouth_that_the_painting_lacks_is_lost_and_not_misplaced():
    painted = draw_face(0, 96, manner="painting")
    without = torch.where(painted.parts == MOUTH, SKIN, painted.parts)
    shares = faces.misplaced(painted.image, painted.parts, painted.image, without)
    assert shares["misplaced"] == shares["on skin"] == 0
    assert shares["lost"] > 0.1


def test_the_measure_returns_the_numbers_of_its_rule():
    found = measures.MEASURES["faces"](0, size=48, steps=2, seed=0)
    (claim,) = (one for one in registry.load().values() if one.record == "measured_faces")
    Expression(claim.holds)(found.numbers)
    Expression(claim.effect)(found.numbers)
    assert [*found.images] == ["photograph", "painting", "global", "local", "both"]
    assert len(found.numbers) == 9


def test_a_case_is_named_by_its_face():
    assert measures._label(("faces", 2)) == "face 2"
    assert measures._read(("faces", 2), {}) == [("face", 2)]
