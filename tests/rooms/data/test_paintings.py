"""Paintings by name and by number: draws that depend on seed, epoch and item alone; weights from names."""

import math

import pytest
import torch
from torch.utils.data import Dataset

from course_lib.data.paintings import WithStyle, painting_names, style_weights

PHOTOS = [torch.full((3, 8, 8), k / 10) for k in range(10)]
NAMES = ("wave", "cafe", "poppies")


def draws(data, epoch=0):
    return [int(data.item(epoch, k)[1]) for k in range(len(data))]


def test_draws_depend_on_seed_epoch_and_item_alone():
    first = WithStyle(PHOTOS, 5, seed=1)
    torch.manual_seed(99)
    again = WithStyle(PHOTOS, 5, seed=1)
    assert draws(first) == draws(again) == [int(again[k][1]) for k in range(10)]
    assert draws(first, 1) != draws(first)
    assert draws(WithStyle(PHOTOS, 5, seed=2)) != draws(first)


def test_all_paintings_are_drawn_equally_often():
    counts = torch.bincount(torch.tensor(draws(WithStyle(PHOTOS * 300, 3, seed=0))))
    assert (counts - 1000).abs().max() < 4 * (3000 * 2 / 9) ** 0.5  # four standard deviations


def test_items_are_those_of_the_photos():
    data = WithStyle(PHOTOS, 2, seed=0)
    assert len(data) == len(data.photos) == 10
    assert all(torch.equal(data[k][0], photo) for k, photo in enumerate(PHOTOS))
    photos, styles = data.batch([(0, 3), (2, 7)])
    assert torch.equal(photos, torch.stack([PHOTOS[3], PHOTOS[7]]))
    assert styles.tolist() == [int(data.item(0, 3)[1]), int(data.item(2, 7)[1])]


def test_photos_may_change_from_epoch_to_epoch():
    class Changing(Dataset):
        fingerprint, photos = "these", [1, 2]

        def __len__(self):
            return 10

        def item(self, epoch, k):
            return torch.full((3, 8, 8), epoch + k / 10)

    data = WithStyle(Changing(), 2, seed=0)
    assert data.item(1, 3)[0].max().item() == pytest.approx(1.3)
    assert (data.fingerprint, data.photos) == ("these", [1, 2])


# --- names
def test_names_come_in_their_order():
    assert painting_names({name: torch.rand(1, 3, 8, 8) for name in NAMES}) == NAMES


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({}, r"got the names \[\]"),
        ([torch.rand(1, 3, 8, 8)], "got list"),
        ({1: torch.rand(1, 3, 8, 8)}, r"got the names \[1\]"),
        ({"wave": torch.rand(3, 8, 8)}, "the painting wave"),
        ({"wave": torch.full((1, 3, 8, 8), math.nan)}, "the painting wave"),
    ],
)
def test_anything_else_is_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        painting_names(bad)


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("cafe", [0, 1, 0]),
        ({"cafe": 3}, [0, 1, 0]),
        ({"poppies": 1, "wave": 3.0}, [0.75, 0, 0.25]),
        ({"wave": 0, "cafe": torch.tensor(2.0)}, [0, 1, 0]),
    ],
)
def test_weights_are_scaled_to_the_sum_one(style, expected):
    assert style_weights(style, NAMES).tolist() == expected


@pytest.mark.parametrize("number", [1e-320, 1e-50, 1e300])
def test_weights_that_float32_cannot_hold_are_shares_all_the_same(number):
    assert style_weights({"wave": number, "poppies": number}, NAMES).tolist() == [0.5, 0, 0.5]
    assert style_weights({"cafe": number}, NAMES).tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("style", "message"),
    [
        ("sunflowers", "this model has no style 'sunflowers'; it has wave, cafe, poppies"),
        ({"wave": 1, "x": 1}, "no style 'x'"),
        ({"wave": -1, "cafe": 2}, "the weights must be 2 numbers of at least 0 for the styles, not all 0"),
        ({"wave": 0}, "not all 0"),
        ({"wave": math.nan}, "at least 0"),
        ({"wave": "much"}, "at least 0"),
        ({}, "got none; the styles are wave, cafe, poppies"),
        (2, "got int"),
    ],
)
def test_weights_without_a_meaning_are_refused(style, message):
    with pytest.raises(ValueError, match=message):
        style_weights(style, NAMES)
