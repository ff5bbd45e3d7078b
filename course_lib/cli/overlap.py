"""Loading, computing and saving of several pictures at the same time, with a memory that does not grow.

While one picture is computed, the next one is loaded and the one before is saved, each in a thread of its own: packing
and unpacking files leaves Python's lock alone, and so does PyTorch. Never are more than three pictures held.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Loaded = TypeVar("Loaded")
Made = TypeVar("Made")


def overlapped(
    items: Sequence[Item],
    load: Callable[[Item], Loaded],
    compute: Callable[[Item, Loaded], Made],
    save: Callable[[Item, Made], None],
    done: Callable[[Item, Exception | None], None],
) -> None:
    """Load, compute and save every item.

    Args:
        items: in this order.
        load: reads one; called in another thread, while the item before is computed.
        compute: called in the thread of the caller, one item at a time.
        save: writes what `compute` returned; called in another thread, while the next item is computed.
        done: hears of every item once, in order: None, or the error of one of the three. What it raises ends the run.

    If the run ends early, by Ctrl-C or an error that `done` raises, what is being saved is still saved, and `done`
    hears of it; what was loaded ahead is dropped.

    >>> said = []
    >>> overlapped([1, 0], float, lambda _, x: 1 / x, lambda *_: None, lambda item, error: said.append((item, error)))
    >>> said
    [(1, None), (0, ZeroDivisionError('float division by zero'))]
    """
    loader, saver = ThreadPoolExecutor(1, "load"), ThreadPoolExecutor(1, "save")
    saver.submit(int).result()  # its thread runs now: Ctrl-C while it starts would leave nobody to wait for
    coming: Future[Loaded] | None = loader.submit(load, items[0]) if items else None
    saving: tuple[Item, Future[None]] | None = None

    def finish() -> None:
        """Wait for the picture that is being saved."""
        nonlocal saving
        if saving is not None:
            item, future = saving
            error = _error_of(future)  # after Ctrl-C here, `saving` is still there, and the end waits for it
            saving = None
            done(item, error)

    try:
        for k, item in enumerate(items):
            assert coming is not None
            present, coming = coming, None
            try:
                loaded = present.result()
                if k + 1 < len(items):
                    coming = loader.submit(load, items[k + 1])
                made = compute(item, loaded)
            except Exception as error:  # of one picture; `done` decides
                if coming is None and k + 1 < len(items):
                    coming = loader.submit(load, items[k + 1])
                finish()
                done(item, error)
                continue
            finally:
                del present  # it holds the picture
            loaded = None  # type: ignore[assignment]
            finish()
            saving = (item, saver.submit(save, item, made))
            del made
        finish()
    finally:
        loader.shutdown(wait=False, cancel_futures=True)
        finish()
        saver.shutdown()


def _error_of(future: Future[None]) -> Exception | None:
    try:
        future.result()
    except Exception as error:
        return error
    return None
