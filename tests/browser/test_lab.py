"""Chapters in JupyterLab, with a real kernel, as a student uses them: Run All, folds, Paint, Stop, the arrow keys.

JupyterLab comes with the extra `dev`: the book does not need it.
"""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN_ALL_SECONDS = 900  # a quick notebook computes half a minute; a nightly machine does more at once
pytestmark = [pytest.mark.slow, pytest.mark.real_weights]

# Lab's own objects tell what is going on more surely than the nodes of a list that is drawn only where it is looked at.
NOTEBOOK = "jupyterapp.shell.currentWidget.content"
FAILED = f"""{NOTEBOOK}.widgets.flatMap((cell) => cell.model.sharedModel.toJSON().outputs ?? [])
    .filter((output) => output.output_type === "error").map((output) => `${{output.ename}}: ${{output.evalue}}`)"""
SHOW = f"""(words) => {{
    const at = {NOTEBOOK}.widgets.findIndex((cell) => cell.model.sharedModel.source.includes(words));
    {NOTEBOOK}.activeCellIndex = at;
    return {NOTEBOOK}.scrollToItem(at, "start");
}}"""
OPEN = f"window.jupyterapp?.shell.currentWidget?.context?.isReady && {NOTEBOOK}.widgets.length > 50"
IDLE = "jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'"
RUN_ALL = """() => {
    window.ran = false;
    jupyterapp.commands.execute("notebook:run-all-cells").then((ok) => { window.ran = ok; });
}"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a JupyterLab without a password on this machine alone, and the folder that it shows."""
    if importlib.util.find_spec("jupyterlab") is None:
        pytest.skip("JupyterLab is missing: .venv/bin/python -m pip install -e '.[dev]' -c constraints.txt")
    home = tmp_path_factory.mktemp("lab")
    shown = home / "notebooks"
    shown.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # A student sets no threads, and nobody's own settings count.
    own = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    own |= {name: str(home / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser"]
    command += ["--ip=127.0.0.1", f"--port={port}", f"--ServerApp.root_dir={shown}", "--IdentityProvider.token="]
    command += ["--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    command += ["--LabApp.extension_manager=readonly"]
    with (home / "lab.log").open("w") as log:
        server = subprocess.Popen(command, env=own, stdout=log, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}/"
    for _ in range(240):
        try:
            urllib.request.urlopen(address + "api/status").close()
            break
        except OSError:
            time.sleep(0.5)
            assert server.poll() is None, (home / "lab.log").read_text()[-2000:]
    yield address, shown
    server.terminate()  # and with it the kernels
    server.wait(30)


@pytest.fixture(scope="module", params=["01", "03"])
def ran(request: pytest.FixtureRequest, browser: Any, lab: tuple[str, Path]) -> Iterator[Any]:
    """A chapter in Lab, without its outputs, after Run All."""
    address, shown = lab
    (chapter,) = (ROOT / "notebooks").glob(f"{request.param}_*.ipynb")
    shutil.copy(chapter, shown)
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    page = context.new_page()
    page.goto(f"{address}lab/tree/{chapter.name}?reset")
    page.wait_for_function(OPEN)
    page.wait_for_function(IDLE)
    page.evaluate("jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    page.evaluate(RUN_ALL)
    try:
        page.wait_for_function(f"window.ran || {FAILED}.length > 0", timeout=1000 * RUN_ALL_SECONDS)
        yield page
    finally:
        page.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        context.close()


def output(page: Any, words: str) -> Any:
    """The output of the cell with these words, on the screen."""
    page.evaluate(SHOW, words)
    return page.locator(".jp-Cell.jp-mod-active .jp-OutputArea").first


def test_run_all_runs_all(ran: Any) -> None:
    assert ran.evaluate(FAILED) == []
    counts = ran.evaluate(
        f"{NOTEBOOK}.widgets.filter((cell) => cell.model.type === 'code').map((cell) => cell.model.executionCount)"
    )
    assert counts == list(range(1, len(counts) + 1))


def test_what_the_book_folds_is_folded(ran: Any) -> None:
    folded, tagged = ran.evaluate(
        f"""[(cell) => cell.inputHidden, (cell) => (cell.model.getMetadata("tags") ?? []).includes("hide-input")]
        .map((which) => {NOTEBOOK}.widgets.map((cell, k) => which(cell) ? k : -1).filter((k) => k >= 0))"""
    )
    assert folded == tagged
    assert len(folded) > 5


def test_the_arrow_keys_move_a_slider_and_not_the_selection(ran: Any) -> None:
    figure = output(ran, "interactive.frames(").locator("figure.interactive")
    assert figure.bounding_box()["height"] < 600, "picture, slider and caption do not fit beside Lab's own bars"
    handle = figure.locator("input[type=range]").first
    handle.scroll_into_view_if_needed()
    handle.focus()
    ran.keyboard.press("Home")
    cell = ran.evaluate(f"{NOTEBOOK}.activeCellIndex")
    places = [handle.input_value()]
    for key in ("ArrowRight", "ArrowUp", "ArrowDown"):
        ran.keyboard.press(key)
        places.append(handle.input_value())
    assert places == ["0", "1", "2", "1"]
    count = ran.evaluate(f"{NOTEBOOK}.widgets.length")
    for key in "dda":  # Lab deletes and adds cells with these
        ran.keyboard.press(key)
    assert ran.evaluate(f"[{NOTEBOOK}.activeCellIndex, {NOTEBOOK}.widgets.length]") == [cell, count]


def test_a_panel_works(ran: Any) -> None:
    panel = output(ran, "_panel(")
    picture = panel.locator("img")
    picture.wait_for()
    sizes = "(one) => [one.width, one.height, one.naturalWidth, one.naturalHeight]"
    ran.wait_for_function("(one) => one.naturalWidth > 0", arg=picture.element_handle())
    width, height, own_width, own_height = picture.evaluate(sizes)
    assert width / height == pytest.approx(own_width / own_height, rel=0.02), "the picture is stretched"
    if panel.get_by_role("button", name="Paint").count():
        paint_and_stop(panel, picture, ran.wait_for_function)
    else:
        before = picture.get_attribute("src")
        panel.get_by_label("channel").fill("7")
        panel.get_by_label("channel").press("Enter")
        ran.wait_for_function("([one, old]) => one.src !== old", arg=[picture.element_handle(), before])


def paint_and_stop(panel: Any, picture: Any, wait: Callable[..., Any]) -> None:
    before = picture.get_attribute("src")
    paint, stop = (panel.get_by_role("button", name=name) for name in ("Paint", "Stop"))
    assert stop.is_disabled()
    paint.click()
    panel.get_by_text("step 5, loss").wait_for(timeout=120_000)
    stop.click()
    panel.get_by_text("Stopped; this is the picture so far.").wait_for(timeout=60_000)
    wait("([one, old]) => one.src !== old", arg=[picture.element_handle(), before])
    assert paint.is_enabled()
    assert stop.is_disabled()
