"""``train-style``: the whole way on tiny pictures and networks, Ctrl-C, full disks, and mistakes in one sentence."""

import dataclasses
import errno
import functools
import os
import signal
import tempfile
import threading

import pytest
import torch

from course_lib import load_image, sample_image, save_image
from course_lib.__main__ import main
from course_lib.cli import training
from course_lib.losses import one_painting
from course_lib.methods import johnson
from course_lib.training import loop, run
from course_lib.training.locks import only_run

SMALL = {"width": 0.1, "num_blocks": 1, "weights": None, "device": "cpu", "precision": "float32"}


def one_sentence(capsys):
    """What stands on standard error, which is a single line."""
    error = capsys.readouterr().err
    assert error.startswith("course_lib: ")
    assert error.count("\n") == 1, error
    return error


@pytest.fixture
def school(tmp_path, picture, monkeypatch):
    """A folder of photos; `--config quick` is a tiny network that needs no weights; checkpoints every third step."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(2):
        save_image(picture(48, 40, seed), folder / f"{seed}.png")
    tiny = johnson.Config(**SMALL, num_steps=4, batch_size=2, image_size=32, style_size=32)
    monkeypatch.setattr(johnson.Config, "quick", classmethod(lambda cls: tiny))
    monkeypatch.setattr(run, "fit", functools.partial(loop.fit, checkpoint_every=3))
    return folder


def train(files, school, *more, output="mine.safetensors"):
    """Runs the command; the model's path and the exit code."""
    path = school.parent / output
    words = ["train-style", files[1], "-o", str(path), "--photos", str(school), "--config", "quick", *more]
    return path, main(words)


def interrupted(step, monkeypatch, files, school, *more, times=1):
    """Runs the command, with Ctrl-C in the middle of a step."""
    original, calls = one_painting.total_variation_loss, []

    def counted(image):
        calls.append(1)
        for _ in range(times * (len(calls) == step)):
            signal.raise_signal(signal.SIGINT)
        return original(image)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(one_painting, "total_variation_loss", counted)
            found = train(files, school, *more)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        return found
    finally:
        signal.signal(signal.SIGINT, before)


def left(path):
    """The files of a training that are there, hidden ones too."""
    return sorted(file.name for file in path.parent.iterdir() if path.stem in file.name)


def weights_of(path):
    return johnson.load(path).network.state_dict()


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def test_a_style_is_trained_and_saved(files, school, capsys):
    path, code = train(files, school, "--preview-every", "2")
    assert code == 0
    assert capsys.readouterr().out.startswith(f"{path}: 4 steps in ")
    model = johnson.load(path)
    assert model.facts["style"] == "painting"
    assert (model.facts["steps"], model.facts["photos"], model.facts["device"]) == (4, 2, "cpu")
    assert load_image(path.with_suffix(".preview.jpg")).shape == (1, 3, 32, 32)
    assert not path.with_suffix(".checkpoint").exists()
    config = johnson.Config.quick()
    expected = johnson.train(load_image(files[1]), school, config)
    assert same(model.network.state_dict(), expected.network.state_dict())
    assert main(["stylize", files[0], "-o", files[2], "--model", str(path)]) == 0


def test_the_training_options_reach_the_method(files, school, wave):
    options = {"--steps": 2, "--size": 24, "--batch": 1, "--style-weight": 3.5, "--device": "cpu", "--seed": 7}
    path, code = train(files, school, *(str(word) for pair in options.items() for word in pair))
    assert code == 0
    changed = {
        "num_steps": 2, "image_size": 24, "batch_size": 1, "style_weight": 3.5, "device": "cpu", "seed": 7,
    }  # fmt: skip
    assert johnson.load(path).config == dataclasses.replace(johnson.Config.quick(), **changed)
    other, code = train(files, school, "--start", str(path), output="other.safetensors")
    assert code == 0
    assert johnson.load(other).facts["started_from"] == "mine"


@pytest.mark.parametrize("word", ["fast", "quick", "paper", "released", None])
def test_the_configurations(files, tmp_path, monkeypatch, word):
    configs = []

    def train(style, photos, config, **options):
        configs.append((config, photos, options["start"], options["preview"]))
        raise ValueError("enough")

    monkeypatch.setattr(johnson, "train", train)
    chosen = [] if word is None else ["--config", word]
    assert main(["train-style", files[1], "-o", str(tmp_path / "m.safetensors"), *chosen]) == 2
    maker = johnson.Config if word == "paper" else getattr(johnson.Config, word or "fast")
    assert configs == [(maker(), None, None, None)]


