"""Checkpoints where something is wrong: a full disk, a bad place, another run, a callback that raises."""

import errno
import os
import subprocess
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import nn

from course_lib.training import loop
from course_lib.training.checkpoints import CheckpointError
from course_lib.training.loop import Minimizer
from course_lib.training.run import train_and_summarize
from course_lib.training.schedules import linear_to_zero

PICTURES = torch.rand(12, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@dataclass(frozen=True)
class Config:
    """A method's configuration in small."""

    num_steps: int = 6
    batch_size: int = 4
    learning_rate: float = 1e-2
    cooldown: float = 0.0
    image_size: int = 8
    norm: str = "batch"
    device: str = "auto"
    seed: int = 0


def step(network, batch):
    made = network(batch)
    return (made - batch.flip(-1)).square().mean().view(1), made


def learner(rate=1e-2):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Dropout(0.2), nn.Conv2d(4, 3, 3, padding=1))
    return Minimizer(network, step, ["mirrored"], learning_rate=rate)


def train(checkpoint=None, num_steps=6, **options):
    """The weights after a short run."""
    pupil = learner()
    loop.fit(pupil, PICTURES, num_steps=num_steps, checkpoint=checkpoint, **options)
    return pupil.network.state_dict()


def run(config, checkpoint, **options):
    """The same through what methods call."""
    pupil = learner(config.learning_rate)
    return train_and_summarize(pupil, PICTURES, config, checkpoint=checkpoint, **options)


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def steps_in(file):
    return len(torch.load(file, weights_only=True)["rows"])


# --- a disk that is full ---


@contextmanager
def full_disk(monkeypatch, moment):
    """A disk without room."""

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, moment, full)
        yield


