"""`--json` and `--quiet`, for every command: what goes to standard output, and what to standard error."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from course_lib.__main__ import main
from course_lib.cli import terminal
from course_lib.cli.terminal import bar, complain, report, say, voice
from course_lib.images import save_image
from course_lib.methods import super_resolution

ROOT = Path(__file__).resolve().parents[3]


def objects(text):
    """One JSON object a line, and nothing else; NaN is no JSON."""
    return [json.loads(line, parse_constant=lambda word: pytest.fail(word)) for line in text.splitlines()]


@pytest.fixture
def folder(tmp_path, picture, monkeypatch):
    """A folder with a picture and a file that is none; it is the working folder."""
    (tmp_path / "in").mkdir()
    save_image(picture(10, 12, 1), tmp_path / "in" / "good.png")
    (tmp_path / "in" / "bad.png").write_text("no picture")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def upscale(larger, *words):
    return main(["upscale", *words, "--model", str(larger), "--device", "cpu"])


def test_one_result_is_one_object(folder, larger, capsys):
    assert upscale(larger, "in/good.png", "-o", "out.png", "--json") == 0
    (told,) = objects(capsys.readouterr().out)
    assert told["file"] == "out.png"
    assert told["source"] == "in/good.png"
    assert (told["width"], told["height"]) == (24, 20)
    assert 0 < told["seconds"] < 60
    assert upscale(larger, "in/good.png", "-o", "out.png") == 0
    assert capsys.readouterr().out.startswith("out.png: 24 × 20 px in ")


def test_each_of_several_pictures_is_an_object_and_so_is_one_that_failed(folder, larger, capsys):
    assert upscale(larger, "in", "-o", "out", "--json") == 1
    told = objects(capsys.readouterr().out)
    (bad,) = (one for one in told if "error" in one)
    assert bad["source"] == "in/bad.png"
    assert "is not a picture" in bad["error"]
    assert "exit" not in bad  # the command went on
    assert [one["file"] for one in told if "file" in one] == ["out/good.png"]


def test_an_error_is_an_object_too_and_still_a_sentence(folder, larger, capsys):
    assert upscale(larger, "nowhere.png", "-o", "out.png", "--json") == 2
    captured = capsys.readouterr()
    (told,) = objects(captured.out)
    assert told["exit"] == 2
    assert captured.err == f"course_lib: {told['error']}\n"
    assert "nowhere.png does not exist" in told["error"]


def test_quiet_leaves_errors_alone(folder, larger, capsys):
    assert upscale(larger, "in/good.png", "-o", "out.png", "--quiet") == 0
    assert capsys.readouterr() == ("", "")
    assert upscale(larger, "in", "-o", "out", "--quiet") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("course_lib: skipped: in/bad.png")
    assert upscale(larger, "nowhere.png", "-o", "out.png", "--quiet") == 2
    assert "nowhere.png does not exist" in capsys.readouterr().err


def test_ctrl_c_is_an_object(folder, larger, capsys, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(super_resolution, "upscale", stopped)
    assert upscale(larger, "in/good.png", "-o", "out.png", "--json") == 130
    assert objects(capsys.readouterr().out)[-1] == {"error": "stopped.", "exit": 130}
    assert not Path("out.png").exists()


def test_a_package_that_is_missing_is_a_sentence(capsys, monkeypatch):
    def needs_it(options):
        import no_such_package  # noqa: F401

    monkeypatch.setattr("course_lib.cli.models.run", needs_it)
    assert main(["models", "--json"]) == 2
    (told,) = objects(capsys.readouterr().out)
    assert told["error"] == "the package no_such_package is not installed; install it, or course_lib again"


@pytest.mark.parametrize(("words", "name"), [(["models"], "great_wave"), (["fetch", "--list"], "vgg19_normalized")])
def test_lists_survive_quiet_and_have_an_object_a_row(words, name, capsys):
    assert main(words) == 0
    plain = capsys.readouterr().out
    assert name in plain
    assert main([*words, "--quiet"]) == 0
    assert capsys.readouterr().out == plain
    assert main([*words, "--json"]) == 0
    assert name in {row.get("name") for row in objects(capsys.readouterr().out)}


def test_what_a_training_tells_programs(folder, files, picture, capsys):
    (folder / "photos").mkdir()
    save_image(picture(40, 44, 3), folder / "photos" / "a.png")
    small = ["--config", "quick", "--loss", "pixel", "--factor", "2", "--steps", "3", "--size", "16", "--batch", "1"]
    assert main(["train-upscale", "photos", "-o", "m.safetensors", "--device", "cpu", "--json", *small]) == 0
    (told,) = objects(capsys.readouterr().out)
    assert told["file"] == "m.safetensors"
    assert told["steps"] == told["settings"]["num_steps"] == 3
    assert told["settings"]["factor"] == 2
    assert told["device"] == "cpu"
    assert math.isclose(told["losses"]["total"], told["losses"]["pixel"], rel_tol=1e-6)


def test_a_voice_ends_with_its_block_and_notes_are_no_results(capsys):
    with voice(quiet=True):
        report("a line", file="a.png")
        report("a row", asked=True)
        say("a note")
        complain("a mistake")
    assert capsys.readouterr() == ("a row\n", "course_lib: a mistake\n")
    with voice(json=True):
        report("a line of the end")  # nothing in it that programs need
        report("a line", among=True, numbers=(1.5, float("inf")), where=Path("a") / "b", none=None)
        say("a note")
    assert capsys.readouterr() == ('{"numbers": [1.5, null], "where": "a/b"}\n', "course_lib: a note\n")
    report("one of several", among=True)
    report("the end")
    assert capsys.readouterr() == ("the end\n", "")


def test_a_bar_is_silent_where_nobody_looks(monkeypatch):
    monkeypatch.setattr(terminal.sys.stderr, "isatty", lambda: True, raising=False)
    with bar(total=3) as shown:
        assert not shown.disable
    with voice(quiet=True), bar(total=3) as hidden:
        assert hidden.disable


@pytest.mark.parametrize(
    "words", [["--help"], ["stylize", "--help"], ["cartoon", "Ω.png", "-o", "out.png"], ["ledger"]]
)
def test_letters_that_the_terminal_lacks_are_replaced(words):
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}
    done = subprocess.run(
        [sys.executable, "-m", "course_lib", *words], cwd=ROOT, env=environment, capture_output=True, check=False
    )
    assert done.returncode == (2 if "Ω.png" in words else 0), done.stderr
    assert b"Traceback" not in done.stderr
    (done.stdout + done.stderr).decode("ascii")
