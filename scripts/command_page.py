"""Writes the tables of options into the page on the command line: python -m scripts.command_page

The prose of book/command_line.md is written by hand. Between two comments, ``<!-- options of NAME -->`` and
``<!-- end -->``, stands what the parsers say: option, default, meaning. This replaces it by what they say now;
tests/house/test_command_page.py compares.
"""

import argparse
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from course_lib import __main__ as program
from course_lib.atomic import atomic_write

PAGE = Path(__file__).resolve().parents[1] / "book" / "command_line.md"
COMMON = "options of every command"  # the title of their group in the parsers
_PART = re.compile(r"<!-- (commands|options of [\w -]+) -->\n.*?<!-- end -->", re.DOTALL)
_DEFAULT = re.compile(r"\s*\(default: ([^()]*)\)")
_CODE = re.compile(r"(?<![\w`*.-])(?:--[a-z][a-z-]*|\.[a-z]{3,11}(?!\w)|[a-z]\w*_\w+)")  # options, suffixes, names


def parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command, by its name."""
    (commands,) = (action for action in program.parser()._actions if isinstance(action, argparse._SubParsersAction))
    return dict(commands.choices)


def actions(parser: argparse.ArgumentParser, *, common: bool = False) -> list[argparse.Action]:
    """The arguments of one command, without --help: its own or, with `common`, those that every command has."""
    shared = next((group._group_actions for group in parser._action_groups if group.title == COMMON), [])
    own = [a for a in parser._actions if a not in shared and not isinstance(a, argparse._HelpAction)]
    return list(shared) if common else own


def spelled(action: argparse.Action) -> str:
    """What stands in the first column: ``-o OUT``, ``--output OUT``."""
    if not action.option_strings:
        return f"`{action.metavar}`"
    if action.nargs == 0:
        return ", ".join(f"`{word}`" for word in action.option_strings)
    metavar = "WORD" if action.choices else action.metavar or action.dest.upper()
    value = f"[{metavar}]" if action.nargs == "?" else metavar
    return ", ".join(f"`{word} {value}`" for word in action.option_strings)


def default(action: argparse.Action) -> str:
    """What stands in the second column, in the words of --help if it says."""
    told = _DEFAULT.search(action.help or "")
    if action.required and action.nargs != "*":
        return "required"
    if told:
        return _as_code(" ".join(told[1].split()), _CODE)
    if action.nargs == 0:
        return "off"
    return "none" if action.default is None else f"{action.default}"


def meaning(action: argparse.Action) -> str:
    """What stands in the third column: the help without its default, with options and words to choose from as code."""
    text = _as_code(_DEFAULT.sub("", action.help or "").strip(), _CODE)
    words = [str(word) for word in action.choices or ()]
    if not words:
        return text
    longest = sorted(map(re.escape, words), key=len, reverse=True)
    found = re.compile(rf"(?<![\w`+.-])(?:{'|'.join(longest)})(?![\w`+-])")
    if {*found.findall(text)} == {*words}:
        return _as_code(text, found)
    *others, last = (f"`{word}`" for word in words)
    return f"{text}: {', '.join(others)} or {last}"


def _as_code(text: str, words: re.Pattern[str]) -> str:
    return words.sub(lambda match: f"`{match[0]}`", text)


def options(found: Iterable[argparse.Action]) -> str:
    """The table of these arguments."""
    rows = [(spelled(action), default(action), meaning(action)) for action in found]
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(["| option | default | meaning |", "|---|---|---|", *lines])


def commands() -> str:
    """The table of all commands."""
    (found,) = (action for action in program.parser()._actions if isinstance(action, argparse._SubParsersAction))
    lines = [f"| [`{choice.dest}`](#{choice.dest}) | {choice.help} |" for choice in found._choices_actions]
    return "\n".join(["| command | what it does |", "|---|---|", *lines])


def filled(page: str) -> str:
    """The page with fresh tables.

    Raises:
        ValueError: a comment names no command.
    """
    known = parsers()

    def part(match: re.Match[str]) -> str:
        what = match[1]
        name = what.removeprefix("options of ")
        if what == "commands":
            table = commands()
        elif name == "every command":
            table = options(actions(next(iter(known.values())), common=True))
        elif name in known:
            table = options(actions(known[name]))
        else:
            raise ValueError(f"the page has a table for {name}, and there is no such command")
        return f"<!-- {what} -->\n\n{table}\n\n<!-- end -->"

    return _PART.sub(part, page)


def main() -> int:
    before = PAGE.read_text(encoding="utf-8")
    after = filled(before)
    if after != before:
        with atomic_write(PAGE) as stream:
            stream.write(after.encode())
        print(f"written: {PAGE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