@contextmanager
def small_files(count):
    """No file may become larger than `count` bytes: torch's own writer then fails in the middle."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_full_disk_does_not_end_a_run(monkeypatch, tmp_path, moment):
    file = tmp_path / "run.pt"
    train(file, num_steps=2)
    content = file.read_bytes()
    with full_disk(monkeypatch, moment), pytest.warns() as told:
        weights = train(file, checkpoint_every=1)
    assert same(weights, train())
    (text,) = [str(warning.message) for warning in told]  # at steps 3 to 6, and said once
    assert text.startswith(f"step 3: the checkpoint {file} could not be written (No space left on device); training")
    assert f". Make room in {tmp_path}: 0.0 MB are needed, and " in text
    assert file.read_bytes() == content
    assert [*tmp_path.iterdir()] == [file]
    assert same(train(file), weights)


def test_torchs_own_writer_may_fail(tmp_path):
    file = tmp_path / "run.pt"
    with small_files(3000), pytest.warns(UserWarning, match=r"step 6: .* could not be written \(File too large\)"):
        weights = train(file)
    assert same(weights, train())
    assert not [*tmp_path.iterdir()]


def test_it_is_said_when_a_checkpoint_is_written_again(monkeypatch, tmp_path):
    file, told = tmp_path / "run.pt", []
    said = ((2, "could not be written"), (5, "could be written again"))
    full = full_disk(monkeypatch, "fsync")

    def watch(progress):
        if progress.step == 1:
            full.__enter__()
        if progress.step == 4:
            full.__exit__(None, None, None)

    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: told.append(str(message).split(" (")[0])
        train(file, checkpoint_every=1, callback=watch)
    assert told == [f"step {k}: the checkpoint {file} {what}" for k, what in said]
    assert steps_in(file) == 6


def test_other_errors_of_a_writer_end_the_run(monkeypatch, tmp_path):
    def broken(*_):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(torch, "save", broken)
    with pytest.raises(RuntimeError, match="illegal memory"):
        train(tmp_path / "run.pt")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 100 kB, where this user may make one."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(place)]
    try:
        made = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        made = False
    if not made:
        pytest.skip("this user cannot mount a file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.slow
def test_a_real_disk_that_is_full(small_disk):
    file = small_disk / "run.pt"
    train(file, num_steps=2)
    (small_disk / "filler").write_bytes(bytes(os.statvfs(small_disk).f_bavail * 4096 - 4096))
    with pytest.warns(UserWarning, match=r"step 3: .*\(No space left on device\).* Make room in .* and 0.0 MB"):
        weights = train(file, checkpoint_every=1)
    assert steps_in(file) == 2
    (small_disk / "filler").unlink()
    assert same(train(file), weights)
    assert [*small_disk.iterdir()] == [file]


# --- a bad place, before the first step ---


def refused(file, message):
    """Nothing is computed or written."""
    with pytest.raises(CheckpointError, match=message):
        train(file, callback=lambda progress: pytest.fail("a step was taken"))


def test_a_bad_place_is_refused_before_the_first_step(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("in the way")
    refused(tmp_path / "folder", "folder is a folder; give the name of a file")
    refused(tmp_path / "file" / "run.pt", r"the folder .*file cannot be made \(.*\); choose another")
    for count in (248, 300):  # with 6 more, for a lock
        refused(tmp_path / ("x" * count + ".pt"), "has a name of .* bytes, and 255 are allowed; use a shorter one")
    (tmp_path / "guarded.pt").write_text("precious")
    (tmp_path / "guarded.pt").chmod(0o444)
    refused(tmp_path / "guarded.pt", "is write-protected; choose another name, or make it writable")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "guarded.pt"]


@pytest.mark.parametrize(
    ("number", "advice"),
    [(errno.EROFS, "choose another folder"), (errno.EACCES, "folder"), (errno.ENOSPC, "make room")],
)
def test_a_place_where_nothing_can_be_written(monkeypatch, tmp_path, number, advice):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "open", refuse)
    refused(tmp_path / "run.pt", rf"run\.pt cannot be written \({os.strerror(number)}\); .*{advice}")


def test_the_home_folder_has_a_short_name(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    train("~/runs/run.pt")
    assert (tmp_path / "runs" / "run.pt").exists()


# --- a callback that raises ---


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_where_a_callback_raises_a_checkpoint_is_written(tmp_path, error):
    file, steps = tmp_path / "run.pt", []

    def fails(progress):
        if progress.step == 4:
            raise error("the caller's own")

    with pytest.raises(error, match="the caller's own"):
        train(file, callback=fails)
    assert steps_in(file) == 4
    assert same(train(file, callback=lambda progress: steps.append(progress.step)), train())
    assert steps == [5, 6]
    assert [*tmp_path.iterdir()] == [file]


def test_a_callback_that_raises_on_a_full_disk_gets_its_own_error(monkeypatch, tmp_path):
    def fails(progress):
        raise ZeroDivisionError

    with full_disk(monkeypatch, "fsync"), pytest.raises(ZeroDivisionError), pytest.warns(UserWarning, match="step 1"):
        train(tmp_path / "run.pt", callback=fails)


# --- starting over ---


def test_a_run_that_begins_anew_leaves_the_old_checkpoint_until_its_first(tmp_path):
    file, found = tmp_path / "run.pt", []
    train(file, seed=1)
    content = file.read_bytes()

    def watch(progress):
        found.append(file.read_bytes() == content)

    assert same(train(file, resume=False, checkpoint_every=3, callback=watch), train())
    assert found == [True, True, False, False, False, False]
    assert same(train(file), train())  # it is of the new run


def test_a_new_run_that_ends_at_once_does_not_cost_the_old_one(tmp_path):
    file = tmp_path / "run.pt"
    train(file, seed=1)
    content = file.read_bytes()

    def fails(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(file, resume=False, callback=fails)
    assert file.read_bytes() == content


def test_a_run_that_begins_anew_does_not_mind_a_damaged_file(tmp_path):
    file = tmp_path / "run.pt"
    file.write_text("not a checkpoint")
    assert same(train(file, resume=False), train())


# --- another run is named ---


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_size": 16}, r"trained with image_size 8 \(now 16\); give the old values to resume it, or delete it"),
        ({"learning_rate": 0.02}, r"trained with learning_rate 0.01 \(now 0.02\);"),
        ({"norm": "instance", "seed": 3}, r"trained with norm batch \(now instance\) and seed 0 \(now 3\);"),
        (
            {"norm": "no", "seed": 3, "image_size": 9, "batch_size": 2, "cooldown": 0.5, "learning_rate": 0.1},
            r"batch_size 4 \(now 2\), cooldown 0.0 \(now 0.5\), image_size 8 \(now 9\), .* and 2 more settings",
        ),
    ],
    ids=["size", "rate", "two", "six"],
)
def test_fields_that_differ_are_named_with_both_values(tmp_path, change, message):
    run(Config(), tmp_path / "run.pt")
    with pytest.raises(CheckpointError, match="another configuration: " + ".*" * (len(change) > 2) + message):
        run(replace(Config(), **change), tmp_path / "run.pt")


def test_sums_are_put_in_words(tmp_path):
    run(Config(), tmp_path / "run.pt", fingerprint={"style": 1.5})
    with pytest.raises(CheckpointError, match=r"trained with seed 0 \(now 1\) and another style image;"):
        run(Config(seed=1), tmp_path / "run.pt", fingerprint={"style": 1.25})


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"batch_size": 2}, r"batch_size 4 \(now 2\)"),
        ({"seed": 5}, r"seed 0 \(now 5\)"),
        ({"ema": 0.5}, r"ema None \(now 0.5\)"),
        ({"schedule": linear_to_zero(0.5)}, "another schedule of the learning rates"),
    ],
)
def test_the_loops_own_settings_are_named_too(tmp_path, option, message):
    train(tmp_path / "run.pt")
    with pytest.raises(CheckpointError, match=f"trained with {message};"):
        train(tmp_path / "run.pt", **option)


def test_a_number_of_steps_that_cannot_be_changed_is_named(tmp_path):
    run(Config(cooldown=0.5), tmp_path / "run.pt")
    for steps in (5, 8):
        with pytest.raises(CheckpointError, match=rf"trained with num_steps 6 \(now {steps}\);"):
            run(Config(num_steps=steps, cooldown=0.5), tmp_path / "run.pt")


def test_a_run_is_not_made_shorter_than_it_is(tmp_path):
    """Six steps cannot be taken back; a run that was stopped at the fourth can end at the fifth."""

    def stop(progress):
        if progress.step == 4:
            raise KeyboardInterrupt

    train(tmp_path / "whole.pt")
    with pytest.raises(CheckpointError, match=r"trained with num_steps 6 \(now 5\);"):
        train(tmp_path / "whole.pt", num_steps=5)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped.pt", callback=stop)
    assert same(train(tmp_path / "stopped.pt", num_steps=5), train(num_steps=5))


def test_a_run_may_continue_on_another_device(tmp_path):
    run(Config(), tmp_path / "run.pt")
    assert run(Config(device="cpu"), tmp_path / "run.pt").facts["steps"] == 6


def of_an_earlier_version(file):
    """Checkpoints used to hold the digest alone."""
    state = torch.load(file, weights_only=True)
    del state["run"], state["num_steps"]
    torch.save(state, file)


def test_checkpoints_of_an_earlier_version_are_resumed_or_refused(tmp_path):
    file = tmp_path / "run.pt"
    run(Config(num_steps=3), file)
    of_an_earlier_version(file)
    assert run(Config(), file).facts["steps"] == 6
    of_an_earlier_version(file)
    for other in (Config(seed=1), Config(device="cpu")):
        with pytest.raises(
            CheckpointError, match="another configuration, or to an earlier version of this package; del"
        ):
            run(other, file)
    with pytest.raises(CheckpointError, match=r"num_steps 6 or more \(now 5\)"):
        run(Config(num_steps=5), file)
