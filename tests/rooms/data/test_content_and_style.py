"""Pairs of a photograph and a painting: what is paired, where it is cut, and what bad input gets.

The pictures are flat: the value of a photo or a painting is its number over 255.
"""

import pytest
import torch
from torch.utils.data import Dataset, IterableDataset

from course_lib import sample_names, save_image
from course_lib.data.content_and_style import ContentAndStyle
from course_lib.data.crops import Crops

SIZE = 16


def flat(number, height=20, width=24):
    return torch.full((1, 3, height, width), number / 255)


PHOTOS, STYLES = [flat(k) for k in range(4)], [flat(100 + k) for k in range(5)]


def pairs(photos=PHOTOS, styles=STYLES, **options):
    return ContentAndStyle(photos, styles, **{"size": SIZE, **options})


def number(crop):
    assert crop.shape == (3, SIZE, SIZE)
    assert crop.dtype == torch.float32
    return round(255 * crop.mean().item())


def test_a_pair_has_a_photo_and_a_painting_drawn_at_random():
    data = pairs()
    drawn = {}
    for k in range(200):
        content, style = data[k]
        assert number(content) == k % 4
        drawn.setdefault(number(content), []).append(number(style))
    for partners in drawn.values():  # 50 draws from five: each comes up, about ten times
        assert set(partners) == {100, 101, 102, 103, 104}
        assert max(partners.count(style) for style in set(partners)) < 25


def test_an_item_depends_on_seed_epoch_and_number_alone():
    gradient = torch.linspace(0, 1, 24).expand(1, 3, 40, 24)
    data, again = (pairs([gradient], [gradient]) for _ in range(2))
    for k in (0, 1, 7):
        assert all(torch.equal(a, b) for a, b in zip(data[k], again.item(0, k), strict=True))
    assert not torch.equal(data.item(0, 3)[1], data.item(1, 3)[1])  # another painting and crop in the next epoch
    assert not torch.equal(data[3][0], pairs([gradient], [gradient], seed=1)[3][0])
    assert not torch.equal(*data[3])  # of one picture, content and style are not cut alike


def test_the_largest_seed_has_pairs_too():
    content, style = pairs(seed=2**32 - 1)[3]
    assert (number(content), number(style) >= 100) == (3, True)


def test_load_size_sets_the_scale_of_both():
    """20 px high, resized to 40: a crop of 16 px has 8 px of the picture, so that a column is half as steep."""
    ramp = torch.arange(24).div(255).expand(1, 3, 20, 24)
    for content, style in (pairs([ramp], [ramp], load_size=40, mirror=False)[k] for k in range(20)):
        for crop in (content, style):
            slope = 255 * (crop[0, 0, -4] - crop[0, 0, 3]) / (SIZE - 7)
            assert slope.item() == pytest.approx(0.5, abs=0.02)


def test_a_callers_data_set_is_used_as_it_is():
    class Drawn(Dataset):
        def __len__(self):
            return 3

        def item(self, epoch, k):
            return flat(10 * epoch + k, SIZE, SIZE)[0]

        def __getitem__(self, k):
            return self.item(0, k)

    data = pairs(Drawn())
    assert len(data) == 3
    assert number(data.item(2, 1)[0]) == 21
    assert len(data.photos) == 3


def test_a_batch_stacks_the_items():
    data = pairs()
    contents, styles = data.batch([(0, 1), (3, 2)])
    assert torch.equal(contents[1], data.item(3, 2)[0])
    assert torch.equal(styles[1], data.item(3, 2)[1])


def test_the_packages_pictures_are_the_default():
    data = ContentAndStyle(size=SIZE)
    assert len(data) == len(Crops([flat(0)], size=SIZE))
    assert len(data.photos) == len(sample_names("photos"))
    assert len(data.styles.photos) == len(sample_names("style"))


def test_a_run_is_recognized_by_its_photos_and_its_paintings():
    known = pairs().fingerprint
    assert pairs().fingerprint == known
    assert pairs(PHOTOS[:3]).fingerprint != known
    assert pairs(styles=STYLES[1:]).fingerprint != known


def test_a_folder_of_paintings(tmp_path):
    for k, style in enumerate(STYLES):
        save_image(style, tmp_path / f"{k}.png")
    assert {number(pairs(styles=tmp_path)[k][1]) for k in range(60)} == {100, 101, 102, 103, 104}


def test_bad_input_is_named(tmp_path):
    for styles, message in (
        (tmp_path, "the paintings: there are no photos in"),
        ([], "the paintings: there are no photos to cut"),
        ([flat(0, 12, 30)], r"the paintings: a crop of 16 px needs .*\(1, 3, 12, 30\)"),
        ([flat(0) * 255 + 7], "the paintings: photo 0: values run from 7 to 7, expected"),
    ):
        with pytest.raises(ValueError, match=message):
            pairs(styles=styles)
    with pytest.raises(ValueError, match="load_size must be at least the crop's 16 px, got 12"):
        pairs(load_size=12)
    with pytest.raises(IndexError, match="pair -1 of"):
        pairs()[-1]

    class Stream(IterableDataset):
        def __iter__(self):
            yield flat(0)[0]

    with pytest.raises(ValueError, match="an unindexed iterable; give a data set with __getitem__"):
        pairs(Stream())
