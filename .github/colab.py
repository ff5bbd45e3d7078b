"""Runs the chapters as Colab does, inside Colab's own image: python .github/colab.py REPOSITORY [NAME …]

Each chapter is copied to an empty folder, so that no file of the repository helps it, and executed with the image's own
kernel. Its bootstrap cell installs course_lib with pip, from REPOSITORY (a clone) instead of GitHub, and must change no
package that was there before.

    python .github/colab.py --install REPOSITORY

does only what the bootstrap cell does, in an environment made of .github/colab_packages.txt, and compares the packages.
Not tried yet inside the image: needs GitHub.
"""

import copy
import importlib
import os
import re
import subprocess
import sys
import tempfile
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

FIRST = "import google.colab  # what the bootstrap cell looks for; Colab's own front end imports it"
LIST = Path(__file__).with_name("colab_packages.txt")


def clone_of(source: str, repository: Path) -> str:
    """The bootstrap cell's text with the package taken from the clone.

    Raises:
        ValueError: the cell does not install from GitHub.
    """
    source, count = re.subn(r"git\+https://github\.com/[\w./-]+", f"git+file://{repository.resolve()}", source)
    if count != 1:
        raise ValueError(f"the bootstrap cell installs from {count} addresses on GitHub, not from one:\n{source}")
    return source


def bootstrap_of(notebook: Any) -> Any:
    (cell,) = [cell for cell in notebook.cells if "bootstrap" in cell.metadata.get("tags", [])]
    return cell


def as_on_colab(notebook: Any, repository: Path) -> Any:
    """The notebook with Colab's module imported first, and the package taken from the clone."""
    fresh = copy.deepcopy(notebook)
    cell = bootstrap_of(fresh)
    cell.source = f"{FIRST}\n{clone_of(cell.source, repository)}"
    return fresh


def pip_words(source: str) -> list[str]:
    """What the bootstrap cell says to pip: ``["install", "-q", "course_lib[notebook] @ …"]``."""
    (line,) = re.findall(r"^\s*%pip (.+)$", source, re.MULTILINE)
    return [quoted or word for quoted, word in re.findall(r'"([^"]*)"|(\S+)', line)]


def key(name: str) -> str:
    """A package's name as the index spells it: ``jupyterlab-widgets``."""
    return re.sub(r"[-_.]+", "-", name).lower()


def listed(file: Path = LIST) -> dict[str, str]:
    """Colab's published list: name → version."""
    lines = [line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines()]
    return {key(name): version for name, _, version in (line.partition("==") for line in lines if line)}


def installed() -> dict[str, str]:
    """The packages of this environment: name → version, without the name of a build such as +cu126."""
    importlib.invalidate_caches()
    return {key(one.metadata["Name"]): one.version.partition("+")[0] for one in distributions()}


def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """A sentence for every package that changed or is gone; new ones are allowed."""
    return [
        f"{name} was {version} and is {after.get(name, 'gone')}"
        for name, version in sorted(before.items())
        if after.get(name) != version
    ]


def install(repository: Path) -> int:
    """Do what the bootstrap cell does, beside the packages of the list; 1 if one of them changed."""
    import nbformat

    before = installed()
    other = changed(listed(), before)
    if other:
        print("This environment differs from the list:  " + "; ".join(other))
        return 1
    path = min((repository / "notebooks").glob("[0-9]*.ipynb"))
    words = pip_words(clone_of(bootstrap_of(nbformat.read(path, as_version=4)).source, repository))
    done = subprocess.run([sys.executable, "-m", "pip", *words])
    return done.returncode or told(before, installed())


def told(before: dict[str, str], after: dict[str, str]) -> int:
    """Print what installing course_lib changed; 1 if it changed anything that was there."""
    print("New: " + ", ".join(f"{name} {version}" for name, version in sorted(after.items()) if name not in before))
    problems = changed(before, after)
    for problem in problems:
        print(f"{problem}: installing course_lib must not touch it.")
    return int(bool(problems))


def main(arguments: list[str]) -> int:
    if arguments[0] == "--install":
        return install(Path(arguments[1]))
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    os.environ["COURSE_LIB_STRICT"] = "1"  # a false statement of the book is an error here, not a finding
    repository, names = Path(arguments[0]), arguments[1:]
    before, failed = installed(), []
    for difference in changed(listed(), before):
        print(f"{difference} in this image: renew {LIST.name} from Colab's published list.")
    chapters = sorted((repository / "notebooks").glob("[0-9]*.ipynb"))
    for path in [path for path in chapters if not names or path.name.startswith(tuple(names))]:
        notebook = as_on_colab(nbformat.read(path, as_version=4), repository)
        with tempfile.TemporaryDirectory() as folder:
            client = NotebookClient(
                notebook, timeout=1800, kernel_name="python3", resources={"metadata": {"path": folder}}
            )
            try:
                client.execute()
            except CellExecutionError as error:
                failed.append(path.stem)
                print(f"{path.stem}: {error.ename}: {error.evalue}\n{error.traceback[-2000:]}", flush=True)
            else:
                print(f"{path.stem}: ok", flush=True)
    if told(before, installed()):
        failed.append("preinstalled packages")
    print(f"{len(failed)} failed: {', '.join(failed)}" if failed else "All chapters run on Colab's image.")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
