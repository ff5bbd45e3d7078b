"""Loading, computing and saving at the same time: their order, what is held, and what an error or Ctrl-C leaves."""

import threading
import time

import pytest

from course_lib.cli.overlap import overlapped


def test_each_step_gets_what_the_one_before_returned():
    saved, heard = {}, []
    overlapped(
        "abc",
        str.upper,
        lambda item, loaded: item + loaded,
        saved.__setitem__,
        lambda item, error: heard.append((item, error)),
    )
    assert saved == {"a": "aA", "b": "bB", "c": "cC"}
    assert heard == [("a", None), ("b", None), ("c", None)]


def test_the_next_is_loaded_and_the_one_before_saved_while_one_is_computed():
    """Each of the three waits for the others: without overlap this would never end."""
    loading, saving = threading.Event(), threading.Event()

    def load(k):
        if k == 2:
            loading.set()
        return k

    def compute(k, _):
        if k == 1:  # while the picture before is saved and the next one is loaded
            assert loading.wait(20)
            assert saving.wait(20)
        return k

    def save(k, _):
        if k == 0:
            saving.set()

    overlapped(range(4), load, compute, save, lambda k, error: None if error is None else pytest.fail(str(error)))


def test_never_more_than_three_are_held():
    held, most, lock = set(), [0], threading.Lock()

    def load(k):
        with lock:
            held.add(k)
            most[0] = max(most[0], len(held))
        return k

    def save(k, _):
        time.sleep(0.01)  # slower than the rest: what is computed has to wait
        with lock:
            held.remove(k)

    overlapped(range(12), load, lambda k, _: k, save, lambda *_: None)
    assert most[0] == 3
    assert not held


@pytest.mark.parametrize("where", ["load", "compute", "save"])
def test_an_error_of_one_is_its_own(where):
    heard = {}

    def fails(step):
        def run(k, *_):
            if step == where and k == 1:
                raise ValueError(step)
            return k

        return run

    overlapped(range(4), fails("load"), fails("compute"), fails("save"), heard.__setitem__)
    assert [*heard] == [0, 1, 2, 3]
    assert [str(error) for error in heard.values() if error] == [where]


def test_what_done_raises_ends_the_run():
    loaded = []

    def done(k, error):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        overlapped(range(9), loaded.append, lambda *_: 0, lambda *_: None, done)
    assert len(loaded) <= 3


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_what_is_being_saved_when_the_run_is_stopped_is_saved(stop):
    saved, heard = [], []

    def compute(k, _):
        if k == 2:
            raise stop
        return k

    def save(k, _):
        time.sleep(0.05)
        saved.append(k)

    with pytest.raises(stop):
        overlapped(range(5), lambda k: k, compute, save, lambda k, error: heard.append(k))
    assert saved == heard == [0, 1]


def test_nothing_to_do():
    overlapped([], pytest.fail, pytest.fail, pytest.fail, pytest.fail)