def test_a_photo_to_watch(files, school):
    path, code = train(files, school, "--preview", files[0], "--preview-every", "4")
    assert code == 0
    shown = load_image(path.with_suffix(".preview.jpg"))
    expected = johnson.stylize(load_image(files[0], 512), johnson.load(path), device="cpu").image
    assert shown.shape == expected.shape == (1, 3, 384, 512)
    assert (shown - expected).abs().mean() < 0.02  # a JPEG of the last step
    plain, _ = train(files, school, output="plain.safetensors")
    assert same(weights_of(path), weights_of(plain))


@pytest.mark.parametrize(("every", "count"), [("1", 4), ("2", 2), ("3", 1), ("5", 0)])
def test_previews_come_as_often_as_asked(files, school, monkeypatch, every, count):
    written = []
    monkeypatch.setattr(training, "save_image", lambda image, path: written.append(path))
    path, _ = train(files, school, "--preview-every", every)
    assert written == [path.with_suffix(".preview.jpg")] * count


def test_an_own_painting_by_name_and_a_file_that_wins(files, school, tmp_path, monkeypatch):
    seen = []
    original = johnson.train
    monkeypatch.setattr(johnson, "train", lambda style, *a, **o: (seen.append(style), original(style, *a, **o))[1])
    path = tmp_path / "m.safetensors"
    words = ["-o", str(path), "--photos", str(school), "--config", "quick", "--steps", "1"]
    assert main(["train-style", "great_wave", *words]) == 0
    assert torch.equal(seen[-1], sample_image("great_wave"))
    assert johnson.load(path).facts["style"] == "great_wave"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "great_wave").write_bytes((tmp_path / "photo.png").read_bytes())
    assert main(["train-style", "great_wave", *words]) == 0
    assert torch.equal(seen[-1], load_image(files[0]))


def test_ctrl_c_and_the_same_command_again(files, school, monkeypatch, capsys):
    """The step is finished and a checkpoint written, so that nothing is lost."""
    whole, code = train(files, school, "--steps", "8", output="whole.safetensors")
    assert code == 0
    capsys.readouterr()
    path, code = interrupted(5, monkeypatch, files, school, "--steps", "8")
    assert code == 130
    checkpoint = path.with_suffix(".checkpoint")
    stopping, stopped = capsys.readouterr().err.splitlines()
    assert stopping == "course_lib: stopping after this step; Ctrl-C again stops at once"
    assert stopped == (
        f"course_lib: stopped after step 5; the same command resumes from the last checkpoint, {checkpoint}"
    )
    assert left(path) == ["mine.checkpoint"]
    _, code = train(files, school, "--steps", "8")
    assert code == 0
    assert "resuming at step 6\n" in capsys.readouterr().out
    assert left(path) == ["mine.safetensors"]
    assert same(weights_of(path), weights_of(whole))


def test_a_second_ctrl_c_stops_at_once(files, school, monkeypatch, capsys):
    """The checkpoint is then that of the third step."""
    _, code = interrupted(5, monkeypatch, files, school, "--steps", "8", times=2)
    assert code == 130
    assert "stopped after step 4; the same command resumes from" in capsys.readouterr().err
    train(files, school, "--steps", "8")
    assert "resuming at step 4\n" in capsys.readouterr().out


def test_ctrl_c_in_the_first_step_stops_at_once(files, school, monkeypatch, capsys):
    path, code = interrupted(1, monkeypatch, files, school)
    assert code == 130
    assert "stopped; no checkpoint was written yet, so the same command starts over" in one_sentence(capsys)
    assert left(path) == []


def test_fresh_begins_anew(files, school, monkeypatch, capsys):
    path, _ = interrupted(3, monkeypatch, files, school)
    capsys.readouterr()
    assert left(path) == ["mine.checkpoint"]
    _, code = train(files, school, "--seed", "3")
    assert code == 2
    assert left(path) == ["mine.checkpoint"]
    capsys.readouterr()
    _, code = train(files, school, "--seed", "3", "--fresh")
    assert code == 0
    assert "resuming" not in capsys.readouterr().out
    other, _ = train(files, school, "--seed", "3", output="other.safetensors")
    assert same(weights_of(path), weights_of(other))


def test_a_mistake_with_fresh_loses_no_checkpoint(files, school, capsys):
    checkpoint = school.parent / "mine.checkpoint"
    checkpoint.write_text("precious")
    for more in (["--photos", "nowhere"], ["--start", "none.safetensors"], ["--preview", "none.jpg"], ["--size", "2"]):
        _, code = train(files, school, "--fresh", *more)
        assert code == 2
        one_sentence(capsys)
        assert checkpoint.read_text() == "precious"


