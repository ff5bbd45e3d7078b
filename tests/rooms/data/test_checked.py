"""A caller's data set: every item is checked once, and the first wrong one is named."""

import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from course_lib.data import checked as room
from course_lib.data.checked import checked, item_number, picture_set
from course_lib.images import ImageError


def pair(seed=0, size=(8, 8)):
    return torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(seed))


class Pairs(Dataset):
    fingerprint = "mine"

    def __init__(self, pairs):
        self.pairs = pairs

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, k):
        return self.pairs[k]


class Changing(Pairs):
    def item(self, epoch, k):
        return self.pairs[k].roll(epoch, -1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda x: x.mul(255).byte(), "uint8"),
        (lambda x: 2 * x - 1, r"use \(x \+ 1\) / 2"),
        (lambda x: 255 * x, "by 255"),
        (lambda x: x / 0, "NaN or infinite"),
        (lambda x: x[0], r"expected a tensor \(2, 3, H, W\) in \[0, 1\], got shape \(3, 8, 8\)"),
        (lambda x: tuple(x), "expected a tensor .*, got tuple"),
        (lambda x: x.numpy(), "expected a tensor .*, got ndarray"),
        (lambda x: None, "expected a tensor .*, got NoneType"),
    ],
)
def test_a_wrong_item_is_named(wrong, message):
    for pairs in ([pair(0), wrong(pair(1))], Pairs([pair(0), wrong(pair(1))])):
        data = checked(pairs, (2, 3), "pair")
        assert torch.equal(data[0], pair(0))
        with pytest.raises(ImageError, match=f"^pair 1: .*{message}"):
            data[1]


def test_floats_of_any_precision_become_float32_without_gradients():
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        item = checked([pair().to(dtype).requires_grad_()], (2, 3))[0]
        assert item.dtype == torch.float32
        assert not item.requires_grad
        torch.testing.assert_close(item, pair(), atol=0.01, rtol=0)


@pytest.mark.parametrize(
    "data", [None, 3, "facades", b"x", {}, np.zeros((2, 2, 3, 8, 8)), [], torch.tensor(0.5), torch.ones(0, 2, 3, 8, 8)]
)
def test_what_is_no_data_set_is_refused(data):
    with pytest.raises(ImageError, match=r"expected .*pairs \(2, 3, H, W\) in \[0, 1\].*, got "):
        checked(data, (2, 3), "pair")


def test_an_iterator_becomes_a_list():
    data = checked((pair(k) for k in range(3)), (2, 3))
    assert len(data) == 3
    assert torch.equal(data[2], pair(2))


def test_sizes_differ_only_where_that_is_allowed():
    pairs = [pair(), pair(size=(8, 9))]
    assert checked(pairs, (2, 3), same_size=False)[1].shape == (2, 3, 8, 9)
    data = checked(pairs, (2, 3), "pair")
    assert data[0].shape == (2, 3, 8, 8)
    with pytest.raises(ImageError, match="pair 1 differs in size from the first one used, 8 × 9 and 8 × 8 px"):
        data[1]


def test_an_item_is_checked_once(monkeypatch):
    looked = []
    monkeypatch.setattr(room, "check_pictures", lambda image, name: looked.append(name))
    data = checked([pair(0), pair(1)], (2, 3), "pair")
    for k in (0, 1, 1, 0):
        data[k]
    assert looked == ["pair 0", "pair 1"]


def test_items_of_an_epoch_and_a_stream_are_checked_too():
    data = checked(Changing([pair()]), (2, 3))
    assert torch.equal(data.item(1, 0), pair().roll(1, -1))
    for wrong, message in ((pair() * 255, "on the scale 0..255"), (pair() * 2 - 1, r"in \[-1, 1\]")):
        data = checked(Changing([wrong]), (2, 3), "pair")
        with pytest.raises(ImageError, match=f"pair 0: .*{message}"):
            data.item(3, 0)
    assert checked(Changing([pair().double()]), (2, 3)).item(0, 0).dtype == torch.float32

    class Stream(IterableDataset):
        def __iter__(self):
            return iter([pair().double(), 255 * pair()])

    items = iter(checked(Stream(), (2, 3), "pair"))
    assert torch.equal(next(items), pair())
    with pytest.raises(ImageError, match="pair 1: "):
        next(items)


