"""Two domains without pairs; the blue channel numbers the pictures, A from 0 and B from 100."""

import pytest
import torch
from test_pairs import map_of
from torch.utils.data import DataLoader

from course_lib import save_image
from course_lib.data.unpaired import UnpairedImages
from course_lib.images import ImageError, resize
from course_lib.training import batches
from course_lib.training.distributed import Group


def domain(count, offset=0, size=(16, 16)):
    return [map_of(*size, offset + k) for k in range(count)]


def numbers(items):
    """The number of A's and of B's picture in each item."""
    return [tuple(round(255 * item[c, 2].mean().item()) for c in (0, 1)) for item in items]


def epoch_of(unpaired, epoch):
    return numbers(unpaired.item(epoch, k) for k in range(len(unpaired)))


@pytest.mark.parametrize(("count_a", "count_b"), [(7, 7), (20, 6), (6, 20), (1, 5)])
def test_every_epoch_shows_the_larger_domain_once_and_the_smaller_evenly(count_a, count_b):
    unpaired = UnpairedImages(domain(count_a), domain(count_b, 100), size=16)
    assert len(unpaired) == max(count_a, count_b)
    for epoch in range(6):
        for column, start, count in zip(zip(*epoch_of(unpaired, epoch), strict=True), (0, 100), (count_a, count_b),
                                        strict=True):  # fmt: skip
            counts = [column.count(start + k) for k in range(count)]
            assert sum(counts) == len(unpaired)
            assert max(counts) - min(counts) <= 1
            assert min(counts) == len(unpaired) // count


def test_training_gets_every_picture_of_both_domains_in_every_epoch():
    """Loaded as in the training loop: ten epochs, in batches that do not divide an epoch."""
    unpaired = UnpairedImages(domain(30), domain(50, 100), size=16)
    loaded = batches.load(unpaired, range(125), 4, 0, group=Group(), workers=0, device=torch.device("cpu"))
    seen = numbers(item for batch in loaded for item in batch)
    for epoch in range(10):
        a, b = (set(column) for column in zip(*seen[50 * epoch : 50 * (epoch + 1)], strict=True))
        assert a == {*range(30)}
        assert b == {*range(100, 150)}


def test_partners_change_from_epoch_to_epoch_and_with_the_seed():
    unpaired = UnpairedImages(domain(12), domain(8, 100), size=16)
    first, second = epoch_of(unpaired, 0), epoch_of(unpaired, 1)
    assert [a for a, _ in first] == [a for a, _ in second] == [*range(12)]
    assert first != second
    assert epoch_of(unpaired, 0) == numbers(unpaired[k] for k in range(12)) == first
    assert epoch_of(UnpairedImages(domain(12), domain(8, 100), size=16, seed=1), 0) != first
    partners = {b for epoch in range(60) for a, b in [epoch_of(unpaired, epoch)[0]]}
    assert len(partners) == 8  # probability that one is missing after 60 epochs: 8 · (7/8)^60 = 0.3 %


def test_items_are_the_same_in_any_order():
    options = {"size": 12, "load_size": 16, "mirror": True}
    forward, backward = (UnpairedImages(domain(5), domain(3, 100), **options) for _ in range(2))
    places = [(epoch, k) for epoch in range(3) for k in range(5)]
    before = torch.get_rng_state()
    kept = [forward.item(*place) for place in places]
    assert all(torch.equal(backward.item(*place), item) for place, item in reversed([*zip(places, kept, strict=True)]))
    assert torch.equal(torch.get_rng_state(), before)


def test_each_picture_is_cropped_and_mirrored_independently():
    """In 200 items, the left edges (0 to 4) and the flips of A and B agree only as often as by chance."""
    unpaired = UnpairedImages(
        domain(1, size=(20, 20)), domain(1, 100, size=(20, 20)), size=16, load_size=20, mirror=True
    )
    edges, flips = [], []
    for epoch in range(200):
        item = unpaired.item(epoch, 0)
        assert item.shape == (2, 3, 16, 16)
        edges.append([int((255 * picture[0]).round().min()) for picture in item])
        flips.append([bool(picture[0, 0, 0] > picture[0, 0, -1]) for picture in item])
    assert {edge for pair in edges for edge in pair} == {0, 1, 2, 3, 4}
    assert abs(sum(a == b for a, b in edges) - 40) < 23  # four standard deviations of √(200 · 0.2 · 0.8)
    assert abs(sum(a == b for a, b in flips) - 100) < 29  # four standard deviations of 200 coin flips
    plain = UnpairedImages(domain(1, size=(20, 20)), domain(1, 100, size=(20, 20)), size=16, load_size=20)
    assert not any(picture[0, 0, 0] > picture[0, 0, -1] for epoch in range(50) for picture in plain.item(epoch, 0))


def test_domains_are_folders_or_pictures_of_any_size(tmp_path):
    for k, picture in enumerate(domain(3, size=(16, 24))):
        save_image(picture, tmp_path / f"{k}.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    from_folder, given = (
        UnpairedImages(a, domain(2, 100, (30, 20)), size=12) for a in (tmp_path, domain(3, 0, (16, 24)))
    )
    assert len(from_folder) == 3
    assert all(torch.equal(from_folder[k], given[k]) for k in range(3))
    assert torch.equal(given[1][0], resize(map_of(16, 24, 1), (12, 12))[0])
    batch = next(iter(DataLoader(UnpairedImages(str(tmp_path), tmp_path, size=12), batch_size=3)))
    assert batch.shape == (3, 2, 3, 12, 12)


