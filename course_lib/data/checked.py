"""A caller's data set whose items are checked when they are first used.

Without a check, a network would train on items on another scale, [-1, 1] or 0 to 255. Each item is checked only once,
on the device where it lies, so that the check does not slow a training loop down.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from course_lib import arguments
from course_lib.image_checks import ImageError, check_pictures


def checked(data: Any, lead: tuple[int, ...] = (3,), what: str = "picture", *, same_size: bool = True) -> Any:
    """The data set with checked items: floats in [0, 1] of any precision come out as float32, without gradients.

    Args:
        data: a map-style data set, a list or a tensor of items, an iterator, or an `IterableDataset`.
        lead: the shape of an item before H and W: (3,) for pictures, (2, 3) for pairs.
        what: an item's name in messages.
        same_size: whether all items must have one H and W, as a batch needs.

    Returns:
        A data set of the same kind; an iterator is read to its end and becomes a list.

    Raises:
        ImageError: not a data set, or an empty one; when an item is used: another type, shape or range.

    >>> import torch
    >>> pairs = checked([torch.rand(2, 3, 8, 8, dtype=torch.float64)], (2, 3), "pair")
    >>> len(pairs), pairs[0].dtype
    (1, torch.float32)
    """
    if isinstance(data, _CheckedItems) and data.items.lead == lead and data.items.same_size >= same_size:
        return data
    items = _Items(lead, what, same_size)
    if isinstance(data, IterableDataset):
        return _CheckedStream(data, items)
    if isinstance(data, Iterator):
        data = list(data)
    if isinstance(data, str | bytes | dict | np.ndarray) or not (
        hasattr(data, "__getitem__") and hasattr(data, "__len__")
    ):
        raise ImageError(
            f"expected a data set of {what}s {items.shape} in [0, 1], such as a list of tensors, got "
            f"{'None' if data is None else type(data).__name__}"
        )
    if (isinstance(data, Tensor) and data.ndim == 0) or len(data) == 0:
        raise ImageError(f"expected {what}s {items.shape} in [0, 1], got none")
    changes = isinstance(data, Dataset) and hasattr(data, "item")  # a tensor has an `item` too
    return _CheckedChanging(data, items) if changes else _CheckedItems(data, items)


def picture_set(data: Any, size: int, batch_size: int) -> Any:
    """Pictures of one size for a generative network: a float32 tensor, or a data set with checked items.

    Args:
        data: pictures (N, 3, size, size) in [0, 1], a tensor or an array, or a map-style data set of (3, size, size).
        size: side of the pictures in pixels.
        batch_size: how many there must be at least.

    Raises:
        ValueError: not a data set, items of another shape or outside [0, 1], or fewer than a batch.

    >>> picture_set(np.full((4, 3, 8, 8), 0.5), 8, batch_size=2).dtype
    torch.float32
    """
    expected = (3, size, size)
    if isinstance(data, np.ndarray):
        if data.dtype.kind not in "fiub":
            raise ValueError(f"expected items {expected} of numbers, got an array of {data.dtype}")
        data = torch.from_numpy(data)
    if not isinstance(data, Tensor):
        data = checked(data)
    if not (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
        raise ValueError(f"expected a tensor or a data set of items {expected}, got {type(data).__name__}")
    shape = tuple(data[0].shape) if getattr(data, "ndim", 1) and len(data) else ()
    if shape != expected:
        hint = "; for points use Config.points()" if shape == (2,) else f" for image_size={size}"
        raise ValueError(f"expected items {expected}{hint}; got {shape or 'none'}")
    if len(data) < batch_size:
        raise ValueError(f"{len(data)} items do not fill a batch of {batch_size}; use a smaller batch_size")
    if not isinstance(data, Tensor):
        return data
    check_pictures(data, "the data")
    return data.detach().float()


def item_number(k: Any, count: int, what: str) -> int:
    """The number of an item as an int, from 0 to count − 1.

    Raises:
        IndexError: a number outside this range, which ends a loop over the items.
        TypeError: not a number, for example a slice.

    >>> item_number(np.int64(2), 3, "pair")
    2
    """
    try:
        number = arguments.whole("k", k, -(2**63))
    except ValueError:
        raise TypeError(f"the number of a {what} is a whole number from 0 to {count - 1}, got {k!r}") from None
    if not 0 <= number < count:
        raise IndexError(f"{what} {number} of {count}")
    return number


class _Items:
    """What an item must be."""

    def __init__(self, lead: tuple[int, ...], what: str, same_size: bool) -> None:
        self.lead, self.what, self.same_size = lead, what, same_size
        self.size: tuple[int, ...] | None = None  # H and W of the first item
        self.shape = f"({', '.join(map(str, lead))}, H, W)"

    def check(self, item: Any, k: int) -> None:
        """Refuse an item; k is its number."""
        name = f"{self.what} {k}"
        if not isinstance(item, Tensor) or tuple(item.shape[:-2]) != self.lead or item.ndim != len(self.lead) + 2:
            got = f"shape {tuple(item.shape)}" if isinstance(item, Tensor) else type(item).__name__
            raise ImageError(f"{name}: expected a tensor {self.shape} in [0, 1], got {got}")
        size = tuple(item.shape[-2:])
        check_pictures(item.reshape(-1, 3, *size), name)
        self.size = self.size or size
        if self.same_size and size != self.size:
            sizes = " and ".join(f"{height} × {width}" for height, width in (size, self.size))
            raise ImageError(f"{name} differs in size from the first one used, {sizes} px; a batch needs one size")


class _CheckedItems(Dataset[Tensor]):
    def __init__(self, data: Any, items: _Items) -> None:
        self.data, self.items = data, items
        self.seen: set[int] = set()

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, k: int) -> Tensor:
        return self._checked(self.data[k], k)

    def __getattr__(self, name: str) -> Any:
        if name in ("fingerprint", "device", "photos", "batch") and "data" in self.__dict__:
            found = getattr(self.data, name)
            return self._batch if name == "batch" else found
        raise AttributeError(name)

    def _batch(self, places: Sequence[tuple[int, int]]) -> Tensor:
        """A whole batch of a set on the accelerator; only the first is checked, so the loop waits for it once."""
        batch: Tensor = self.data.batch(places)
        if not self.seen:
            for item, (_, k) in zip(batch, places, strict=True):
                self._checked(item, k)
        return batch

    def _checked(self, item: Any, k: int) -> Tensor:
        if k not in self.seen:
            self.items.check(item, k)
            self.seen.add(k)
        return item.detach().float()


class _CheckedChanging(_CheckedItems):
    """Items that change from epoch to epoch; each is checked the first time."""

    def item(self, epoch: int, k: int) -> Tensor:
        return self._checked(self.data.item(epoch, k), k)


class _CheckedStream(IterableDataset[Tensor]):
    def __init__(self, data: Iterable[Any], items: _Items) -> None:
        self.data, self.items = data, items

    def __iter__(self) -> Iterator[Tensor]:
        for k, item in enumerate(self.data):
            self.items.check(item, k)
            yield item.detach().float()
