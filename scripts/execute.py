"""Executes the notebooks.

    python -m scripts.execute [-p SEED 1 …] [NAME …]    into _build/executed, two at a time, only what changed
    python -m scripts.execute --in-place [NAME …]       the committed outputs, at every notebook's own defaults
    python -m scripts.execute --again 04 -p PROFILE paper    its stored runs anew
    python -m scripts.execute --script 04 --profile paper    a plain script, for a machine without Jupyter

NAME is the beginning of a notebook's file name ("03"). Metadata that differs between equal runs is removed from the
outputs: times, papermill's notes, widget views.
"""

import argparse
import ast
import hashlib
import json
import os
import re
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
import psutil

from scripts import notebook_script
from scripts.notebook_script import Refused, check_parameters, declared_parameters, tagged, write_script

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
EXECUTED = ROOT / "_build" / "executed"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
CELL_TIMEOUT = 1800  # seconds


# --- notebooks and parameters
def find_notebooks(names: list[str]) -> list[Path]:
    return notebook_script.find_notebooks(names, NOTEBOOKS)


def value_of(word: str) -> Any:
    try:
        return ast.literal_eval(word)
    except (ValueError, SyntaxError):
        return word


# --- stripping
def strip(notebook: nbformat.NotebookNode, *, in_place: bool) -> nbformat.NotebookNode:
    """Remove metadata that differs between equal runs, and papermill's cell if it only repeats the defaults."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    injected = tagged(notebook, "injected-parameters")
    if injected is not None:
        declared = declared_parameters(notebook)
        injected.source = re.sub(r"\A# Parameters\n", "", injected.source)
        said = {
            target.id: ast.literal_eval(statement.value)
            for statement in ast.parse(injected.source).body
            if isinstance(statement, ast.Assign)
            for target in statement.targets
            if isinstance(target, ast.Name)
        }
        if in_place or all(declared.get(name) == value for name, value in said.items()):
            notebook.cells.remove(injected)
    count = 0
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        if cell.execution_count is not None:
            count += 1
            cell.execution_count = count
        cell.outputs = [output for output in cell.outputs if WIDGET_VIEW not in output.get("data", {})]
        for output in cell.outputs:
            output.get("metadata", {}).pop("papermill", None)
            if output.output_type == "execute_result":
                output.execution_count = cell.execution_count
    return notebook


# --- execution
def fingerprint(path: Path, parameters: dict[str, Any]) -> str:
    """What an execution depends on: cells, parameters, course_lib, and the pictures and records it may read."""
    digest = hashlib.sha256()
    notebook = nbformat.read(path, as_version=4)
    sources = "\n".join(cell.source for cell in notebook.cells)
    tags = [cell.metadata.get("tags", []) for cell in notebook.cells]
    digest.update(json.dumps([sources, tags, parameters]).encode())
    library = (p for p in (ROOT / "course_lib").rglob("*") if p.is_file())  # components have scripts and styles, too
    read = [*sorted(library), ROOT / "constraints.txt"]
    read += [ROOT / "data" / "claims.yml", *sorted((ROOT / "data" / "images").glob("*.csv"))]
    for record in sorted((ROOT / "data" / "results").glob("*/record.json")):
        if record.parent.name in sources:  # a record this notebook names
            read += sorted(p for p in record.parent.rglob("*") if p.is_file())
    for file in read:
        if "__pycache__" not in file.parts:
            digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def run_one(path: Path, target: Path, parameters: dict[str, Any], in_place: bool) -> tuple[str, float]:
    """Executes one notebook; returns an error text ("" when all went well) and the seconds it took."""
    import papermill
    from papermill.exceptions import PapermillExecutionError

    # A kernel's own messages (sockets, signals) go to a log, away from the progress lines.
    log = os.open(ROOT / "_build" / "execute.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 2)
    os.close(log)
    started = time.monotonic()
    raw = EXECUTED / f"{path.stem}.raw.ipynb"
    raw.parent.mkdir(parents=True, exist_ok=True)
    error = ""
    try:
        papermill.execute_notebook(
            path,
            raw,
            parameters,
            kernel_name="python3",
            language="python",
            progress_bar=False,
            cwd=path.parent,
            execution_timeout=CELL_TIMEOUT,
            start_timeout=180,
        )
    except PapermillExecutionError as problem:
        tail = "\n".join(re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(problem.traceback)).splitlines()[-12:])
        error = (
            f"cell {problem.cell_index} (In [{problem.exec_count}]) raised {problem.ename}: {problem.evalue}\n{tail}"
        )
    except Exception as problem:  # a kernel that died, a cell that ran out of time, a full disk
        error = f"{type(problem).__name__}: {problem}"
    if error:
        return error, time.monotonic() - started
    text = nbformat.writes(strip(nbformat.read(raw, as_version=4), in_place=in_place))
    raw.unlink()
    fresh = target.with_suffix(".tmp")
    fresh.write_text(text + "\n", encoding="utf-8")
    os.replace(fresh, target)
    return "", time.monotonic() - started


def keep_cost(path: Path, seconds: float) -> None:
    """Write the chapter's run time to data/chapter_costs.json, from which the box at its top is generated."""
    import torch

    from course_lib.teaching import provenance
    from scripts.chapter_costs import keep

    profile = declared_parameters(nbformat.read(path, as_version=4)).get("PROFILE", "quick")
    versions = {"torch": torch.__version__.split("+")[0]}
    keep(profile, {path.name[:2]: seconds}, versions, provenance.device_name())


