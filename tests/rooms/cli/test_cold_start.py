"""What the command line answers before PyTorch is there: help, mistakes in options, and the completion of words."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from benchmarks import cold_start
from course_lib import __main__ as program
from course_lib import flow
from course_lib.cli import completion, words
from course_lib.methods import blended_video, cyclegan, deep_photo, gatys, patches, super_resolution, ugatit
from course_lib.networks import feature_transforms, super_resolution_net
from course_lib.samples import sample_names
from course_lib.training import model_files

ROOT = Path(__file__).resolve().parents[3]
HEAVY = ("torch", "numpy", "PIL", "tqdm", "matplotlib", "requests")
ASK = """
import contextlib, io, json, sys
from course_lib.__main__ import COMMANDS, main

names = [name.replace("_", "-") for name in COMMANDS]
asked = [["--help"], ["--version"], [], ["nothing"]]
asked += [[name, "--help"] for name in names] + [[name, "--no-such-option", "--json"] for name in names]
for words in asked:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            code = main(words)
        except SystemExit as end:
            code = end.code
    assert code == (0 if words[-1:] in (["--help"], ["--version"]) else 2), (words, code)
    here = [name for name in sys.argv[1:] if name in sys.modules]
    assert not here, f"{' '.join(words)} imports {', '.join(here)}"
"""


def test_help_and_mistakes_import_nothing_heavy():
    """PyTorch alone takes one to three seconds to import; a test of the modules is one that a busy machine passes."""
    done = subprocess.run([sys.executable, "-c", ASK, *HEAVY], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_words_and_numbers_of_options_are_those_of_the_methods():
    assert words.TRANSFORMS == feature_transforms.TRANSFORMS
    assert words.DIRECTIONS == cyclegan.DIRECTIONS == ugatit.DIRECTIONS
    weights = {
        "gatys": gatys.Config.fast().style_weight,
        "patches": patches.Config.fusion().style_weight,
        "photorealistic": deep_photo.Config().style_weight,
    }
    assert weights == words.STYLE_WEIGHT
    assert patches.Config.fusion().patch_weight == words.PATCH_WEIGHT
    assert deep_photo.Config().photo_weight == words.PHOTO_WEIGHT
    assert words.FACTORS == super_resolution_net.FACTORS
    assert words.LOSSES == super_resolution.LOSSES
    assert words.PRESETS == flow.PRESETS
    assert blended_video.Config().blend == words.BLEND


@pytest.mark.parametrize(
    ("called", "prog"),
    [("/usr/bin/paint", "paint"), ("/usr/bin/course_lib", "course_lib"), ("x/__main__.py", "python -m course_lib")],
)
def test_usage_says_how_the_program_was_called(called, prog, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [called])
    with pytest.raises(SystemExit):
        program.main(["stylize", "--help"])
    usage = capsys.readouterr().out.partition("\n\n")[0]
    assert usage.startswith(f"usage: {prog} stylize ")
    assert all(line.strip().startswith(f"{prog} stylize") for line in usage.splitlines()[1:])
    assert program.main(["translate", "nowhere.png", "-o", "a.png", "--model", "nowhere"]) == 2
    assert capsys.readouterr().err.startswith("paint: " if prog == "paint" else "course_lib: ")


def test_both_console_scripts_run_the_same_function():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert scripts == {"paint": "course_lib.__main__:main", "course_lib": "course_lib.__main__:main"}


@pytest.mark.parametrize("columns", ["60", "100"])
def test_help_fits_a_narrow_terminal(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    for name in ["", *program.COMMANDS]:
        with pytest.raises(SystemExit):
            program.main([*([name.replace("_", "-")] if name else []), "--help"])
        text = capsys.readouterr().out.partition("\n\n")[2]  # after the usage, which may hold long words
        assert max(map(len, text.splitlines())) <= int(columns), name


def tab(line, folder, tmp_path):
    """What a shell is offered after these words."""
    offered = tmp_path / "offered"
    environment = {
        **os.environ, "_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": line, "COMP_POINT": str(len(line)),
        "_ARGCOMPLETE_STDOUT_FILENAME": str(offered), "PYTHONPATH": str(ROOT), "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
    }  # fmt: skip
    code = "import sys; sys.argv = ['paint']; from course_lib.__main__ import main; main()"
    subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, check=False)
    return {word.strip() for word in offered.read_text(encoding="utf-8").split("\n")}


def test_the_tab_key_completes_commands_options_files_pictures_and_networks(tmp_path):
    pytest.importorskip("argcomplete")
    (tmp_path / "great_day.png").touch()
    assert tab("paint train-", tmp_path, tmp_path) == {"train-style", "train-translation", "train-upscale"}
    assert "--keep-colors" in tab("paint stylize --", tmp_path, tmp_path)
    found = tab("paint stylize great_", tmp_path, tmp_path)
    assert found == {"great_day.png", *(name for name in sample_names() if name.startswith("great_"))}
    networks = {file.stem for file in model_files.models_folder().glob("photo_*.safetensors")}
    assert tab("paint upscale a.png --model photo_", tmp_path, tmp_path) == networks != set()


def test_without_argcomplete_nothing_is_completed_and_nothing_breaks(monkeypatch):
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    completion.complete(program.parser())


def test_names_are_completed_without_pictures_and_networks(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_LIB_DATA", str(tmp_path))
    assert completion.picture_names() == completion.model_names() == []


@pytest.mark.parametrize("words", [["--version"], ["stylize", "--version"]])
def test_version(words, capsys):
    with pytest.raises(SystemExit) as end:
        program.main(words)
    assert end.value.code == 0
    assert capsys.readouterr().out == f"course_lib {program.__version__}\n"


def test_a_mistake_in_an_option_is_json_if_that_was_asked_for(capsys):
    with pytest.raises(SystemExit) as end:
        program.main(["upscale", "--json", "a.png", "--tile", "much"])
    assert end.value.code == 2
    said = json.loads(capsys.readouterr().out)
    assert said["exit"] == 2
    assert "expected a whole number of at least 1, got 'much'" in said["error"]


def test_the_time_to_help_is_measured_beside_another_program(monkeypatch, capsys):
    monkeypatch.setattr(cold_start, "ROUNDS", 1)
    monkeypatch.setattr(cold_start, "PLAIN", "sum(range(3_000_000)); ")  # in place of importing PyTorch
    monkeypatch.setattr(sys, "argv", ["cold_start"])
    cold_start.main()
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("paint --help: ")
    assert second.startswith("paint stylize --help: ")
    assert float(second.split()[3].rstrip("×")) > 1
