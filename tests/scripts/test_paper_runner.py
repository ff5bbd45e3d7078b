"""The runner of the queue: nothing that happens to one item costs another, and the next call goes on."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from scripts import paper
from scripts.notebook_script import Refused
from scripts.paper_queue import plan, process, runner
from scripts.paper_queue.device import Device
from scripts.paper_queue.items import QUEUE
from scripts.paper_queue.report import read_entries

ROOT = Path(__file__).resolve().parents[2]


def gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def wait_for(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)


def hanging(queue):
    """The process ids of an item that hangs and of its own child, once they are there."""
    file = queue.folder / "told" / "hanging"
    wait_for(lambda: file.exists() and len(file.read_text().split()) == 2)
    return [int(word) for word in file.read_text().split()]


# --- what can go wrong with one item
def test_every_kind_of_failure_costs_its_own_item_alone(queue, make_item, capsys):
    queue.list(
        make_item("first"),
        make_item("raises", "raise"),
        make_item("killed", "kill"),
        make_item("large", "memory"),
        make_item("diverged", "nan"),
        make_item("nameless", kind="nobody"),
        make_item("half", "notes", records=("03_whole", "03_absent")),
        make_item("closing", "late"),
        make_item("last"),
    )
    assert queue.run() == 1
    rows = queue.report()
    assert {name: row["state"] for name, row in rows.items()} == {
        "first": "done",
        "raises": "failed",
        "killed": "failed",
        "large": "out of memory",
        "diverged": "failed",
        "nameless": "failed",
        "half": "partly",
        "closing": "done",
        "last": "done",
    }
    assert rows["raises"]["reason"] == "ValueError: the cat is out"
    assert any("Traceback" in line for line in rows["raises"]["tail"])
    assert "SIGKILL" in rows["killed"]["reason"]
    assert "no room for the picture" in rows["large"]["reason"]
    assert "03_diverged" in rows["diverged"]["reason"]
    assert "values › loss › 1" in rows["diverged"]["reason"]
    assert rows["half"]["notes"] == ["cell 3: does not hold at this scale: the loss rose\na line more"]
    assert "03_absent" in rows["half"]["reason"]
    assert "while closing" in rows["closing"]["reason"]
    assert rows["first"]["records"]["03_first"]["loss"] == 1.5
    assert not (queue.into / "results" / "paper" / "03_diverged").exists()
    assert (queue.into / "failed" / "03_diverged" / "record.json").exists()
    printed = capsys.readouterr().out
    assert "[1/9] first      done in " in printed
    assert "(10 s estimated)" in printed
    assert "[2/9] raises     FAILED in " in printed
    assert "ValueError: the cat is out" in printed


def test_an_item_that_hangs_ends_at_its_limit_with_everything_it_started(queue, make_item, monkeypatch):
    monkeypatch.setattr(process, "GRACE", 0.2)
    monkeypatch.setattr(plan, "limit", lambda item, *_: 0.8 if item.name == "hangs" else 60)
    queue.list(make_item("hangs", "hang"), make_item("next"))
    assert queue.run() == 1
    assert queue.states() == {"hangs": "too long", "next": "done"}
    wait_for(lambda: all(map(gone, hanging(queue))))


def test_ctrl_c_ends_the_item_and_keeps_what_is_done(queue, make_item, monkeypatch, capsys):
    monkeypatch.setattr(process, "GRACE", 0.2)
    queue.list(make_item("first"), make_item("hangs", "hang"), make_item("never"))

    def press():
        hanging(queue)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=press)
    thread.start()
    assert queue.run() == 130
    thread.join()
    assert signal.getsignal(signal.SIGINT) is before
    assert queue.states() == {"first": "done", "hangs": "stopped", "never": "to do"}
    assert list((queue.into / "archives").glob("*.zip"))
    assert "stopped by SIGINT" in capsys.readouterr().out
    wait_for(lambda: all(map(gone, hanging(queue))))
    assert not queue.told("never")


def test_a_killed_runner_leaves_no_child_and_the_next_call_goes_on(queue, make_item, monkeypatch):
    """While it lives, nobody else works in its folder; what it had done is done."""
    monkeypatch.setattr(runner, "_PATIENCE", 0.1)
    queue.list(make_item("first"), make_item("hangs", "hang"))
    victim = subprocess.Popen([sys.executable, "-c", queue.as_script()], cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        pids = hanging(queue)
        with pytest.raises(Refused, match="another call is at work"):
            queue.run()
    finally:
        victim.kill()
        victim.wait()
    wait_for(lambda: all(map(gone, pids)))  # a GPU must not stay taken
    entries = read_entries(queue.into)
    assert (entries["first"].state, entries["hangs"].state) == ("done", "stopped")
    assert queue.run(only=("first",)) == 0
    assert len(queue.told("first")) == 1


# --- what is there already
def test_a_second_call_runs_nothing_and_a_changed_digest_runs_again(queue, make_item):
    queue.list(make_item("first"), make_item("second"))
    assert queue.run() == 0
    seconds = queue.report()["first"]["seconds"]
    assert queue.run() == 0
    assert len(queue.told("first")) == 1
    assert queue.report()["first"]["seconds"] == seconds  # of the call that ran it
    queue.version = "second"
    assert queue.run(only=("first",)) == 0
    assert (len(queue.told("first")), len(queue.told("second"))) == (2, 1)


def test_what_lies_in_the_checkout_is_not_run_again(queue, make_item):
    queue.list(make_item("first"))
    place = queue.root / "data" / "results" / "paper" / "03_first"
    place.mkdir(parents=True)
    record = {"digest": queue.digest(make_item("first")), "reduced": ""}
    (place / "record.json").write_text(json.dumps(record))
    assert queue.run() == 0
    assert queue.states() == {"first": "done"}
    assert not queue.told("first")
    (place / "record.json").write_text("{")  # damaged is as good as missing
    assert queue.run() == 0
    assert queue.told("first")


def test_what_was_never_made_comes_before_what_was_cut_short(queue, make_item, capsys):
    """The first call had no time for the second item; the next begins with it."""
    queue.list(make_item("painter", "reduced", trained="painter", seconds=120))
    queue.run()
    queue.list(make_item("painter", "reduced", trained="painter", seconds=120), make_item("second"))
    capsys.readouterr()
    queue.run()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("[")]
    assert [line.split()[2] if line.startswith("[ ") else line.split()[1] for line in lines] == ["second", "painter"]


def test_a_reduced_run_is_taken_further_by_the_next_call(queue, make_item, capsys):
    queue.list(make_item("painter", "reduced", trained="painter", seconds=120))
    assert queue.run() == 0
    assert queue.report()["painter"]["state"] == "reduced"
    assert "1 of 9 steps" in capsys.readouterr().out
    assert queue.run() == 0
    assert len(queue.told("painter")) == 2


# --- time
def test_what_does_not_fit_is_left_out_and_shorter_ones_after_it_run(queue, make_item):
    queue.list(make_item("long", seconds=500), make_item("short", seconds=20))
    assert queue.run(minutes=1) == 0
    rows = queue.report()
    assert rows["long"]["state"] == "left out"
    assert "500 s" in rows["long"]["reason"]
    assert rows["short"]["state"] == "done"
    with pytest.raises(Refused, match="1 minute; with more there fit long in 8.6 minutes"):
        queue.run(minutes=1)  # only the long one is to do now


def test_the_limit_and_the_estimates(queue, make_item):
    queue.list(make_item("any"))
    call, painter = (
        queue.call(training={**plan.TRAINING, "painter": 40.0}),
        make_item("p", trained="painter", seconds=120),
    )
    assert plan.full_estimate(painter, call) == 70  # 30 s beside the training
    assert plan.limit(make_item("short", seconds=20), call, 500) == 80
    assert plan.limit(make_item("middle", seconds=100), call, 500) == 200
    assert plan.limit(make_item("middle", seconds=100), call, 150) == 150
    assert plan.from_trial(make_item("any"), call, measured=15.0, start=5.0) == 105
    assert plan.from_trial(painter, call, measured=24.0, start=5.0) == 60  # 4 s of training, 20 s beside it


def test_training_seconds_reach_the_item(queue, make_item):
    queue.list(make_item("p", trained="painter", seconds=120))
    queue.run(training={**plan.TRAINING, "painter": 33.0})
    assert queue.told("p")[0]["seconds"] == 33


# --- which items
def test_only_takes_items_kinds_and_stored_runs(queue, make_item):
    items = [make_item("one"), make_item("two", kind="other"), make_item("three", models=("wave_paper",))]
    for word, names in {"one": ["one"], "other": ["two"], "03_three": ["three"], "wave_paper": ["three"]}.items():
        assert [each.name for each in plan.choose(items, (word,))] == names
    assert [each.name for each in plan.choose(items, ("03_three", "one"))] == ["one", "three"]
    with pytest.raises(Refused, match="nothing in the queue is called 03_thre; near it are 03_three"):
        plan.choose(items, ("03_thre",))
    assert [each.name for each in plan.choose(QUEUE, ("03_noise",))] == ["chapter_03"]


def test_what_an_item_lacks_is_said(queue, make_item, monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_LIB_CACHE", str(tmp_path / "empty"))
    queue.list(
        make_item("scores", needs=("datasets",)), make_item("lpips", needs=("vgg16",)), make_item("plain", needs=())
    )
    assert queue.run() == 0
    rows = queue.report()
    assert {name: row["state"] for name, row in rows.items()} == {
        "scores": "left out", "lpips": "left out", "plain": "done",
    }  # fmt: skip
    assert "--datasets" in rows["scores"]["reason"]
    assert "make weights" in rows["lpips"]["reason"]
    assert queue.run(datasets=tmp_path) == 0
    assert queue.told("scores")[0]["datasets"] == queue.told("scores")[0]["COURSE_LIB_DATASETS"] == str(tmp_path)


# --- what an item is told
def test_the_environment_of_an_item(queue, make_item, monkeypatch):
    monkeypatch.setenv("COURSE_LIB_RECORDS", "again")
    monkeypatch.delenv("COURSE_LIB_CACHE", raising=False)
    (queue.root / "networks").mkdir()
    queue.list(make_item("first"))
    queue.run()
    (told,) = queue.told("first")
    assert told["COURSE_LIB_RESULTS"] == str(queue.into / "results")
    assert told["COURSE_LIB_DIGEST"] == queue.digest(make_item("first"))
    assert told["COURSE_LIB_COMMIT"] == "packed-1234"
    assert told["COURSE_LIB_CACHE"] == str(queue.root / "networks")
    assert "COURSE_LIB_RECORDS" not in told
    assert (told["scale"], told["device"]) == ("full", "cuda")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere data loaders have another way to start their workers")
def test_the_workers_of_an_item_are_forked(queue, make_item):
    """A fork server takes at most 256 open files: a data set of 129 pairs of tensors that are shared is too much."""
    queue.list(make_item("one"))
    assert queue.run() == 0
    assert queue.told("one")[0]["workers"] == "fork"


def test_a_rehearsal_stays_apart_and_needs_no_device(queue, make_item):
    queue.list(make_item("first", "reduced"), make_item("second"))
    queue.device = Device("the processor", {})
    for _ in range(2):  # a rehearsal begins anew
        assert queue.run(scale="toy", minutes=60) == 0
    assert queue.states("rehearsal") == {"first": "done", "second": "done"}
    first, again = queue.told("first")
    assert (first["scale"], first["device"], first["CUDA_VISIBLE_DEVICES"]) == ("toy", "cpu", "")
    assert first["COURSE_LIB_DIGEST"].startswith("toy-")
    assert first == again
    assert not (queue.into / "results").exists()


def test_a_trial_runs_one_of_each_kind_and_prints_better_estimates(queue, make_item, capsys, tmp_path):
    queue.list(
        make_item("one", needs=("datasets",)), make_item("two"), make_item("three"), make_item("four", kind="other")
    )
    assert queue.run(scale="tenth") == 0
    assert queue.states("trial") == {"two": "done", "four": "done"}
    assert queue.told("two")[0]["scale"] == "tenth"
    printed = capsys.readouterr().out
    assert "estimates at the full scale" in printed
    assert "(listed: 10 s)" in printed
    assert not list((queue.into / "trial").glob("archives/*"))
    assert set(json.loads((queue.into / "trial" / "report.json").read_text())["better estimates"]) == {"two", "four"}
    queue.run()
    assert json.loads((queue.into / "report.json").read_text())["trial"]["scale"] == "tenth"


# --- the command line
def cli(queue, *words):
    return paper.main(["--into", str(queue.into), "--queue", queue.module, *words], session=queue.session)


def test_list_works_without_a_device_and_knows_what_is_done(queue, make_item, capsys):
    queue.list(
        make_item("first"),
        make_item("half", "notes", records=("03_a", "03_b")),
        make_item("scores", needs=("datasets",)),
    )
    queue.run(only=("first", "half"))
    capsys.readouterr()
    queue.device = Device("", {})
    assert cli(queue, "--list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert " done " in lines[0]
    assert " partly " in lines[1]
    assert " needs datasets " in lines[2]
    assert "what half is" in lines[1]
    assert lines[-1].startswith("3 items, ")


def test_without_a_device_one_sentence_names_the_remedy(queue, make_item, capsys):
    queue.list(make_item("first"))
    queue.device = Device("", {}, trouble=" (the driver is too old)")
    assert cli(queue) == 2
    said = capsys.readouterr().err
    assert "the driver is too old" in said
    assert "REHEARSE=1" in said
    assert said.count("\n") == 1
    assert cli(queue, "--only", "frist") == 2
    assert "near it are first" in capsys.readouterr().err


def test_pack_alone_packs_what_earlier_calls_made(queue, make_item, capsys):
    queue.list(make_item("first"))
    queue.run()
    for old in (queue.into / "archives").glob("*"):
        old.unlink()
    assert cli(queue, "--pack") == 0
    assert [path.name for path in (queue.into / "archives").iterdir()] == ["paper-1-of-1.zip"]
    report = json.loads((queue.into / "report.json").read_text())
    assert report["device"] == "a GPU"
    assert report["items"][0]["state"] == "done"


def test_the_scripts_begin_in_a_bare_process():
    """From any folder, and without what only the book needs."""
    script = str(ROOT / "scripts" / "paper.py")
    code = f"""
import runpy, sys
for absent in ("nbformat", "matplotlib", "papermill", "IPython", "pytest"):
    sys.modules[absent] = None
sys.argv = ["paper.py", "--list", "--only", "engine"]
runpy.run_path({script!r}, run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "engine_512" in done.stdout


# --- logs
@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("a\nTraceback (most recent call last):\n  File\n    x\nKeyError: 'a'\nmore", "KeyError: 'a'"),
        (
            "Traceback (most recent call last):\n  File\n  f()\ntorch.OutOfMemoryError: CUDA\nsecond line",
            "torch.OutOfMemoryError: CUDA",
        ),
        ("one\n\x1b[31mtwo\x1b[0m\n\n", "two"),
        ("", "it printed nothing"),
    ],
)
def test_the_last_words_of_a_log(tmp_path, log, words):
    (tmp_path / "log").write_text(log)
    assert process.last_words(tmp_path / "log") == words