def execute(paths: list[Path], parameters: dict[str, Any], *, in_place: bool, workers: int, again: bool = False) -> int:
    for path in paths:
        check_parameters(path, parameters)
    EXECUTED.mkdir(parents=True, exist_ok=True)
    (ROOT / "_build" / "execute.log").write_text("")
    if not in_place:
        for stale in EXECUTED.glob("*.ipynb"):  # a notebook that was renamed or removed
            if not (NOTEBOOKS / stale.name).exists():
                stale.unlink()
    todo, prints, done, failed = [], {}, 0, 0
    for path in paths:
        target, mark = EXECUTED / path.name, EXECUTED / f"{path.stem}.fingerprint"
        prints[path] = fingerprint(path, parameters)
        if not in_place and not again and target.exists() and mark.exists() and mark.read_text() == prints[path]:
            done += 1
            print(f"[{done}/{len(paths)}] {path.stem}: unchanged", flush=True)
        else:
            mark.unlink(missing_ok=True)
            todo.append(path)
    # Kernels that run at the same time share the cores; the environment passes these settings to them.
    threads = max(1, (os.cpu_count() or 1) // max(1, min(workers, len(todo))))
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # see course_lib/__init__.py
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    os.environ["COURSE_LIB_STRICT"] = "1"  # a false statement stops a notebook, see course_lib.teaching.checks.holds
    if again:
        os.environ["COURSE_LIB_RECORDS"] = "again"  # see course_lib.teaching.records.missing
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    if todo:
        print(f"Executing {len(todo)} notebook{'s'[: len(todo) > 1]}, {workers} at a time …", flush=True)
    with ProcessPoolExecutor(max_workers=workers) as pool:
        running = {pool.submit(run_one, p, p if in_place else EXECUTED / p.name, parameters, in_place): p for p in todo}
        try:
            for future in as_completed(running):
                path = running[future]
                error, seconds = future.result()
                done += 1
                word = "FAILED" if error else "done"
                print(f"[{done}/{len(paths)}] {path.stem}: {word} in {seconds / 60:.1f} min", flush=True)
                if error:
                    failed += 1
                    print(f"    notebooks/{path.name}: " + error.replace("\n", "\n    "), flush=True)
                elif in_place:
                    keep_cost(path, seconds)
                else:
                    (EXECUTED / f"{path.stem}.fingerprint").write_text(prints[path])
        except KeyboardInterrupt:
            # Kernels live in sessions of their own, where Ctrl-C does not reach them.
            for child in psutil.Process().children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    child.kill()
            print("execute: stopped; finished notebooks are kept, and the next call goes on from there.", flush=True)
            return 130
    return int(failed > 0)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="beginnings of notebook names (default: all)")
    parser.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), dest="parameters")
    parser.add_argument("--in-place", action="store_true", help="write into notebooks/ (committed outputs)")
    parser.add_argument("--again", action="store_true", help="make stored runs anew, even those that are there")
    parser.add_argument("--workers", type=int, default=2, help="notebooks at a time (default 2)")
    parser.add_argument("--script", metavar="NAME", help="write this notebook as a plain script instead")
    parser.add_argument("--profile", help="short for -p PROFILE …")
    parser.add_argument("-o", "--output", type=Path, help="where the script goes (default _build/scripts)")
    chosen = parser.parse_args(arguments)
    parameters = {name: value_of(value) for name, value in chosen.parameters}
    if chosen.profile:
        parameters["PROFILE"] = chosen.profile
    try:
        if chosen.script:
            path = find_notebooks([chosen.script])[0]
            profile = parameters.get("PROFILE", "quick")
            default = ROOT / "_build" / "scripts" / f"{path.stem}_{profile}.py"
            write_script(path, parameters, chosen.output or default)
            return 0
        if chosen.in_place and parameters:
            raise Refused(
                "Committed outputs are made at every notebook's own defaults: --in-place takes no parameters."
            )
        return execute(
            find_notebooks(chosen.names),
            parameters,
            in_place=chosen.in_place,
            workers=max(1, chosen.workers),
            again=chosen.again,
        )
    except Refused as refusal:
        print(f"execute: {refusal}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
