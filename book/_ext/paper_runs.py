"""Runs at the papers' scale: what a page says of them, whether they are there or still to be made.

Everything follows from the queue (scripts/paper_queue/items.py), from the records in data/results/paper, and from the
cells that make or show a run. No setup(): book_ledger and book_heads use it.
"""

import ast
import html
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from course_lib.teaching import claims, figures, records
from scripts.paper_queue.items import QUEUE, Item

PAGE = "book/paper_scale.html"
CARD = "an H100-class GPU"  # what Item.seconds means
MOST = 12  # pictures of one run; a film has more
ROWS, CALM = 16, 8  # numbers of one run, in all and without folding them


def spell(minutes: float) -> str:
    """``40 s``, ``12 min``, ``2½ h``, ``11 h``: as exactly as one wants to know."""
    if minutes < 1.5:
        return f"{round(60 * minutes)} s"
    if minutes < 90:
        return f"{round(minutes)} min"
    halves = round(minutes / 30)
    return f"{halves // 2}{'½' if halves % 2 and halves < 20 else ''} h"


def on_a_processor(device: str) -> bool:
    """Whether a record's device is a processor: ``AMD EPYC, 2 threads``."""
    return device.rstrip("s").endswith("thread")


# --- what is still to be made
def missing(names: Iterable[str]) -> list[str]:
    """Those of `names` that some item of the queue makes and nobody has made yet."""
    queued = {record for item in QUEUE for record in item.records}
    return [name for name in dict.fromkeys(names) if name in queued and records.at_paper_scale(name) is None]


def items_of(names: Iterable[str]) -> list[Item]:
    wanted = set(names)
    return [item for item in QUEUE if wanted & set(item.records)]


def of_chapter(number: str) -> list[str]:
    """The queue's records of a chapter: ``"03"`` → ``03_castle``, ``03_noise``, …"""
    return [record for item in QUEUE for record in item.records if record.startswith(f"{number}_")]


def command(names: Sequence[str]) -> str:
    """``make paper ONLY=03_noise``, as HTML.

    Args:
        names: of runs or items of the queue; either way whole items are run.
    """
    return f"<code>make paper ONLY={',<wbr>'.join(html.escape(name) for name in names)}</code>"


def estimate(names: Iterable[str]) -> str:
    """``about 60 s on an H100-class GPU``: of the items that make these runs."""
    return f"about {spell(sum(item.seconds for item in items_of(names)) / 60)} on {CARD}"


def not_run_yet(names: Iterable[str]) -> str:
    """What there is to say of runs that are in the queue and not there; empty where there are none such."""
    left = missing(names)
    return f'<a href="../{PAGE}">not run yet</a>. {command(left)}, {estimate(left)}.' if left else ""


# --- where a page speaks of a run
@dataclass
class Mention:
    """Where a page makes and shows one run. Cells are numbers; `call` is the one that shows it."""

    name: str
    made: int | None = None
    at: int = 0  # the cell below which the larger run belongs
    call: ast.Call | None = None
    own: bool = True  # the page's own run, not one that it looks back at


