"""Faces drawn by code: parts where a face has them, the same face in both manners, another one for each number."""

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib.data.faces import MANNERS, PARTS, draw_face
from course_lib.data.strokes import brush_strokes


def middle(parts, name):
    """Row and column, in parts of the side."""
    return (parts == PARTS.index(name)).nonzero().double().mean(0) / len(parts)


@pytest.mark.parametrize("k", range(5))
def test_brows_eyes_nose_and_mouth_lie_below_one_another_in_the_face(k):
    parts = draw_face(k, 64, seed=3).parts
    rows = [middle(parts, name)[0] for name in ("brows", "eyes", "nose", "mouth", "clothes")]
    assert rows == sorted(rows)
    assert (parts == PARTS.index("hair")).nonzero()[0, 0] < (parts == PARTS.index("brows")).nonzero()[0, 0]
    columns = torch.stack([middle(parts, name)[1] for name in ("eyes", "nose", "mouth")])
    assert (columns - middle(parts, "skin")[1]).abs().max() < 0.1
    shares = {name: (parts == number).double().mean() for number, name in enumerate(PARTS)}
    assert shares["skin"] > 0.15
    assert all(0.005 < shares[name] < 0.06 for name in ("eyes", "nose", "mouth"))


def test_there_are_two_eyes():
    parts = draw_face(2, 64).parts
    columns = (parts == PARTS.index("eyes")).any(0).long()
    assert (columns.diff() == 1).sum() == 2


def test_every_fourth_face_has_a_moustache():
    moustaches = [bool((draw_face(k, 32).parts == PARTS.index("moustache")).any()) for k in range(6)]
    assert moustaches == [False, True, False, False, False, True]


def test_the_manner_changes_the_picture_and_not_the_parts():
    photograph, painting = (draw_face(1, 48, 2, manner) for manner in MANNERS)
    torch.testing.assert_close(photograph.parts, painting.parts, rtol=0, atol=0)
    assert (photograph.image - painting.image).abs().mean() > 0.05


def test_a_painting_has_strong_colors_and_visible_strokes():
    def saturation(image):
        return (image.amax(1) - image.amin(1)).mean()

    def roughness(image):  # of the wall, beside the head
        return image[..., :20, :8].diff(dim=-1).abs().mean()

    photograph, painting = (draw_face(0, 64, manner=manner).image for manner in MANNERS)
    assert saturation(painting) > 1.5 * saturation(photograph)
    assert roughness(painting) > 3 * roughness(photograph)


def test_a_face_depends_on_its_number_and_its_seed_alone():
    face = draw_face(3, 32, 5, "painting")
    torch.testing.assert_close(face.image, draw_face(3, 32, 5, "painting").image, rtol=0, atol=0)
    for other in (draw_face(7, 32, 5), draw_face(3, 32, 6)):
        assert (face.parts != other.parts).any()


def test_the_parts_of_neighbors_lie_elsewhere():
    for k in range(3):
        here, there = draw_face(k, 64).parts, draw_face(k + 1, 64).parts
        mouth = PARTS.index("mouth")
        shared = ((here == mouth) & (there == mouth)).sum() / ((here == mouth) | (there == mouth)).sum()
        assert shared < 0.75


def test_sizes_show_the_same_face():
    small, large = draw_face(0, 32), draw_face(0, 96)
    assert small.image.shape == (1, 3, 32, 32)
    assert 0 <= small.image.min() < small.image.max() <= 1
    shrunk = torch.nn.functional.avg_pool2d(large.image, 3)
    assert (shrunk - small.image).abs().mean() < 0.02
    assert (large.parts[1::3, 1::3] == small.parts).double().mean() > 0.95


def test_a_picture_of_one_color_stays_near_it_under_strokes():
    flat = Image.new("RGB", (96, 96), (200, 120, 40))
    painted = np.asarray(brush_strokes(flat, Image.new("L", flat.size), np.random.default_rng(0)), float)
    assert np.abs(painted.mean((0, 1)) - (200, 120, 40)).max() < 6
    assert painted.std(axis=(0, 1)).min() > 3


@pytest.mark.parametrize(
    ("arguments", "told"),
    [((-1,), "k"), ((0, 16), "size"), ((0, 64, 0, "fresco"), "manner"), ((0, 64, -1), "seed"), ((0.5,), "k")],
)
def test_what_cannot_be_drawn_is_refused_by_name(arguments, told):
    with pytest.raises(ValueError, match=told):
        draw_face(*arguments)
