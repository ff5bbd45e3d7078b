"""Messages for the terminal: one line each, in the words of the command line and letters that it can show."""

from __future__ import annotations

import codecs
import dataclasses
import os
import re
import sys
from typing import Any

from tqdm.std import tqdm

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


def say(text: object) -> None:
    """Print one line to standard error, apart from the results, without breaking a progress bar there."""
    tqdm.write(f"course_lib: {text}", file=sys.stderr)


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
