"""scripts/execute.py: Ctrl-C ends in one sentence and leaves no kernel behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil

from scripts import execute

ROOT = Path(__file__).resolve().parents[2]
RUN = """
import sys
from pathlib import Path
from scripts import execute
folder = Path({folder!r})
execute.ROOT, execute.NOTEBOOKS, execute.EXECUTED = folder, folder / "notebooks", folder / "_build" / "executed"
execute.fingerprint = lambda *_: "always new"
sys.exit(execute.main([]))
"""


def test_ctrl_c_stops_the_kernels_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    begun = tmp_path / "kernel"
    code = f"import os, time\nopen({str(begun)!r} + '.new', 'w').write(str(os.getpid()))\n"
    code += f"os.replace({str(begun)!r} + '.new', {str(begun)!r})\ntime.sleep(600)"
    cells = [nbformat.v4.new_code_cell("SEED = 0", metadata={"tags": ["parameters"]}), nbformat.v4.new_code_cell(code)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), tmp_path / "notebooks" / "01_sleep.ipynb")
    process = subprocess.Popen(
        [sys.executable, "-c", RUN.format(folder=str(tmp_path))],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a build machine may have it ignored
    )
    while not begun.exists():
        assert process.poll() is None, "the run ended before its kernel began"
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # what a terminal does
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 130
    assert "execute: stopped" in said
    assert "Traceback" not in said
    kernel_id = int(begun.read_text())
    assert not psutil.pid_exists(kernel_id) or psutil.Process(kernel_id).status() == psutil.STATUS_ZOMBIE


def test_a_changed_script_of_a_component_runs_the_chapters_again(tmp_path: Path, monkeypatch) -> None:
    """What a notebook shows depends on every file of the library, not on its Python alone; caches do not count."""
    monkeypatch.setattr(execute, "ROOT", tmp_path)
    script = tmp_path / "course_lib" / "interactive" / "core.js"
    script.parent.mkdir(parents=True)
    for file in (script, tmp_path / "constraints.txt", tmp_path / "data" / "claims.yml"):
        file.parent.mkdir(exist_ok=True)
        file.write_text("before")
    notebook = tmp_path / "01_any.ipynb"
    nbformat.write(nbformat.v4.new_notebook(), notebook)
    before = execute.fingerprint(notebook, {})
    cache = tmp_path / "course_lib" / "__pycache__" / "core.cpython-311.pyc"
    cache.parent.mkdir()
    cache.write_text("compiled")
    assert execute.fingerprint(notebook, {}) == before
    script.write_text("after")
    assert execute.fingerprint(notebook, {}) != before