def mentions(sources: Sequence[str], number: str) -> dict[str, Mention]:
    """Every run that the cells of a page make or show, by name.

    Args:
        sources: of the code cells, in order.
        number: of the chapter: a run that is only loaded counts where it is the chapter's own, not where a chapter
            looks back at another one's.
    """
    trees = [(place, tree) for place, source in enumerate(sources) if (tree := _parsed(source)) is not None]
    texts = {node.value for _, tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    found: dict[str, dict[str, list[tuple[int, ast.Call]]]] = {}
    own: dict[str, bool] = {}
    for place, tree in trees:
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            if ast.unparse(call.func) not in ("records.run", "records.show", "records.load") or not call.args:
                continue
            kind = ast.unparse(call.func).removeprefix("records.")
            for name in _names(call.args[0], texts):
                own[name] = name.startswith(f"{number}_") or isinstance(call.args[0], ast.JoinedStr)
                if own[name] or kind != "load":
                    found.setdefault(name, {}).setdefault(kind, []).append((place, call))
    return {name: replace(_placed(name, kinds), own=own[name]) for name, kinds in found.items()}


def _parsed(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except SyntaxError:  # the cell with magics
        return None


def _names(argument: ast.expr, texts: set[Any]) -> list[str]:
    """A literal name; or, of a name with one blank, every run whose filled-in part stands on the page as a text."""
    if isinstance(argument, ast.Constant):
        return [str(argument.value)]
    if not isinstance(argument, ast.JoinedStr):
        return []
    parts = [re.escape(str(p.value)) if isinstance(p, ast.Constant) else "(.+)" for p in argument.values]
    known = [record for item in QUEUE for record in item.records]
    fits = ((name, re.fullmatch("".join(parts), name)) for name in known)
    return [name for name, fit in fits if fit and set(fit.groups()) <= texts]


def _placed(name: str, kinds: dict[str, list[tuple[int, ast.Call]]]) -> Mention:
    """Below the last cell that shows the run once it is made; else below the first that uses it."""
    made = kinds["run"][0][0] if "run" in kinds else None
    after = {kind: [pair for pair in pairs if pair[0] >= (made or 0)] for kind, pairs in kinds.items()}
    if after.get("show"):
        place, call = after["show"][-1]
        return Mention(name, made, place, call)
    place = after["load"][0][0] if after.get("load") else made
    return Mention(name, made, next(iter(kinds.values()))[0][0] if place is None else place)


# --- the larger run
def section(record: records.Record, call: ast.Call | None = None, *, opened: bool = True, named: bool = False) -> str:
    """The run at the paper's scale as a part of a page that folds.

    Args:
        record: to show, with its pictures as paths.
        call: ``records.show(…)`` of the page: its choice of pictures, their titles and columns are taken over where
            they are written out.
        opened: whether it is unfolded at first.
        named: whether the run's name stands in the title, where a cell has several.
    """
    name = html.escape(record.name, quote=True)
    told = "".join(
        f'<p class="found"><a href="../book/ledger.html#{anchor(one)}"><code>{html.escape(one)}</code></a>: '
        f"{html.escape(claims.numbers(record, one))}</p>"
        for one in record.claims
    )
    pictures, titles, columns, said = _choice(record, call)
    if pictures:
        left = len(record.images) - len(pictures)
        line = _sentence(record) + (f" {left} more pictures are in the record." if left and not said else "")
        alt = f"{said} The same at the paper's scale: {', '.join(titles)}." if said else ", ".join(titles)
        shown = figures.sheet(pictures, titles=titles, caption=line, alt=alt, columns=columns)._repr_html_()
    elif not told and (rows := _rows(record)):
        some = f" The first {ROWS} of {len(rows)} numbers." if len(rows) > ROWS else ""
        line, opened = _sentence(record) + some, opened and len(rows) <= CALM
        shown = figures.table(rows[:ROWS], header=["", "paper", "laptop"], caption=line)._repr_html_()
    else:
        shown = f"<p>{html.escape(_sentence(record))}</p>"
    title = f"At the paper's scale{f': <code>{name}</code>' if named else ''}"
    unfolded = " open" if opened else ""
    return f'<details class="paper-run" id="paper-{name}"{unfolded}><summary>{title}</summary>{shown}{told}</details>'


def _sentence(record: records.Record) -> str:
    return record.line[0].upper() + record.line[1:] + "."


def _literal(call: ast.Call | None, word: str) -> Any:
    """A keyword's value where it is written out, else None."""
    given = next((one.value for one in call.keywords if one.arg == word), None) if call else None
    try:
        return ast.literal_eval(given) if given is not None else None
    except ValueError:
        return None


def _choice(record: records.Record, call: ast.Call | None) -> tuple[list[Path], list[str], int | None, str]:
    """Pictures, titles, columns, and what the page says of its own ones (empty: there is no such cell)."""
    only, titles = _literal(call, "only"), _literal(call, "titles")
    names = only if only and set(only) <= set(record.images) else list(record.images)
    if titles is None or len(titles) != len(names):
        titles = names
    if len(names) > MOST and call is None:  # a film: some of it, from the first to the last
        kept = [round(k * (len(names) - 1) / (MOST - 1)) for k in range(MOST)]
        names, titles = [names[k] for k in kept], [titles[k] for k in kept]
    paths = [Path(str(record.images[name])) for name in names]
    return paths, list(titles), _literal(call, "columns"), _literal(call, "caption") or ""


def _rows(record: records.Record) -> list[list[object]]:
    """Single numbers of a run beside the laptop's."""
    larger, smaller = _numbers(record.values), _numbers(stored(record.name).get("values", {}))
    return [[name, value, smaller.get(name, "–")] for name, value in larger.items()]


def _numbers(values: dict[str, Any], before: str = "") -> dict[str, float]:
    """``{"noise": {"loss": 0.2}}`` → ``{"noise, loss": 0.2}``; texts and lists are left out."""
    found: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= _numbers(value, f"{before}{name}, ")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[f"{before}{name}"] = float(value)
    return found


def stored(name: str) -> dict[str, Any]:
    """The laptop's record as it is written; empty where there is none."""
    file = records.results_folder() / name / "record.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def anchor(name: str) -> str:
    """Where on its page the cell that checks a claim can be found."""
    return "claim-" + re.sub(r"[^a-z0-9]+", "-", name.lower())
