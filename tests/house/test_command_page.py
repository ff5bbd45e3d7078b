"""The page book/command_line.md says of every command, option, default and exit code what the program says; its
examples run."""

import argparse
import importlib
import re
import shlex
from pathlib import Path

import pytest
import torch

from course_lib import __main__ as program
from course_lib import sample_image, save_image
from course_lib.data.frames import save_clip
from scripts import command_page

PAGE = (Path(__file__).resolve().parents[2] / "book" / "command_line.md").read_text(encoding="utf-8")
PARSERS = command_page.parsers()


def rows(text: str) -> list[list[str]]:
    """The cells of the tables in a text, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    rules = {k for k, row in enumerate(table) if row[0].startswith("---")}  # the lines below the heads
    return [row for k, row in enumerate(table) if k not in rules and k + 1 not in rules]


def section(command: str) -> str:
    return PAGE.partition(f"\n## `{command}`\n")[2].partition("\n## ")[0]


def test_every_command_has_a_section_and_a_row_above() -> None:
    sections = re.findall(r"^## `([\w-]+)`$", PAGE, re.MULTILINE)
    assert sorted(sections) == sorted(PARSERS)
    listed = [re.search(r"`([\w-]+)`", row[0])[1] for row in rows(PAGE.partition("## ")[0])]
    assert listed == sections


def test_the_tables_of_the_page_are_those_of_the_parsers() -> None:
    assert command_page.filled(PAGE) == PAGE, "run python -m scripts.command_page"
    with_options = [name for name, parser in PARSERS.items() if command_page.actions(parser)]
    tables = re.findall(r"^<!-- options of ([\w-]+) -->$", PAGE, re.MULTILINE)
    assert sorted(tables) == sorted(with_options)
    for name in with_options:
        assert f"<!-- options of {name} -->" in section(name)


def test_a_table_says_what_a_parser_says() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("pictures", nargs="+", metavar="IN", help="the pictures | photos")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="where to save (.png)")
    parser.add_argument("--way", choices=("a", "a+b"), help="with --size, a: one thing, a+b: two (default: a)")
    parser.add_argument("--start", choices=("noise", "mixed"), help="the first picture")
    parser.add_argument("--keep", nargs="?", const="x", metavar="W", help="keep it (default: as --way says)")
    parser.add_argument("--size", type=int, default=3, metavar="N", help="of great_wave (default: 3)")
    parser.add_argument("--fast", action="store_true", help="be fast")
    table = command_page.options(command_page.actions(parser)).splitlines()
    assert table[2:] == [
        r"| `IN` | required | the pictures \| photos |",
        "| `-o OUT`, `--output OUT` | required | where to save (`.png`) |",
        "| `--way WORD` | a | with `--size`, `a`: one thing, `a+b`: two |",
        "| `--start WORD` | none | the first picture: `noise` or `mixed` |",
        "| `--keep [W]` | as `--way` says | keep it |",
        "| `--size N` | 3 | of `great_wave` |",
        "| `--fast` | off | be fast |",
    ]


def test_a_table_of_no_command_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="a table for dance, and there is no such command"):
        command_page.filled("<!-- options of dance -->\n<!-- end -->")


def examples(command: str) -> list[list[str]]:
    """The words of the examples in a section, each without the name of the program."""
    lines = re.findall(r"^\$ python -m course_lib (.*)$", section(command), re.MULTILINE)
    return [shlex.split(line.replace("...", "")) for line in lines]


def is_pattern(words: list[str]) -> bool:
    """Whether an example only shows what goes where: ``stylize CONTENT... STYLE -o OUT``."""
    return any(re.fullmatch("[A-Z]{3,}|IN", word) for word in words)


@pytest.mark.parametrize("command", PARSERS)
def test_the_examples_of_the_page_are_parsed(command: str) -> None:
    """With OUT, MODEL and the like as they stand."""
    for words in examples(command):
        assert program.parsed(words).run is importlib.import_module(f"course_lib.cli.{command.replace('-', '_')}").run


SMALL = {  # what makes an example small: words at its end, by a word in it or, with "", always
    "stylize": {"": ["--size", "48"]},
    "train-style": {"": ["--config", "quick", "--steps", "2", "--size", "32", "--batch", "1"]},
    "train-upscale": {"": ["--config", "quick", "--steps", "2", "--size", "32", "--batch", "1"]},
    "train-translation": {"": ["--config", "quick", "--size", "64", "--batch", "1"]},
    "translate": {"": ["--size", "64"]},
    "cartoon": {"": ["--size", "64"]},
    "video": {"": ["--size", "32"]},
    "generate": {"": ["--size", "32"], "--grid": ["--count", "2"], "--walk": ["--walk", "2", "--count", "2"]},
}


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files and folders that the examples name, with small pictures; the working folder."""
    shown = {"photo.jpg": "eilean_donan", "painting.jpg": "great_wave", "second.jpg": "cafe_terrace"}
    for name, picture in {**shown, "street.png": "gateway_of_india"}.items():
        save_image(sample_image(picture, 64), tmp_path / name)
    for folder in ("photos", "summer", "winter", "plaster", "brick", "clear", "rain", "dusk", "drawn"):
        (tmp_path / folder).mkdir()
        for k in range(2):
            save_image(torch.rand(1, 3, 64, 64), tmp_path / folder / f"{k}.png")
    save_clip(sample_image("eilean_donan", 64).expand(10, -1, -1, -1), tmp_path / "clip.mp4")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.real_weights
