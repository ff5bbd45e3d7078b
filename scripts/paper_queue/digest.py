"""What the results of an item depend on, as one short word: its settings, its networks and the code that it runs.

A stored run keeps the digest of the item that made it. As long as the digest stays, the run is worth keeping, and the
queue leaves it alone. Code counts by its syntax tree: comments, docstrings and formatting do not make an expensive run
anew. Imports are found by reading, not by importing, so a digest is the same in a checkout, in a pack, and under every
Python from 3.11 on.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from scripts.notebook_script import Cell, find_notebooks, script_of, split_script
from scripts.paper_queue.items import Item

NETWORKS = ("vgg19_normalized", "vgg16_torchvision", "adain_decoder")

_SHOWS = "shows what was found, or says how it is shown"
_TEACHES = "belongs to the reader, the student or the command line"
_FETCHES = "brings a network into the cache; the network's fingerprint counts instead"
# Modules that no number depends on. They and what only they import are left out of every digest, so that a change to a
# figure or a sentence does not ask for hours of a GPU.
NOT_COUNTED = {
    "course_lib.teaching.figures": _SHOWS,
    "course_lib.teaching.interactive": _SHOWS,
    "course_lib.teaching.widgets": _SHOWS,
    "course_lib.teaching.claims": _SHOWS,
    "course_lib.teaching.registry": "says which numbers decide a claim, and makes none of them",
    "course_lib.teaching.checks": _TEACHES,
    "course_lib.teaching.assignments": _TEACHES,
    "course_lib.teaching.grading": _TEACHES,
    "course_lib.cli": _TEACHES,
    "course_lib.teaching.records": "writes what a run found, and finds nothing itself",
    "course_lib.teaching.provenance": "writes where a run was made",
    "course_lib.pretrained.weights": _FETCHES,
    "course_lib.pretrained.catalog": _FETCHES,
    "course_lib.pretrained.formats": _FETCHES,
    "course_lib.pretrained.package_index": _FETCHES,
    "course_lib.pretrained.mirror": _FETCHES,
    "course_lib.pretrained.download": _FETCHES,
}
# Functions that only draw, of a module that also computes.
DRAWING = {
    "course_lib.teaching.microscope": {"load", "show", "explore", "colors", "_shares", "_bars", "_short", "_rgb"}
}


def digest(item: Item, root: Path, tasks: Path | None = None) -> str:
    """16 hexadecimal digits that change when a run of `item` might come out differently.

    They cover the item's kind, settings, records and models; for a measure of the ledger the rules of its claims, which
    hold its conditions; the fingerprints of the pretrained networks; every default of the methods' configurations; and
    the code: the task of this kind, for a chapter the notebook's cells, and all
    modules of `course_lib`, of ``benchmarks`` and ``scripts/models.py`` that these import, directly or through others.

    Args:
        item: of the queue.
        root: the folder that holds ``course_lib``: a checkout, or an unpacked pack, where
            ``scripts/notebooks/NAME.py`` stands for ``notebooks/NAME.ipynb``.
        tasks: the folder of the modules that run the kinds; by default ``scripts/paper_queue/tasks``.

    Raises:
        FileNotFoundError: there is no task of this kind, or no such notebook.
        SyntaxError: code that cannot be read.
    """
    tasks = tasks or root / "scripts" / "paper_queue" / "tasks"
    task = tasks / f"{item.kind}.py"
    if not task.is_file():
        raise FileNotFoundError(f"nothing runs items of the kind {item.kind}: there is no {task}")
    cells = (
        [cell.source for cell in notebook_cells(str(item.settings["notebook"]), root)] if item.kind == "chapter" else []
    )
    about = {
        "item": [item.kind, dict(item.settings), list(item.records), list(item.models)],
        "networks": _networks(),
        "defaults": _defaults(),
        "cells": [canonical(_parsed(source)) for source in cells],
        "code": code_of(task, root, tasks, also=cells),
    }
    if item.kind == "measure":  # a run under another rule would only be stale
        about["rules"] = _rules(item)
    return hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _rules(item: Item) -> dict[str, str]:
    from course_lib.teaching import registry

    return {claim.id: claim.digest for claim in registry.load().values() if claim.record in item.records}


# --- networks and defaults
@lru_cache(maxsize=1)
def _networks() -> dict[str, Any]:
    from course_lib.pretrained.catalog import REGISTRY

    return {name: [REGISTRY[name].key, REGISTRY[name].mean, REGISTRY[name].std] for name in NETWORKS}


@lru_cache(maxsize=1)
def _defaults() -> dict[str, Any]:
    from course_lib.methods import adain, gatys, johnson, multi_style, pix2pix, super_resolution

    methods = (gatys, johnson, multi_style, adain, pix2pix, super_resolution)
    return {method.__name__: asdict(method.Config()) for method in methods}


# --- the notebook
def notebook_text(number: str, root: Path) -> str:
    """The notebook whose name begins with `number`, as the script of the paper profile.

    Raises:
        FileNotFoundError: neither the notebook nor its script is there.
    """
    if any((root / "notebooks").glob(f"{number}*.ipynb")):
        return script_of(find_notebooks([number], root / "notebooks")[0], {"PROFILE": "paper"})
    scripts = sorted((root / "scripts" / "notebooks").glob(f"{number}*.py"))
    if not scripts:
        places = f"{root / 'notebooks'} and {root / 'scripts' / 'notebooks'}"
        raise FileNotFoundError(f"no notebook and no script whose name begins with {number} lies in {places}")
    return scripts[0].read_text(encoding="utf-8")


def notebook_cells(number: str, root: Path) -> list[Cell]:
    """The code cells of that script."""
    return split_script(notebook_text(number, root))[1]


# --- code
def code_of(task: Path, root: Path, tasks: Path, also: Iterable[str] = ()) -> dict[str, str]:
    """The code that a task runs: for each module a hash of its syntax tree.

    Args:
        task: the file to begin with.
        root, tasks: as for `digest`.
        also: further sources whose imports count, the cells of a notebook.
    """
    found: dict[str, ast.Module] = {}
    open_ends = [(f"tasks.{task.stem}", task)]
    for source in also:
        open_ends += _imports(_parsed(source), root, tasks)
    while open_ends:
        name, path = open_ends.pop()
        if name not in found:
            found[name] = _tree(path, leave_out=DRAWING.get(name, set()))
            open_ends += _imports(found[name], root, tasks, package=_package(name, path))
    return {name: hashlib.sha256(canonical(tree).encode()).hexdigest() for name, tree in sorted(found.items())}


def canonical(node: Any) -> str:
    """A syntax tree as text, the same under every Python: no docstrings, no positions, no empty fields.

    `ast.dump` itself writes more fields in a newer Python, and splits the texts of an f-string in other places.
    """
    if isinstance(node, ast.JoinedStr):
        return f"JoinedStr({', '.join(_joined(node))})"
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if name not in ("ctx", "kind", "type_comment"))
        parts = ((name, _without_texts(value) if name == "body" else value) for name, value in fields)
        said = (f"{name}={canonical(value)}" for name, value in parts if value is not None and value != [])
        return f"{type(node).__name__}({', '.join(said)})"
    if isinstance(node, list):
        return f"[{', '.join(map(canonical, node))}]"
    return ascii(node)


def _joined(node: ast.JoinedStr) -> Iterator[str]:
    """The parts of an f-string, neighboring texts as one."""
    text = ""
    for value in node.values:
        if isinstance(value, ast.Constant):
            text += str(value.value)
            continue
        if text:
            yield ascii(text)
        text = ""
        yield canonical(value)
    if text:
        yield ascii(text)


def _without_texts(body: Any) -> Any:
    """Statements without those that are a bare text: docstrings, and remarks written like them."""
    if not isinstance(body, list):  # a lambda's body is one expression
        return body
    return [
        node
        for node in body
        if not (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        )
    ]


def _parsed(source: str) -> ast.Module:
    return ast.parse(source)


def _tree(path: Path, leave_out: Iterable[str] = ()) -> ast.Module:
    tree = _read_tree(path, path.stat().st_mtime_ns)
    kept = [node for node in tree.body if getattr(node, "name", None) not in set(leave_out)]
    return ast.Module(kept, [])


@lru_cache(maxsize=256)
def _read_tree(path: Path, changed: int) -> ast.Module:
    return _parsed(path.read_text(encoding="utf-8"))


# --- imports
def _imports(tree: ast.Module, root: Path, tasks: Path, package: str = "") -> Iterator[tuple[str, Path]]:
    """The modules of this project that a tree imports, anywhere in it, as (name, file)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _file(alias.name, root, tasks)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(filter(None, (_above(package, node.level), node.module)))
            for alias in node.names:
                yield from _named(base, alias.name, root, tasks)


