"""The rendered book in Chromium: served from this machine, or opened as files, with no way to any other machine.

What is missing (Chromium, npm's packages) skips these tests with a sentence that says what to install; where the
variable CI is set it fails them.
"""

import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest
from filelock import FileLock

from scripts import packages

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "_build" / "html"
# No name but the server's own can be looked up, no proxy is asked, and the browser calls nobody on its own account.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FORMS: dict[str, dict[str, Any]] = {
    "desktop-light": {"viewport": {"width": 1300, "height": 900}, "color_scheme": "light"},
    "desktop-dark": {"viewport": {"width": 1300, "height": 900}, "color_scheme": "dark"},
    "phone-light": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
}
QUESTIONS = (Path(__file__).parent / "look.js").read_text(encoding="utf-8")  # what a page is asked: window.look


def stop(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def book() -> Path:
    """The folder of the rendered book; made from the committed outputs unless it is up to date."""
    command = [sys.executable, "-m", "scripts.render"]
    lock = ROOT / "_build" / "render.lock"
    lock.parent.mkdir(exist_ok=True)
    with FileLock(lock):  # a second worker waits, and finds the book up to date
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        pytest.fail(f"the book could not be rendered:\n{done.stdout[-3000:]}", pytrace=False)
    return HTML


class Handler(http.server.SimpleHTTPRequestHandler):
    """The files as they are, uncompressed: what a page weighs here is the most it can weigh anywhere."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="session")
def server(book: Path) -> Iterator[str]:
    """The address of the rendered book over http, ending in a slash."""
    handler = functools.partial(Handler, directory=str(book))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        running.daemon_threads = True
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()


# A module's, not the session's: its event loop runs in this thread while it is open, and notebooks are tested here too.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium without a network."""
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        stop("the Python package playwright is missing: make install")
    program = next((path for name in PROGRAMS if (path := shutil.which(name))), None)
    if program is None:
        stop("Chromium was not found: install it (Debian and Ubuntu: sudo apt-get install chromium).")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def launched(browser: Any) -> Iterator[Callable[..., Any]]:
    """``launched("--mute-audio")``: another Chromium, with these flags as well."""
    opened: dict[tuple[str, ...], Any] = {}
    program = next(path for name in PROGRAMS if (path := shutil.which(name)))

    def launch(*flags: str) -> Any:
        if flags not in opened:
            opened[flags] = browser.browser_type.launch(executable_path=program, args=[*FLAGS, *flags])
        return opened[flags]

    yield launch
    for one in opened.values():
        one.close()


@dataclass
class Opened:
    """A page that was opened, and everything it complained about or asked other machines for."""

    page: Any
    said: list[str] = field(default_factory=list)

    def evaluate(self, script: str, *arguments: Any) -> Any:
        return self.page.evaluate(script, *arguments)


def watched(page: Any, *places: str) -> Opened:
    """Notes errors, failed requests, and requests to anywhere but `places`, the page itself and its own data."""
    opened = Opened(page)

    def asked(request: Any) -> None:
        if not request.url.startswith((*places, "data:", "blob:")):
            opened.said.append(f"asks for {request.url[:200]}")

    def answered(response: Any) -> None:
        if response.status >= 400:
            opened.said.append(f"{response.status} for {response.url[:200]}")

    page.on("request", asked)
    page.on("response", answered)
    page.on("requestfailed", lambda request: opened.said.append(f"failed: {request.url[:200]} ({request.failure})"))
    page.on("pageerror", lambda error: opened.said.append(f"script error: {error}"))
    page.on("console", lambda line: opened.said.append(f"{line.type}: {line.text}") if line.type == "error" else None)
    return opened


@pytest.fixture
def watch(server: str) -> Callable[[Any], Opened]:
    """``watch(page)``: notes what a page of another browser complains about."""
    return lambda page: watched(page, server)


@pytest.fixture(scope="module")
def visitor(browser: Any, server: str, book: Path) -> Iterator[Callable[..., Opened]]:
    """``visitor("book/intro.html", form="phone-light")`` opens a page; the one before it is closed.

    `as_file` opens the file itself; other keywords go to the browser's context.
    """
    contexts: dict[Any, Any] = {}
    before: list[Any] = []

    def visit(name: str, form: str = "desktop-light", as_file: bool = False, **options: Any) -> Opened:
        for page in before:
            page.close()
        before.clear()
        key = (form, *sorted(options.items()))
        if key not in contexts:
            contexts[key] = browser.new_context(**FORMS[form], **options)
        page = contexts[key].new_page()
        before.append(page)
        base = f"{book.as_uri()}/" if as_file else server
        opened = watched(page, base)
        page.goto(base + name)
        page.evaluate(QUESTIONS)
        return opened

    yield visit
    for context in contexts.values():
        context.close()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """``opened(figure)`` opens a figure as a file and returns the page; nothing may be said or asked for."""
    said: list[str] = []
    contexts: list[Any] = []

    def open_page(figure: Any, mark: str = "", **options: Any) -> Any:
        path = tmp_path / "page.html"
        page_of = '<!doctype html><html lang="en"><meta charset="utf-8"><title>t</title>'
        path.write_text(page_of + figure._repr_html_(), encoding="utf-8")
        contexts.append(browser.new_context(**{"viewport": {"width": 800, "height": 900}, **options}))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda line: said.append(line.text) if line.type == "error" else None)
        page.on("request", lambda request: said.append(request.url) if request.url.startswith("http") else None)
        page.goto(path.as_uri() + mark)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core's script, of exactly the version that package-lock.json names."""
    try:
        folder = packages.install()
    except packages.PackagesError as error:
        stop(str(error))
    return (folder / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
