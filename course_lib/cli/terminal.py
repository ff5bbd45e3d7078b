"""What a command says: results on standard output, everything else on standard error, one line each.

A command never prints. It calls `report` for a result, `say` for a note, `complain` for what went wrong, and `bar` for
progress; ``--quiet`` and ``--json`` then work for every command in the same way. Messages are in the words of the
command line, in letters that the terminal can show.
"""

from __future__ import annotations

import codecs
import dataclasses
import json
import math
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_PLAIN = {"×": "x", "–": "-", "—": "-", "−": "-", "…": "...", "“": '"', "”": '"', "‘": "'", "’": "'", "·": "."}
_LIBRARY = re.compile(
    r"\b(history_size|learning_rate|load_image|sample_image|from_pil|callback|image\.clamp|resize\(|shallower)\b"
)
_BEGINS = re.compile(r"(\w+)(?= must be )")  # what `course_lib.arguments` says begins with the name of a field
_FIELDS = {
    "num_steps": "steps",
    "num_epochs": "epochs",
    "image_size": "size",
    "batch_size": "batch",
    "history_size": "history",
    "style_layer_weights": "layer_weights",
}  # with another word as an option
_KEYWORD = re.compile(r"\b([a-z]\w*)=('?)([\w.-]+)\2")


def show_any_letter() -> None:
    """Replace letters that the encoding of standard output or standard error lacks: × by x, others by ?.

    A terminal may be limited to ASCII (``LC_ALL=C`` on some systems, ``PYTHONIOENCODING=ascii``); printing a size such
    as 160 × 120 would then end in a traceback, after the work is done.
    """
    codecs.register_error("course_lib.plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure") and "utf" not in (stream.encoding or "").lower():
            stream.reconfigure(errors="course_lib.plain")


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_PLAIN.get(letter, "?") for letter in error.object[error.start : error.end]), error.end


@dataclasses.dataclass(frozen=True)
class Report:
    """One result, for people and for programs."""

    line: str
    """What people read: ``"out.png: one pass in 0.3 s"``."""
    facts: Mapping[str, Any]
    """What programs read, see `report`."""


@dataclasses.dataclass
class _Voice:
    quiet: bool = False
    json: bool = False


_voice = _Voice()


@contextmanager
def voice(*, quiet: bool = False, json: bool = False) -> Iterator[None]:
    """Inside the ``with``, speak as ``--quiet`` and ``--json`` ask for."""
    before = dataclasses.replace(_voice)
    _voice.quiet, _voice.json = quiet, json
    try:
        yield
    finally:
        _voice.quiet, _voice.json = before.quiet, before.json


def report(line: str, *, among: bool = False, asked: bool = False, **facts: Any) -> None:
    """Tell of one result on standard output: a line, or with ``--json`` one JSON object in one line.

    Args:
        line: for people; not printed with ``--quiet``. Empty: only programs are told.
        among: the result is one of several; people read of all of them in one line at the end.
        asked: the line is what the user asked for, such as a row of a list; ``--quiet`` keeps it.
        facts: for programs. The names that commands share: ``file`` that was written, ``source`` it was made from,
            ``width`` and ``height`` in pixels, ``seconds`` of computing, ``steps``, ``losses`` (the last of each, by
            name), ``settings`` (a method's `Config`), ``device``, ``model``. Paths become texts, configurations
            become objects, NaN and infinity become null, and what is None is left out.

    >>> with voice(json=True):
    ...     report("a.png: 3 s", file=Path("a.png"), seconds=3.0, losses={"style": float("nan")}, device=None)
    {"file": "a.png", "seconds": 3.0, "losses": {"style": null}}
    """
    if _voice.json:
        if facts:
            print(json.dumps({name: _machine_readable(value) for name, value in facts.items() if value is not None}))
    elif line and not among and (asked or not _voice.quiet):
        print(line)


def say(text: object) -> None:
    """Print a note to standard error, apart from the results, without breaking a progress bar; not if ``--quiet``."""
    if not _voice.quiet:
        _to_standard_error(text)


def complain(text: object, *, code: int | None = None, **facts: Any) -> None:
    """Say what went wrong: on standard error, and with ``--json`` also on standard output, as ``{"error": …}``.

    Args:
        text: one sentence.
        code: the exit code, if the command ends with this.
        facts: more for programs, as in `report`: the ``source`` that was skipped.

    >>> with voice(json=True):
    ...     complain("a.png does not exist", code=2)
    {"error": "a.png does not exist", "exit": 2}
    """
    report("", error=str(text), **facts, exit=code)
    _to_standard_error(text)