def test_a_damaged_checkpoint_is_refused(files, school, capsys):
    (school.parent / "mine.checkpoint").write_text("nothing")
    _, code = train(files, school)
    assert code == 2
    assert "is damaged or not a checkpoint (BadZipFile); --fresh starts over\n" in one_sentence(capsys)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "nowhere/m.safetensors"], "does not exist"),
        (["-o", "m.pth"], "the name of a model file must end in .safetensors, got m.pth"),
        (["-o", "folder.safetensors"], "folder.safetensors is a folder"),
        (["--photos", "nowhere"], "nowhere is not a folder; --photos needs a folder with pictures"),
        (["--photos", "folder.safetensors"], "no photos"),
        (["--size", "64"], "0.png has 40×48 px, and a crop of 64 px needs a larger one"),
        (["-o", "x" * 249 + ".safetensors"], "has a name of 261 bytes, and 255 are allowed; use a shorter one"),
        (["--size", "4"], "--size must be a whole number of at least 8, got 4"),
        (["--style-weight", "-1"], "--style-weight must be a finite number"),
        (["--start", "{larger}"], "is a super_resolution model"),
        (["--start", "{wave}"], "the model to start from has norm='instance', not 'batch'"),
        (["--preview", "none.jpg"], "none.jpg does not exist"),
        (["--device", "gpu"], "unknown device 'gpu'"),
    ],
)
def test_mistakes_of_a_training(files, school, wave, larger, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.safetensors").mkdir()
    _, code = train(files, school, *(word.format(wave=wave, larger=larger) for word in words))
    assert code == 2
    assert message in one_sentence(capsys)


@pytest.mark.parametrize(
    ("painting", "message"),
    [
        ("great_wav", "there is no file great_wav, and no picture of the project has that name. Did you mean 'great_w"),
        ("phot.png", "Did you mean 'photo.png'?"),
        ("photos", "photos is a folder with 2 pictures"),
    ],
)
def test_a_painting_that_is_not_there(files, school, tmp_path, monkeypatch, capsys, painting, message):
    monkeypatch.chdir(tmp_path)
    assert main(["train-style", painting, "-o", "m.safetensors", "--photos", str(school), "--config", "quick"]) == 2
    assert message in one_sentence(capsys)


def test_a_training_that_breaks_at_once_saves_nothing(files, school, capsys):
    path, code = train(files, school, "--style-weight", "1e42")
    assert code == 2
    assert "is not finite any more" in one_sentence(capsys)
    assert not path.exists()


def test_a_training_that_breaks_later_saves_the_last_good_network(files, school, monkeypatch, capsys):
    original, calls = one_painting.total_variation_loss, []

    def breaks(image):
        calls.append(1)
        return original(image) * (float("nan") if len(calls) == 3 else 1)

    monkeypatch.setattr(one_painting, "total_variation_loss", breaks)
    path, code = train(files, school)
    assert code == 0
    said = capsys.readouterr()
    assert "tv is not finite any more" in said.err
    assert said.out.startswith(f"{path}: 2 steps in ")
    assert johnson.load(path).facts["steps"] == 2


# --- work that must not be lost ---


def test_what_differs_from_the_checkpoint_is_named_by_its_options(files, school, monkeypatch, capsys):
    path, _ = interrupted(3, monkeypatch, files, school)
    content = path.with_suffix(".checkpoint").read_bytes()
    for words, differs in (
        (["--seed", "3"], "--seed 0 (now 3)"),
        (["--size", "24", "--style-weight", "2.0"], "--size 32 (now 24) and --style-weight 0.7 (now 2.0)"),
        (["--batch", "1"], "--batch 2 (now 1)"),
        (["--steps", "2"], "--steps 4 (now 2)"),
    ):
        capsys.readouterr()
        _, code = train(files, school, *words)
        assert code == 2
        assert one_sentence(capsys) == (
            f"course_lib: {path.with_suffix('.checkpoint')} belongs to a run with another configuration: trained with "
            f"{differs}; give the old values to resume it, or --fresh to start over\n"
        )
    assert path.with_suffix(".checkpoint").read_bytes() == content
    assert train(files, school, "--steps", "6")[1] == 0  # a longer run continues
    assert "resuming at step 4" in capsys.readouterr().out


def test_a_fresh_run_keeps_the_old_checkpoint_until_its_first(files, school, monkeypatch, capsys):
    path, _ = interrupted(3, monkeypatch, files, school)
    checkpoint = path.with_suffix(".checkpoint")
    content = checkpoint.read_bytes()
    capsys.readouterr()
    _, code = interrupted(2, monkeypatch, files, school, "--fresh", "--steps", "8")
    assert code == 130
    assert checkpoint.read_bytes() == content
    assert "stopped after step 2; the old checkpoint is still there, and the same command without --fresh resumes" in (
        capsys.readouterr().err
    )
    _, code = interrupted(4, monkeypatch, files, school, "--fresh", "--steps", "8")
    assert code == 130
    assert f"the same command without --fresh resumes from the last checkpoint, {checkpoint}" in capsys.readouterr().err
    assert train(files, school, "--steps", "8")[1] == 0
    assert "resuming at step 5" in capsys.readouterr().out  # of the fresh run


def test_a_second_run_is_refused_and_the_first_goes_on(files, school, capsys):
    checkpoint = school.parent / "mine.checkpoint"
    refused = []
    with only_run(checkpoint):
        thread = threading.Thread(target=lambda: refused.append(train(files, school)[1]))
        thread.start()
        thread.join()
    assert refused == [2]
    said = one_sentence(capsys)
    assert f"another run (process {os.getpid()} on " in said
    assert f"is training into {checkpoint}; wait until it has ended, or choose another name" in said
    path, code = train(files, school)
    assert code == 0
    assert left(path) == ["mine.safetensors"]


def test_of_several_processes_the_first_alone_locks_and_saves(files, school, monkeypatch):
    """``torchrun`` starts the command several times; here, a second process without its first."""
    monkeypatch.setenv("RANK", "1")
    with only_run(school.parent / "mine.checkpoint"):
        found = []
        thread = threading.Thread(target=lambda: found.append(train(files, school, "--steps", "2")))
        monkeypatch.setattr(run, "fit", lambda *a, checkpoint=None, **o: loop.fit(*a, **o))  # the first has the lock
        thread.start()
        thread.join()
    ((path, code),) = found
    assert code == 0
    assert left(path) == []


@pytest.fixture
def no_room(monkeypatch):
    """Nothing large can be written: not into these folders."""
    fsync, full = os.fsync, set()

    def refuse(number):
        name = os.readlink(f"/proc/self/fd/{number}")
        if any(name.startswith(f"{folder}{os.sep}") for folder in full):
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(number)

    monkeypatch.setattr(os, "fsync", refuse)
    return full


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="asks the system for the name of an open file")
def test_a_full_disk_costs_neither_the_run_nor_the_model(files, school, no_room, monkeypatch, tmp_path, capsys):
    elsewhere = tmp_path / "tmp"
    elsewhere.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    runs = tmp_path / "runs"
    runs.mkdir()
    no_room.add(runs)
    path, code = train(files, school, output="runs/mine.safetensors")
    assert code == 1
    said = capsys.readouterr()
    (copy,) = elsewhere.rglob("*.safetensors")
    assert said.out.startswith(f"{copy}: 4 steps in ")
    first, last = said.err.splitlines()
    assert first.startswith(
        f"course_lib: step 3: the checkpoint {path.with_suffix('.checkpoint')} could not be written ("
    )
    assert last.startswith(f"course_lib: {path} could not be written (No space left on device). Make room in {runs}: ")
    assert last.endswith(f" MB are free. The model is in {copy} instead: move it from there.")
    assert [*runs.iterdir()] == []
    plain, _ = train(files, school)
    assert same(weights_of(copy), weights_of(plain))
    no_room.add("")  # the root
    path, code = train(files, school, output="runs/mine.safetensors")
    assert code == 2
    assert " could not be written (No space left on device). Make room in " in capsys.readouterr().err.splitlines()[-1]