def test_it_stands_for_the_callers_set():
    data = checked(Pairs([pair(0), pair(1)]), (2, 3))
    assert data.fingerprint == "mine"
    assert not hasattr(checked([pair()], (2, 3)), "fingerprint")
    assert not hasattr(data, "batch")
    assert not hasattr(data, "item")
    again = pickle.loads(pickle.dumps(data))  # as another process gets it
    assert torch.equal(again[1], pair(1))
    (batch,) = DataLoader(data, batch_size=2, num_workers=1)
    assert torch.equal(batch, torch.stack([pair(0), pair(1)]))


def test_a_set_on_the_accelerator_makes_whole_batches():
    class Near(Pairs):
        device = torch.device("cuda")

        def batch(self, places):
            return torch.stack([self.pairs[k] for _, k in places])

    data = checked(Near([pair(0), 255 * pair(1)]), (2, 3), "pair")
    assert data.device == torch.device("cuda")
    with pytest.raises(ImageError, match="pair 1: "):
        data.batch([(0, 0), (0, 1)])


@pytest.mark.parametrize("k", [1, np.int64(1), torch.tensor(1), 1.0])
def test_the_number_of_an_item_may_be_of_any_type(k):
    assert item_number(k, 2, "pair") == 1


def test_no_number_of_an_item():
    for k in (-1, 2, 2**70):
        with pytest.raises(IndexError, match=f"pair {k} of 2"):
            item_number(k, 2, "pair")
    for k in (None, "1", slice(0, 1), 1.5):
        with pytest.raises(TypeError, match="the number of a pair is a whole number from 0 to 1, got "):
            item_number(k, 2, "pair")


# --- pictures of one size for a generative network
def test_pictures_of_one_size_become_a_float32_tensor():
    pictures = torch.rand(4, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    found = picture_set(pictures, 8, batch_size=4)
    assert found.dtype == torch.float32
    assert not found.requires_grad
    torch.testing.assert_close(found.double(), pictures.detach(), rtol=0, atol=1e-7)
    assert torch.equal(picture_set(pictures.detach().numpy(), 8, batch_size=4), found)


def test_a_data_set_of_pictures_is_checked_when_its_items_are_used():
    pictures = [*torch.rand(3, 3, 8, 8), torch.full((3, 8, 8), 300.0)]
    for data in (pictures, Pairs(pictures)):
        found = picture_set(data, 8, batch_size=2)
        assert len(found) == 4
        assert torch.equal(found[1], pictures[1])
        with pytest.raises(ImageError, match="3: .*255"):
            found[3]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (torch.rand(4, 3, 8, 6), r"expected items \(3, 8, 8\) for image_size=8; got \(3, 8, 6\)"),
        (torch.rand(4, 1, 8, 8), r"got \(1, 8, 8\)"),
        (torch.rand(3, 8, 8), r"got \(8, 8\)"),
        (torch.rand(4, 2), r"expected items \(3, 8, 8\); for points use Config.points\(\); got \(2,\)"),
        (torch.zeros(0, 3, 8, 8), "got none"),
        (torch.tensor(1.0), "got none"),
        ([], "got none|empty|at least"),
        (torch.rand(2, 3, 8, 8), "2 items do not fill a batch of 3; use a smaller batch_size"),
        (255 * torch.rand(4, 3, 8, 8), "255"),
        (torch.full((4, 3, 8, 8), torch.nan), "NaN or infinite"),
        (np.array([["a"]]), "expected items .* of numbers, got an array of <U1"),
        ([torch.rand(3, 8, 6)] * 4, r"got \(3, 8, 6\)"),
    ],
)
def test_what_is_no_set_of_pictures_of_this_size(data, message):
    with pytest.raises(ValueError, match=message):
        picture_set(data, 8, batch_size=3)