def _named(base: str, name: str, root: Path, tasks: Path) -> Iterator[tuple[str, Path]]:
    """What ``from base import name`` takes in: a module, or the one where a package has the name from."""
    inner = list(_file(f"{base}.{name}", root, tasks))
    if inner or _left_out(f"{base}.{name}"):
        yield from inner
        return
    for module, path in _file(base, root, tasks):
        origin = _origin(path, name) if path.name == "__init__.py" else None
        if origin is None:
            yield module, path
        else:
            yield from _named(*origin, root, tasks)


def _origin(init: Path, name: str) -> tuple[str, str] | None:
    """The module and name behind a name that a package only hands on; None where the package defines it itself.

    A name that is loaded when it is first asked for stands in the package's `if TYPE_CHECKING:`.
    """
    for node in ast.walk(_tree(init)):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return node.module, alias.name
    return None


def _file(name: str, root: Path, tasks: Path) -> Iterator[tuple[str, Path]]:
    """The file of a module of this project that counts, with its name; nothing for any other."""
    if _left_out(name):
        return
    parts = name.split(".")
    if parts[0] in ("course_lib", "benchmarks") or name == "scripts.models":
        inner = root.joinpath(*parts)
        places = [inner.with_suffix(".py"), inner / "__init__.py"]
    elif parts[-2:-1] == ["tasks"]:  # what several tasks share
        places, name = [tasks / f"{parts[-1]}.py"], f"tasks.{parts[-1]}"
    else:
        return
    yield from ((name, path) for path in places if path.is_file())


def _left_out(name: str) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in NOT_COUNTED)


def _package(name: str, path: Path) -> str:
    """The package that relative imports of a module start from."""
    return name if path.name == "__init__.py" else name.rpartition(".")[0]


def _above(package: str, level: int) -> str:
    """Where a relative import of `level` dots begins; "" for an absolute one."""
    return ".".join(package.split(".")[: len(package.split(".")) - level + 1]) if level else ""