def test_a_preview_that_fails_is_said_once_and_the_run_goes_on(files, school, monkeypatch, capsys):
    def full(image, path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(training, "save_image", full)
    path, code = train(files, school, "--preview-every", "1")
    assert code == 0
    assert "step 1: no preview (no space left on device); training continues" in one_sentence(capsys)
    assert left(path) == ["mine.safetensors"]


def test_a_preview_that_cannot_be_painted_does_not_end_the_run(files, school, monkeypatch, capsys):
    def broken(*arguments, **options):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(johnson, "stylize", broken)
    _, code = train(files, school, "--preview", files[0], "--preview-every", "2")
    assert code == 0
    assert "step 2: no preview (out of memory); training continues" in one_sentence(capsys)


def test_a_preview_too_narrow_is_refused_before_the_run(files, school, picture, capsys):
    save_image(picture(4, 400, 1), files[0])
    _, code = train(files, school, "--preview", files[0])
    assert code == 2
    assert "the preview" in one_sentence(capsys)


def test_photos_that_cannot_be_used_are_named_and_left_out(files, school, capsys):
    (school / "2.png").write_bytes((school / "1.png").read_bytes()[:60])
    (school / "._0.png").write_text("what macOS leaves")
    (school / "page.jpg").write_text("no picture")
    path, code = train(files, school)
    assert code == 0
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith(
        f"course_lib: 1 of 4 photos in {school} are left out: {school / 'page.jpg'} is not a pict"
    )
    assert johnson.load(path).facts["photos"] == 3


def test_too_little_memory_names_what_to_make_smaller(files, school, monkeypatch, capsys):
    def full(*arguments, **options):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")

    monkeypatch.setattr(johnson, "train", full)
    _, code = train(files, school)
    assert code == 2
    assert "try a smaller --size or --batch" in capsys.readouterr().err
