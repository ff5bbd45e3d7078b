"""Renders the book into _build/html: python -m scripts.render [--executed | --links]

The sources are gathered in _build/source first: the pages as they are, and the notebooks either as committed or, with
--executed, the copies that scripts/execute.py made. Warnings are errors. Nothing is done when nothing changed. With
--links nothing is rendered: every link to the outside is followed instead.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from book.try_it import export  # the files of the page that paints in the browser

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "_build"
SOURCE = BUILD / "source"
HTML = BUILD / "html"
LEFT_OUT = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "*.pyc")


def gather(executed: bool) -> str:
    """Copy all sources of the pages to _build/source; return their digest."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    SOURCE.mkdir(parents=True)
    for name in ("_config.yml", "_toc.yml", "CONTRIBUTING.md"):
        shutil.copy2(ROOT / name, SOURCE / name)
    shutil.copytree(ROOT / "book", SOURCE / "book", ignore=LEFT_OUT)
    shutil.copytree(ROOT / "data" / "results", SOURCE / "data" / "results", ignore=LEFT_OUT)
    notebooks = SOURCE / "notebooks"
    shutil.copytree(ROOT / "notebooks", notebooks, ignore=LEFT_OUT)
    if executed:
        for path in notebooks.glob("*.ipynb"):
            copy = BUILD / "executed" / path.name
            if not copy.exists():
                raise SystemExit(f"render: {path.name} was not executed yet: run make book.")
            shutil.copy2(copy, path)
    digest = hashlib.sha256()
    # claims, chapters and their costs, the ledger of pictures, the networks of the browser page
    data = [*sorted((ROOT / "data").glob("*.*")), ROOT / "data" / "images" / "LEDGER.csv", export.FOLDER / ".key"]
    data += [ROOT / "scripts" / "paper_queue" / "items.py"]  # listed on the page about the papers' scale
    library = (p for p in (ROOT / "course_lib").rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    documented = [*library, *data]
    for path in [*sorted(p for p in SOURCE.rglob("*") if p.is_file()), *sorted(documented)]:
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def jupyter_book(*options: str) -> int:
    """Build the gathered sources, with warnings as errors; print what went wrong and return the exit code."""
    environment = {
        **os.environ,
        "COURSE_LIB_ROOT": str(ROOT),
        "PYTHONPATH": str(ROOT),  # course_lib and scripts of this tree
        "PYTHONWARNINGS": "ignore::DeprecationWarning",
    }
    program = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", program, "build", str(SOURCE), "--path-output", str(ROOT)]
    command += ["--all", "--warningiserror", "--keep-going", "-n", *options]
    log = BUILD / "render.log"
    with log.open("w", encoding="utf-8") as file:
        code = subprocess.run(command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT).returncode
    if code:
        said = re.sub(r"\x1b\[[0-9;]*m", "", log.read_text(encoding="utf-8")).splitlines()
        wrong = [line for line in said if any(word in line for word in ("WARNING", "ERROR", "Error", "broken"))]
        print("\n".join(wrong or said[-20:]))
        print(f"render: {len(wrong)} warnings, and a warning is an error; the whole story is in {log}.")
    return int(code != 0)


def main(arguments: list[str]) -> int:
    executed = "--executed" in arguments
    mark = HTML / ".sources"
    for note in export.prepare():
        print(f"render: {note}")
    digest = gather(executed)
    if "--links" in arguments:  # the only option that needs a network
        return jupyter_book("--builder", "linkcheck")
    if mark.exists() and mark.read_text() == digest:
        print("The book is up to date.")
    else:
        mark.unlink(missing_ok=True)
        shutil.rmtree(HTML, ignore_errors=True)
        if jupyter_book():
            return 1
        (HTML / ".sources").write_text(digest)
    made_from = "as executed here" if executed else "as committed"
    print(f"The book (notebooks {made_from}) is at {HTML / 'index.html'}")
    print(f"Open that file, or serve it: {sys.executable} -m http.server --directory {HTML} 8000")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
