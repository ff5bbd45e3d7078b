"""Where the numbers of a figure come from: taken out of its caption, told by a card in the margin.

The caption says what the picture shows. A card names the stored run with its time, device, profile, seed, version,
date and command; where there is no margin it folds. No setup(): book_ledger uses it.
"""

import ast
import html
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from book_local import ROOT
from docutils import nodes
from PIL import Image

from course_lib.teaching import records

CAPTION = re.compile(r"(<figcaption[^>]*>)(.*?)(</figcaption>)", re.DOTALL)
# `Record.line`, as figures and texts quote it
LINE = (
    r"stored run · [a-z]+ profile(?:, reduced: [^·<>]+)? · [^·<>]+ · torch [^·<>]+ · seed -?\d+ · [\d.]+ min"
    r"(?: · from code with changes that no commit has)?"
)
LABEL = r"(?:[\w'’ ]+: )?"
BRACKETS = re.compile(rf"\s*\({LABEL}{LINE}(?:; {LABEL}{LINE})*\)", re.IGNORECASE)
ALONE = re.compile(rf"\s*{LABEL}{LINE}\.?", re.IGNORECASE)
RUNS = "_static/runs"
IMAGE = re.compile(r"<img [^>]*>")
FULL = re.compile(rf'data-full="\.\./{RUNS}/([^/"]+)/([^/"]+)"')
NAMES = re.compile(r"records\.(?:run|show|load)\(\s*[\"']([^\"']+)[\"']")
FACTS = re.compile(
    r"stored run · (?P<profile>[a-z]+) profile(?:, reduced: (?P<reduced>[^·]+))? · (?P<device>[^·]+) · "
    r"torch (?P<torch>[^·]+) · seed (?P<seed>-?\d+) · (?P<minutes>[\d.]+) min",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Origin:
    """One stored run that a caption names: the line as it stands there, and the run where it can be told."""

    line: str
    name: str = ""

    @property
    def key(self) -> str:
        return self.name or self.line


def without_lines(text: str) -> tuple[str, list[str]]:
    """HTML with the lines of stored runs taken out of its captions, and those lines, each once.

    A caption that consists of nothing else keeps its words.
    """
    found: list[str] = []

    def cut(match: re.Match[str]) -> str:
        left = ALONE.sub("", BRACKETS.sub("", match[2])).strip()
        if not left:
            return match[0]
        found.extend(re.findall(LINE, match[2], re.IGNORECASE))
        return f"{match[1]}{left}{match[3]}"

    return CAPTION.sub(cut, text), list(dict.fromkeys(html.unescape(line) for line in found))


@lru_cache(maxsize=2)
def _lines(folder: Path) -> dict[str, list[str]]:
    """The line of every stored run → the names of those that have it."""
    found: dict[str, list[str]] = {}
    for file in sorted(folder.rglob("record.json")):
        profile = "paper" if file.parent.parent.name == "paper" else "laptop"
        try:
            line = records.load(file.parent.name, profile=profile).line
        except records.RecordError:  # the tests of the records say so
            continue
        found.setdefault(line.lower(), []).append(file.parent.name)
    return found


def origin(line: str, here: Iterable[str], page: Iterable[str]) -> Origin:
    """The run that a line belongs to: the only one that has it, or the only one of them that the cell or page names.

    Args:
        line: as a caption quotes it.
        here, page: the names of runs in the cell, and in all cells of the page.
    """
    having = _lines(records.results_folder()).get(line.lower(), [])
    for names in (set(here), set(page), set(having)):
        fitting = [name for name in having if name in names]
        if len(set(fitting)) == 1:
            return Origin(line, fitting[0])
    return Origin(line)


def taken_from(cell: nodes.container, here: Iterable[str], page: Iterable[str]) -> list[Origin]:
    """Cleans the captions of a cell's figures; the runs that they named."""
    found: list[Origin] = []
    for raw in cell.findall(nodes.raw):
        text, lines = without_lines(raw.astext())
        if lines:
            raw.children = [nodes.Text(text)]
            raw.rawsource = text
            found += [origin(line, here, page) for line in lines]
    return list(dict.fromkeys(found))


# --- the stored pictures, for the window that shows one in full
def with_full_pictures(cell: nodes.container, source: str) -> None:
    """Names, for every picture of a sheet that `records.show` made smaller, the file as it was stored."""
    pictures = stored_pictures(source)
    for raw in cell.findall(nodes.raw):
        text = raw.astext()
        if pictures and text.count("<figure") == 1 and len(tags := IMAGE.findall(text)) == len(pictures):
            larger = dict(zip(tags, (named(tag, file) for tag, file in zip(tags, pictures, strict=True)), strict=True))
            raw.children = [nodes.Text(IMAGE.sub(lambda found, by=larger: by[found[0]], text))]
            raw.rawsource = raw.astext()


def stored_pictures(source: str) -> list[Path]:
    """The pictures that the one `records.show` of a cell shows, in order; none where that cannot be read off."""
    try:
        calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    except SyntaxError:  # the cell with magics
        return []
    shown = [call for call in calls if ast.unparse(call.func) == "records.show"]
    if len(shown) != 1 or len(shown[0].args) != 1:
        return []
    written = {word.arg: word.value for word in shown[0].keywords}
    try:
        name = ast.literal_eval(shown[0].args[0])
        only = ast.literal_eval(written["only"]) if "only" in written else None
        images = records.load(name, profile="laptop").images
        return [Path(str(images[title])) for title in only or images] if "profile" not in written else []
    except (ValueError, LookupError):  # put together by code; not stored
        return []


def named(tag: str, file: Path) -> str:
    """The tag of a picture with its stored file, where that is larger."""
    width = re.search(r' width="(\d+)"', tag)
    with Image.open(file) as stored:
        if width is None or stored.width <= int(width[1]):
            return tag
    address = html.escape(f"../{RUNS}/{file.parent.name}/{file.name}", quote=True)
    return f'<img data-full="{address}"{tag.removeprefix("<img")}'


def write_full_pictures(out: Path) -> None:
    """The stored pictures that the pages in `out` name, beside them."""
    for page in (out / "notebooks").glob("*.html"):
        for name, file in FULL.findall(page.read_text(encoding="utf-8")):
            target = out / RUNS / name / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((records.results_folder() / name / file).read_bytes())


# --- the card
def card(name: str, told: list[str], left: str = "", *, title: str = "") -> str:
    """A card for the margin: a line that one always sees, and what it opens to.

    Args:
        name: of the run; empty where it could not be told.
        told: HTML, one paragraph for each profile it was run at.
        left: HTML on what is still to be made.
        title: HTML of the first line; by default the run's name.
    """
    code = f" <code>{html.escape(name)}</code>" if name else ""
    said = f"How {name or 'this'} was computed" if told else f"How to make {name}"
    place = f' id="run-{html.escape(name, quote=True)}"' if name and told else ""
    left = f'<p class="left">At the paper\'s scale: {left}</p>' if left else ""
    summary = title or (f"Stored run{code}" if told else f"To be made:{code}")
    return (
        f'<aside class="margin run"{place} aria-label="{html.escape(said, quote=True)}">'
        f"<details><summary>{summary}</summary>{''.join(told)}{left}</details></aside>"
    )


def spent(run: dict[str, Any]) -> str:
    """Minutes and memory, device, profile and seed, version, date and command of a record, as HTML."""
    minutes = run["minutes"]
    time = f"{minutes:.1f} min" if minutes >= 1 else f"{60 * minutes:.0f} s"
    memory = f", {run['peak_memory_gb']:.1f} GB" if run["peak_memory_gb"] else ""
    commit = run.get("commit") or ""
    words = [
        f"<b>{time}{memory}</b>",
        html.escape(re.sub(r"\b1 threads\b", "1 thread", run["device"])),
        f"{run['profile']} profile, seed {run['seed']}",
    ]
    words += [f"reduced: {html.escape(run['reduced'])}"] if run.get("reduced") else []
    words += [f"torch {html.escape(run['versions']['torch'])}"] if run.get("versions", {}).get("torch") else []
    if commit.endswith("-dirty"):
        words += ["from code with changes that no commit has"]
    elif date := date_of(commit):
        words += [f"code of {date}"]
    words += [f"<code>{html.escape(run['command'])}</code>"] if run.get("command") else []
    return f"<p>{''.join(f'<span>{word}</span>' for word in words)}</p>"


def quoted(line: str) -> str:
    """What a caption's line alone tells, where its record is no longer there."""
    facts = FACTS.match(line)
    if facts is None:
        return f"<p>{html.escape(line)}</p>"
    words = [
        f"<b>{float(facts['minutes']):.1f} min</b>",
        html.escape(facts["device"]),
        f"{facts['profile']} profile, seed {facts['seed']}",
        *([f"reduced: {html.escape(facts['reduced'])}"] if facts["reduced"] else []),
        f"torch {html.escape(facts['torch'])}",
    ]
    return f"<p>{''.join(f'<span>{word}</span>' for word in words)}</p>"


def pointer(name: str) -> str:
    """A line for the margin where the page has the run's card already."""
    safe = html.escape(name, quote=True)
    said = f"Where it comes from: {safe}"
    return (
        f'<aside class="margin run" aria-label="{said}"><p>Stored run <a href="#run-{safe}"><code>{safe}</code></a></p>'
        "</aside>"
    )


@lru_cache(maxsize=1)
def _dates() -> dict[str, str]:
    """The first seven digits of every commit → its date; empty where there is no history to ask."""
    command = ["git", "log", "--all", "--format=%H %cs"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {line[:7]: line.split()[1] for line in done.stdout.splitlines()}


def date_of(commit: str) -> str:
    """The day of a commit, ``2026-11-25``; empty where it is not known."""
    return _dates().get(commit[:7], "") if len(commit) >= 7 else ""
