"""Runs the chapters as Colab does, inside Colab's own image: python .github/colab.py REPOSITORY [NAME …]

Each chapter is copied to an empty folder, so that no file of the repository helps it, and executed with the image's own
kernel. Its bootstrap cell installs course_lib with pip, from REPOSITORY (a clone) instead of GitHub, and must leave the
image's torch alone.
Not tried yet inside the image: needs GitHub.
"""

import copy
import re
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

FIRST = "import google.colab  # what the bootstrap cell looks for; Colab's own front end imports it"


def as_on_colab(notebook: Any, repository: Path) -> Any:
    """The notebook with Colab's module imported first, and the package taken from the clone.

    Raises:
        ValueError: its bootstrap cell does not install from GitHub.
    """
    fresh = copy.deepcopy(notebook)
    (cell,) = [cell for cell in fresh.cells if "bootstrap" in cell.metadata.get("tags", [])]
    source, count = re.subn(r"git\+https://github\.com/[\w./-]+", f"git+file://{repository.resolve()}", cell.source)
    if count != 1:
        raise ValueError(f"the bootstrap cell installs from {count} addresses on GitHub, not from one:\n{cell.source}")
    cell.source = f"{FIRST}\n{source}"
    return fresh


def main(arguments: list[str]) -> int:
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    repository, names = Path(arguments[0]), arguments[1:]
    before, failed = version("torch"), []
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
    if version("torch") != before:
        failed.append("torch")
        print(f"torch was {before} and is {version('torch')}: installing course_lib must not touch it.")
    print(f"{len(failed)} failed: {', '.join(failed)}" if failed else "All chapters run on Colab's image.")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
