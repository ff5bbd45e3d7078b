"""Which items make which batch: every item once an epoch, whatever the batch size, the workers and the processes."""

import pytest
import torch
from torch.utils.data import Dataset, IterableDataset

from course_lib.training import batches
from course_lib.training.distributed import Group

CPU = torch.device("cpu")


class ByEpoch(Dataset):
    """Item (epoch, k) says both."""

    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, k):
        return self.item(0, k)

    def item(self, epoch, k):
        return torch.tensor([epoch, k])


class Stream(IterableDataset):
    def __iter__(self):
        return ({"number": torch.tensor(k)} for k in range(11))


def load(dataset, steps, batch_size=3, seed=0, rank=0, size=1, workers=0):
    return [*batches.load(dataset, steps, batch_size, seed, group=Group(rank, size), workers=workers, device=CPU)]


def places(loaded):
    return [tuple(place) for batch in loaded for place in batch.tolist()]


def test_every_item_is_there_once_an_epoch():
    """Seven items in batches of three: batches straddle epochs."""
    seen = places(load(ByEpoch(7), range(21)))
    assert sorted(seen) == [(epoch, k) for epoch in range(9) for k in range(7)]
    assert [epoch for epoch, _ in seen] == sorted(epoch for epoch, _ in seen)
    epochs = [tuple(k for _, k in seen[start : start + 7]) for start in range(0, 63, 7)]
    assert len(set(epochs)) == 9
    assert places(load(ByEpoch(7), range(21), seed=1)) != seen


def test_a_resumed_run_sees_the_rest():
    whole = load(ByEpoch(7), range(12))
    for start in range(12):
        rest = load(ByEpoch(7), range(start, 12))
        assert [batch.tolist() for batch in rest] == [batch.tolist() for batch in whole[start:]]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_prepare_the_same_items(workers):
    assert places(load(ByEpoch(5), range(7), workers=workers)) == places(load(ByEpoch(5), range(7)))


def test_processes_share_each_batch():
    whole = load(ByEpoch(7), range(6), batch_size=4)
    shares = [load(ByEpoch(7), range(6), batch_size=4, rank=rank, size=2) for rank in (0, 1)]
    for batch, first, second in zip(whole, *shares, strict=True):
        assert first.tolist() == batch[::2].tolist()
        assert second.tolist() == batch[1::2].tolist()
    (both,) = load(Stream(), range(1), batch_size=4, rank=1, size=2)
    assert both["number"].tolist() == [1, 3]


def test_a_set_without_epochs_has_the_same_order():
    fixed = [torch.tensor(k) for k in range(7)]
    assert [k for batch in load(fixed, range(9)) for k in batch.tolist()] == [
        k for _, k in places(load(ByEpoch(7), range(9)))
    ]
    assert [batch.tolist() for batch in load(torch.arange(7), range(2))] == [
        batch.tolist() for batch in load(fixed, range(2))
    ]  # a tensor's own `item` is something else


def test_a_set_on_the_accelerator_is_asked_for_whole_batches():
    class Near(ByEpoch):
        device = torch.device("meta")

        def batch(self, places):
            return places

    asked = batches.load(Near(5), range(2, 4), 3, 0, group=Group(1, 3), workers=2, device=torch.device("meta"))
    everything = [batch for _, batch in zip(range(4), batches.order(5, 3, 0), strict=False)]
    assert [*asked] == [batch[1::3] for batch in everything[2:]]


def test_tuples_and_dicts_go_through_as_they_are():
    items = [
        (torch.full((2,), float(k)), {"class": torch.tensor(k), "pair": [torch.zeros(1), torch.ones(1)]})
        for k in range(4)
    ]
    (batch,) = load(items, range(1), batch_size=4)
    x, rest = batch
    assert isinstance(batch, tuple)
    assert x.shape == (4, 2)
    assert torch.equal(x[:, 0].long(), rest["class"])
    assert isinstance(rest["pair"], tuple)
    parts = batches.tensors(batch)
    assert [part.shape for part in parts] == [(4, 2), (4,), (4, 1), (4, 1)]
    again = batches.assemble(batch, [part + 1 for part in parts])
    assert torch.equal(again[0], x + 1)
    assert torch.equal(again[1]["pair"][1], torch.full((4, 1), 2.0))
    halves = [*batches.split(batch, 2)]
    assert torch.equal(torch.cat([half[0] for half in halves]), x)
    assert [half[1]["class"].shape for half in halves] == [(2,), (2,)]


def test_what_is_no_batch_is_refused():
    with pytest.raises(TypeError, match="a tensor, or a tuple or dict of batches; got a str in one"):
        load([(torch.zeros(1), "name")] * 3, range(1))