@pytest.mark.parametrize("k", [-1, 4])
def test_there_are_no_items_beyond_the_length(k):
    with pytest.raises(IndexError, match=f"item {k} of 4"):
        UnpairedImages(domain(3), domain(4), size=16)[k]


def test_invalid_domains_are_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no folder .*nowhere"):
        UnpairedImages(tmp_path / "nowhere", domain(1))
    with pytest.raises(ValueError, match=r"no pictures in .*; a folder needs files \.jpg"):
        UnpairedImages(domain(1), tmp_path)
    with pytest.raises(ValueError, match="there are no pictures"):
        UnpairedImages([], domain(1))
    with pytest.raises(ImageError, match=r"expected \[0, 1\]"):
        UnpairedImages([255 * map_of(16, 16)], domain(1))
    with pytest.raises(ValueError, match="b must be a folder or a list of pictures .*, got int"):
        UnpairedImages(domain(1), 3)


def test_a_batch_and_a_generator_are_lists_of_pictures():
    pictures = domain(3)
    expected = [*UnpairedImages(pictures, pictures, size=16)]
    for given in (torch.cat(pictures), (picture for picture in pictures), [picture.double() for picture in pictures]):
        torch.testing.assert_close([*UnpairedImages(given, pictures, size=16)], expected)


@pytest.mark.parametrize("options", [{"size": 16, "load_size": 15}, {"mirror": True}])
def test_invalid_settings_are_refused(options):
    with pytest.raises(ValueError, match="a load_size of at least the size, or None, and mirror=True only with a load"):
        UnpairedImages(domain(1), domain(1), **options)


def test_a_fingerprint_tells_sets_apart():
    a, b = [torch.zeros(1, 3, 8, 8)], [torch.ones(1, 3, 8, 8)]
    options = [{}, {"size": 16}, {"load_size": 9}, {"load_size": 9, "mirror": True}, {"seed": 1}]
    sets = [UnpairedImages(a, b, **{"size": 8, **each}) for each in options] + [UnpairedImages(b, a, size=8)]
    assert len({str(unpaired.fingerprint) for unpaired in sets}) == len(sets)
    assert UnpairedImages(a, b, size=8).fingerprint == sets[0].fingerprint


def test_a_fingerprint_sees_where_the_pixels_are_and_which_files(tmp_path):
    picture, b = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)), [torch.ones(1, 3, 8, 8)]
    turned = picture.flip(-1)  # the same numbers, and so the same sum
    prints = [str(UnpairedImages([a], b, size=8).fingerprint) for a in (picture, turned, picture.clone())]
    assert prints[0] == prints[2] != prints[1]
    places = [tmp_path / name for name in ("here", "there", "other")]
    for place, color in zip(places, (picture, picture, torch.zeros(1, 3, 8, 8)), strict=True):
        place.mkdir()
        save_image(color, place / "1.png")
    here, there, other = (UnpairedImages(place, b, size=8).fingerprint for place in places)
    assert here == there != other


def cyclegan_layout(root, folders):
    """A set as CycleGAN's own are laid out; picture k of a folder has the number 50 · (position of the folder) + k."""
    for start, folder in zip(range(0, 250, 50), folders, strict=False):
        (root / folder).mkdir()
        for k, picture in enumerate(domain(4 if folder == "testA" else 3, start)):
            save_image(picture, root / folder / f"{k}.png")


def test_a_folder_in_the_layout_of_cyclegan(tmp_path):
    cyclegan_layout(tmp_path, ("trainA", "trainB", "testA", "testB"))
    train = UnpairedImages.from_folder(tmp_path, size=16)
    for epoch in range(3):
        a, b = (set(column) for column in zip(*epoch_of(train, epoch), strict=True))
        assert (a, b) == ({0, 1, 2}, {50, 51, 52})
    test = UnpairedImages.from_folder(str(tmp_path), "test", size=16, load_size=16, mirror=True, seed=3)
    assert {a for a, _ in epoch_of(test, 0)} == {100, 101, 102, 103}
    same = UnpairedImages(tmp_path / "testA", tmp_path / "testB", size=16, load_size=16, mirror=True, seed=3)
    assert test.fingerprint == same.fingerprint
    assert all(torch.equal(test[k], same[k]) for k in range(4))


def test_a_folder_in_another_layout_is_refused_with_what_it_has(tmp_path):
    with pytest.raises(
        ValueError, match=r"no folder .*horses/trainA; .*horses does not exist\. A set in CycleGAN's lay"
    ):
        UnpairedImages.from_folder(tmp_path / "horses")
    with pytest.raises(ValueError, match="trainA; .* has no folders"):
        UnpairedImages.from_folder(tmp_path)
    cyclegan_layout(tmp_path, ("trainA", "testA", "testB"))
    with pytest.raises(ValueError, match=r"there is no folder .*trainB; .* has the folders testA, testB, trainA\. "):
        UnpairedImages.from_folder(tmp_path)
    with pytest.raises(ValueError, match="split must be one of 'train', 'test', got 'val'"):
        UnpairedImages.from_folder(tmp_path, "val")
    (tmp_path / "trainB").mkdir()
    with pytest.raises(ValueError, match="no pictures in .*trainB"):
        UnpairedImages.from_folder(tmp_path)
