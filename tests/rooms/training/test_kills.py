"""Training runs that are killed (signal 9) at random and at the worst moments end as if nothing had been."""

import os
from itertools import pairwise

import pytest
import torch
from test_loop import NAMES, same, script

KILLS = """
import io, json, os, random, signal, sys, time
from pathlib import Path
import torch
import test_loop as t

folder = Path(sys.argv[1])
RUN = {"num_steps": STEPS, "checkpoint_every": 1}

def child(name, prepare=lambda: None):
    pid = os.fork()
    if pid == 0:
        try:
            prepare()
            weights, done = t.train(t.network(dropout=0.3, norm=True), checkpoint=folder / f"{name}.pt", **RUN)
            torch.save({"weights": weights, "history": done.history}, folder / f"{name}.result")
            os._exit(0)
        except BaseException as error:
            print(name, repr(error), flush=True)
        finally:
            os._exit(1)
    return pid

def ended(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def steps(name):
    file = folder / f"{name}.pt"
    return len(torch.load(file, weights_only=True)["rows"]) if file.exists() else 0

t.train(num_steps=1)  # torch imports much at its first step: once here, for all children
began = time.perf_counter()
assert ended(child("whole")) == 0
each = (time.perf_counter() - began) / RUN["num_steps"]

chance, found = random.Random(), []
while len(found) < COUNT or not any(found):  # at least one of them after its first checkpoint
    pid = child("killed")
    time.sleep(chance.uniform(0, 5 * each))
    os.kill(pid, signal.SIGKILL)
    if ended(pid) != -signal.SIGKILL:  # it was done before
        break
    found.append(steps("killed"))  # reads it: a half-written file would end this here
assert ended(child("killed")) == 0

if not MOMENTS:
    print(json.dumps({"kills": found}))
    sys.exit()

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def dying(moment, after):
    left = [after]
    save, replace, fsync = torch.save, os.replace, os.fsync
    def counted(act, then):
        def wrapped(*args):
            left[0] -= 1
            if left[0] < 0:
                act(*args)
                die()
            return then(*args)
        return wrapped
    def half(state, stream):
        whole = io.BytesIO()
        save(state, whole)
        stream.write(whole.getvalue()[: whole.tell() // 2])
        stream.flush()
    if moment == "half written":
        torch.save = counted(half, save)
    if moment == "written":
        os.fsync = counted(fsync, fsync)
    if moment == "before the move":
        os.replace = counted(die, replace)
    if moment == "after the move":
        os.replace = counted(replace, replace)

moments = {}
for moment in ("half written", "written", "before the move", "after the move"):
    before, rests = steps("dying"), len([*folder.glob(".dying.pt.*.tmp")])
    assert ended(child("dying", lambda: dying(moment, 5))) == -signal.SIGKILL
    moments[moment] = steps("dying") - before, len([*folder.glob(".dying.pt.*.tmp")])
assert ended(child("dying")) == 0
files = sorted(path.name for path in folder.iterdir())
print(json.dumps({"kills": found, "moments": moments, "files": files}))
"""


def program(count, steps, *, moments):
    """The program that kills `count` times."""
    return KILLS.replace("COUNT", str(count)).replace("STEPS", str(steps)).replace("MOMENTS", str(moments))


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """Runs that were killed (signal 9) at random and at the worst moments, and one that was not."""
    if not hasattr(os, "fork"):
        pytest.skip("processes are forked here, to kill many in little time")
    return script(tmp_path_factory.mktemp("killed"), program(20, 150, moments=True))


@pytest.mark.parametrize("name", ["killed", "dying"])
@pytest.mark.slow
def test_a_run_killed_at_any_moment_ends_as_if_nothing_had_been(killed, name):
    folder, report = killed
    whole, pieces = (torch.load(folder / f"{n}.result", weights_only=True) for n in ("whole", name))
    assert len(report["kills"]) == 20
    assert same(whole["weights"], pieces["weights"])
    assert len(whole["history"]["total"]) == 150
    for column in ("total", *NAMES):
        assert whole["history"][column] == pieces["history"][column]
    seconds = pieces["history"]["seconds"]
    assert all(a < b for a, b in pairwise(seconds))


@pytest.mark.slow
def test_no_half_written_file_ever_has_the_name(killed):
    """Five checkpoints were written; the sixth stands if its move was made, and its rest is cleaned by the next."""
    _, report = killed
    assert report["moments"] == {
        "half written": [5, 1],
        "written": [5, 1],
        "before the move": [5, 1],
        "after the move": [6, 0],
    }
    assert report["files"] == sorted(
        f"{n}.{suffix}" for n in ("whole", "killed", "dying") for suffix in ("pt", "result")
    )
    assert report["kills"] == sorted(report["kills"])  # nothing that was reached is lost again


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked here, to kill many in little time")
def test_a_run_killed_three_times_ends_as_if_nothing_had_been(tmp_path):
    """The short form: the full one kills twenty times, and at the worst moments."""
    folder, report = script(tmp_path, program(3, 20, moments=False))
    whole, pieces = (torch.load(folder / f"{n}.result", weights_only=True) for n in ("whole", "killed"))
    assert any(report["kills"])
    assert same(whole["weights"], pieces["weights"])
    assert terms(whole) == terms(pieces)


def terms(result):
    return {name: column for name, column in result["history"].items() if name != "seconds"}