def bar(*arguments: Any, **words: Any) -> Any:
    """A progress bar with an estimate of the time left, on standard error if that is a terminal; not if ``--quiet``.

    Args:
        arguments, words: those of `tqdm.tqdm`; `disable` is set here.
    """
    from tqdm.std import tqdm  # here: a tenth of a second that --help need not wait for

    return tqdm(*arguments, **{"dynamic_ncols": True, **words, "disable": True if _voice.quiet else None})


def _to_standard_error(text: object) -> None:
    line = f"{program()}: {text}"
    if tqdm := sys.modules.get("tqdm.std"):  # there may be a bar
        tqdm.tqdm.write(line, file=sys.stderr)
    else:
        print(line, file=sys.stderr)


def program() -> str:
    """The name that messages begin with: ``paint`` if the program was called so, else ``course_lib``."""
    return "paint" if Path(sys.argv[0]).stem == "paint" else "course_lib"


def _machine_readable(value: Any) -> Any:
    """What JSON can hold in place of a value."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _machine_readable(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _machine_readable(part) for name, part in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_machine_readable(part) for part in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def what_happened(error: Exception) -> str:
    """The message of an error; for an error of the operating system, the file and the reason, without a number.

    >>> what_happened(FileNotFoundError(2, "No such file or directory", "a.png"))
    'a.png: no such file or directory'
    """
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    reason = error.strerror[:1].lower() + error.strerror[1:]
    return reason if error.filename is None else f"{error.filename}: {reason}"


def out_of_memory(error: RuntimeError) -> str | None:
    """What to say if an error of PyTorch is about memory, or None; its message differs between devices.

    >>> out_of_memory(RuntimeError("CUDA out of memory.\\nTried to allocate 2 GiB"))
    'the memory is too small (CUDA out of memory.)'
    """
    return f"the memory is too small ({str(error).splitlines()[0]})" if "memory" in str(error) else None


def in_options(message: str, options: Any) -> str:
    """A message of the library in the words of a command: ``device='cpu'`` becomes ``--device cpu``.

    Advice that the command cannot follow is left out: a clause that names an argument for which it has no option, such
    as ``precision='float32'``, or a function of the library. The first clause, which says what is wrong, always stays.

    Args:
        message: of an error or a warning, sentences and clauses.
        options: those of the command, parsed.

    >>> from argparse import Namespace
    >>> in_options("cuda is not here. Use device='auto', or try precision='float32'.", Namespace(device="cuda"))
    'cuda is not here.'
    >>> in_options("cuda is not here. Use device='auto'.", Namespace(device="cuda"))
    'cuda is not here. Use --device auto.'
    >>> in_options("image_size must be a whole number of at least 8, got 4", Namespace(size=4))
    '--size must be a whole number of at least 8, got 4'
    """
    known = vars(options)
    if "history" in known:
        message = message.replace("smaller history_size", "smaller --history")
    if (named := _BEGINS.match(message)) and (word := _FIELDS.get(named[1], named[1])) in known:
        message = f"--{word.replace('_', '-')}{message[named.end() :]}"
    first, *others = re.split(r"(?<=[.;]) ", message)
    kept = [first]
    for clause in others:
        begins, *items = re.split(r"(?<=^try )", clause, maxsplit=1)
        if items:  # each of several things to try is advice of its own
            items = [item for item in re.split(r", or | or |, ", items[0].rstrip(".;")) if _can_follow(item, known)]
            clause = begins + " or ".join(items) if items else ""
        if clause and _can_follow(clause, known):
            kept.append(_KEYWORD.sub(lambda match: _option(match, known), clause))
    text = " ".join(kept)
    return text[:-1] if text.endswith(";") else text


def _can_follow(advice: str, known: dict[str, Any]) -> bool:
    words = [match[1] for match in _KEYWORD.finditer(advice)]
    return not _LIBRARY.search(advice) and all(word in known for word in words if word in {*known, *_arguments()})


def _option(match: re.Match[str], known: dict[str, Any]) -> str:
    return f"--{match[1].replace('_', '-')} {match[3]}" if match[1] in known else match[0]


def _arguments() -> set[str]:
    """The names of the library's arguments that messages give advice about."""
    from course_lib.cli.trained import METHODS

    configs = [method.Config for method in METHODS.values()]
    return {field.name for config in configs for field in dataclasses.fields(config)} | {
        "optimizer",
        "precision",
        "side",
    }


def no_reader() -> None:
    """Nobody reads standard output any longer (``| head``): let Python's last flush end without an error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
