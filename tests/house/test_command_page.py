"""The page book/command_line.md says of every command, option, default and exit code what the program says."""

import argparse
import importlib
import re
from pathlib import Path

import pytest

from course_lib import __main__ as program

PAGE = (Path(__file__).resolve().parents[2] / "book" / "command_line.md").read_text(encoding="utf-8")
COMMANDS = [name.replace("_", "-") for name in program.COMMANDS]


def parser_of(command: str) -> argparse.ArgumentParser:
    (commands,) = (action for action in program.parser()._actions if isinstance(action, argparse._SubParsersAction))
    return commands.choices[command]


def rows(text: str) -> list[list[str]]:
    """The cells of the tables in a text, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    rules = {k for k, row in enumerate(table) if row[0].startswith("---")}  # the lines below the heads
    return [row for k, row in enumerate(table) if k not in rules and k + 1 not in rules]


def section(command: str) -> str:
    return PAGE.partition(f"\n## `{command}`\n")[2].partition("\n## ")[0]


def spelled(action: argparse.Action) -> str:
    """What stands in the first column."""
    if not action.option_strings:
        return f"`{action.metavar}`"
    if action.nargs == 0:
        return ", ".join(f"`{word}`" for word in action.option_strings)
    metavar = "WORD" if action.choices else action.metavar or action.dest.upper()
    value = f"[{metavar}]" if action.nargs == "?" else metavar
    return ", ".join(f"`{word} {value}`" for word in action.option_strings)


def test_every_command_has_a_section_and_a_row_above() -> None:
    sections = re.findall(r"^## `([\w-]+)`$", PAGE, re.MULTILINE)
    assert sorted(sections) == sorted(COMMANDS)
    listed = [re.search(r"`([\w-]+)`", row[0])[1] for row in rows(PAGE.partition("## ")[0])]
    assert listed == sections


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_and_its_default_stands_on_the_page(command: str) -> None:
    actions = {spelled(a): a for a in parser_of(command)._actions if not isinstance(a, argparse._HelpAction)}
    table = {row[0]: row for row in rows(section(command))}
    assert list(table) == list(actions)
    for name, action in actions.items():
        _, default, meaning = table[name]
        told = re.search(r"\(default: ([^()]*)\)", action.help or "")
        if action.required and action.nargs != "*":
            assert default == "required", name
        elif action.nargs == 0:
            assert default == "off", name
        elif told:  # in the words of --help
            assert default.replace("`", "") == " ".join(told[1].split()), name
        elif action.default is None:
            assert default == (
                "as `--config` says" if action.dest in ("steps", "size", "batch", "style_weight") else "none"
            )
        if action.default not in (None, False) and action.nargs != "*":
            shown = f"{action.default:g}" if isinstance(action.default, float) else str(action.default)
            assert default == shown, name
        for choice in action.choices or ():
            assert f"`{choice}`" in meaning, f"{name}: {choice}"


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_of_the_page_are_parsed(command: str) -> None:
    """With OUT, MODEL and the like as they stand."""
    for line in re.findall(r"^\$ python -m course_lib (.*)$", section(command), re.MULTILINE):
        words = [word.replace("...", "") for word in re.findall(r'"[^"]*"|\S+', line)]
        assert program.parsed(words).run is importlib.import_module(f"course_lib.cli.{command.replace('-', '_')}").run


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
    options = {word for command in COMMANDS for a in parser_of(command)._actions for word in a.option_strings}
    assert {row[0].strip("`") for row in table} <= options


def test_help_names_a_default_wherever_there_is_one() -> None:
    for command in COMMANDS:
        for action in parser_of(command)._actions:
            if action.option_strings and action.default not in (None, False, argparse.SUPPRESS):
                assert "default: " in (action.help or "") or "the default" in (action.help or ""), (
                    command,
                    action.dest,
                )
