"""Which items make which batch, and how batches reach the device.

An *epoch* is one pass through the data set. Items are asked for by (epoch, k), in an order that depends on the seed and
the epoch alone, so a run that is resumed sees the batches that it would have seen.

A data set is a map-style data set: ``dataset[k]`` and ``len(dataset)``. Two methods are used where it has them:

- ``item(epoch, k)``, of a `torch.utils.data.Dataset` whose items change from epoch to epoch (another crop, another
  partner); ``dataset[k]`` is then item k of epoch 0.
- ``batch(places)``, of a data set that lies on the accelerator (its ``device``): a whole batch for a list of
  (epoch, k).

A *batch* is a tensor, or a tuple or dict of batches, as torch's `default_collate` makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from course_lib.training.distributed import Group

Place = tuple[int, int]  # (epoch, k)


def order(length: int, batch_size: int, seed: int, *, start: int = 0) -> Iterator[list[Place]]:
    """The (epoch, k) of every batch, from batch `start` on: one permutation of the items an epoch, without end.

    A batch may end one epoch and begin the next: no item is left out.

    >>> batches = order(4, 2, seed=1)
    >>> sorted(next(batches) + next(batches))
    [(0, 0), (0, 1), (0, 2), (0, 3)]
    >>> next(order(4, 2, seed=1, start=2)) == next(batches)
    True
    """
    epoch, position = divmod(start * batch_size, length)
    batch: list[Place] = []
    while True:
        generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        for k in torch.randperm(length, generator=generator)[position:].tolist():
            batch.append((epoch, k))
            if len(batch) == batch_size:
                yield batch
                batch = []
        epoch, position = epoch + 1, 0


def load(
    dataset: Any, steps: range, batch_size: int, seed: int, *, group: Group, workers: int, device: torch.device
) -> Iterator[Any]:
    """This process's share of each batch of `steps`, on `device`.

    Args:
        dataset: see the head of this module, or an `IterableDataset`, which may end early.
        workers: processes that prepare batches ahead; a data set on the accelerator needs none.
    """
    if isinstance(dataset, IterableDataset):
        for batch in _stream(dataset, len(steps), batch_size, seed, workers, device):
            yield map_tensors(batch, lambda x: x[group.rank :: group.size].to(device, non_blocking=True))
        return
    places = islice(order(len(dataset), batch_size, seed, start=steps.start), len(steps))
    mine = (batch[group.rank :: group.size] for batch in places)
    if _lies_on(dataset, device):
        yield from (dataset.batch(batch) for batch in mine)
        return
    loader = DataLoader(_ByPlace(dataset), batch_sampler=_Sampler(mine), **_settings(seed, workers, device))
    for batch in loader:
        yield map_tensors(batch, lambda x: x.to(device, non_blocking=True))


def map_tensors(batch: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """The batch with `function` applied to each of its tensors; lists come back as tuples.

    Raises:
        TypeError: anything in the batch but tensors, tuples, lists and dicts.
    """
    if isinstance(batch, Tensor):
        return function(batch)
    if isinstance(batch, dict):
        return {name: map_tensors(part, function) for name, part in batch.items()}
    if isinstance(batch, tuple | list):
        return tuple(map_tensors(part, function) for part in batch)
    raise TypeError(f"a batch is a tensor, or a tuple or dict of batches; got a {type(batch).__name__} in one")


def tensors(batch: Any) -> list[Tensor]:
    """All tensors of a batch, in order; `assemble` is the way back."""
    if isinstance(batch, Tensor):
        return [batch]
    return [x for part in (batch.values() if isinstance(batch, dict) else batch) for x in tensors(part)]


def assemble(template: Any, parts: Iterable[Tensor]) -> Any:
    """A batch like `template` made of other tensors.

    >>> assemble((torch.zeros(1), {"mask": torch.zeros(1)}), [torch.ones(1), torch.ones(1)])
    (tensor([1.]), {'mask': tensor([1.])})
    """
    remaining = iter(parts)
    return map_tensors(template, lambda _: next(remaining))


def split(batch: Any, count: int) -> Iterator[Any]:
    """`count` parts of equal size of a batch whose tensors have a first dimension divisible by it."""
    for k in range(count):
        yield map_tensors(batch, lambda x, k=k: x.split(len(x) // count)[k])  # type: ignore[misc]


def _stream(
    dataset: IterableDataset[Any], count: int, batch_size: int, seed: int, workers: int, device: torch.device
) -> Iterator[Any]:
    """Whole batches in the order of an iterable; each of several workers would go through all of it."""
    settings = _settings(seed, min(workers, 1), device)
    return islice(iter(DataLoader(dataset, batch_size=batch_size, drop_last=True, **settings)), count)


def _settings(seed: int, workers: int, device: torch.device) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)  # so that the loader does not draw from the run's random state
    return {"num_workers": workers, "generator": generator, "pin_memory": device.type == "cuda"}


def _lies_on(dataset: Any, device: torch.device) -> bool:
    """Whether the pictures of `dataset` are on the accelerator already, so that it makes whole batches there."""
    return device.type != "cpu" and getattr(dataset, "device", None) == device and hasattr(dataset, "batch")


class _ByPlace(Dataset[Any]):
    """A data set whose items are asked for by (epoch, k)."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self.changes = isinstance(dataset, Dataset) and hasattr(dataset, "item")  # a tensor has an `item` too

    def __getitem__(self, place: Place) -> Any:
        return self.__getitems__([place])[0]

    def __getitems__(self, places: Sequence[Place]) -> Sequence[Any]:
        if self.changes:
            return [self.dataset.item(epoch, k) for epoch, k in places]
        numbers = [k for _, k in places]
        if hasattr(self.dataset, "__getitems__"):
            return self.dataset.__getitems__(numbers)
        return [self.dataset[k] for k in numbers]


class _Sampler:
    """Batches of (epoch, k), handed to the loader as it asks for them."""

    def __init__(self, batches: Iterator[list[Place]]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[list[Place]]:
        return self.batches