@pytest.mark.parametrize("command", PARSERS)
def test_the_examples_of_the_page_run(command: str, album: Path, monkeypatch, capsys) -> None:
    """At the size of a stamp, and as short as they can be."""
    monkeypatch.setattr("course_lib.cli.pictures_from_noise.STEPS", 2)
    for words in examples(command):
        if is_pattern(words):
            continue
        more = [word for key, extra in SMALL.get(command, {}).items() if key in ("", *words) for word in extra]
        if command == "stylize" and not {"--model", "--method"} & {*words}:
            more += ["--steps", "1"]
        if command == "train-translation":
            more += ["--steps", "1"] if {"ugatit", "stargan"} & {*words} else ["--epochs", "1"]
        assert program.main([*words, *more]) == 0, (words, capsys.readouterr().err)
        out = words[words.index("-o") + 1] if "-o" in words else None
        assert out is None or (album / out).exists()


def test_exit_codes() -> None:
    """Those that `main` promises; tests/rooms/cli has a run for each."""
    promised = (program.main.__doc__ or "").partition("Returns:")[2]
    codes = [row[0] for row in rows(PAGE.partition("**Exit codes.**")[2].partition("\n## ")[0])]
    assert codes == re.findall(r"\b(\d+) (?:for|if)", promised) == ["0", "1", "2", "130"]


def test_options_are_fields_of_config_or_arguments() -> None:
    table = rows(PAGE.partition("## Options and `Config`")[2].partition("\n## ")[0])
    for row in table:
        for cell in row[1:]:
            for place in re.findall(r"`([a-z_0-9]+(?:\.\w+)+)`", cell):
                module, *path = place.split(".")
                found: object = importlib.import_module(f"course_lib.methods.{module}")
                for name in path:
                    found = getattr(found, name)
    options = {word for parser in PARSERS.values() for a in parser._actions for word in a.option_strings}
    assert {row[0].strip("`") for row in table} <= options


def test_help_names_a_default_wherever_there_is_one() -> None:
    for command, parser in PARSERS.items():
        for action in parser._actions:
            if action.option_strings and action.default not in (None, False, argparse.SUPPRESS):
                assert "default: " in (action.help or "") or "the default" in (action.help or ""), (
                    command,
                    action.dest,
                )
