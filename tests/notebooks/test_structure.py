"""Every notebook keeps the book's shape, and its pictures are pictures: nbval compares text only."""

import base64
import io
import re
import statistics
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from course_lib.teaching.interactive.component import part

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))
SCRIPT = re.compile(r'<script class="play-part">(.*?)</script>', re.DOTALL)
DATA_URI = re.compile(r"data:image/(?:jpeg|png|webp);base64,([A-Za-z0-9+/=]+)")

pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


class Figures(HTMLParser):
    """Collects what is wrong with the images of one HTML output."""

    def __init__(self) -> None:
        super().__init__()
        self.problems: list[str] = []
        self.images = self.captions = 0
        self.inside = self.in_caption = False
        self.caption = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "figure":
            self.inside, self.caption = True, ""
        elif tag == "figcaption":
            self.in_caption = True
        elif tag == "img":
            self.images += 1
            if not (dict(attrs).get("alt") or "").strip():
                self.problems.append("an image without alt text")
            if not self.inside:
                self.problems.append("an image outside <figure>")

    def handle_data(self, data: str) -> None:
        self.caption += data if self.in_caption else ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "figcaption":
            self.in_caption = False
        elif tag == "figure":
            self.inside = False
            if not self.caption.strip():
                self.problems.append("a figure without a caption")


def code(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def outputs(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [output for cell in code(notebook) for output in cell.outputs]


def with_tag(notebook: nbformat.NotebookNode, tag: str) -> list[nbformat.NotebookNode]:
    return [cell for cell in code(notebook) if tag in cell.metadata.get("tags", [])]


def pages(notebook: nbformat.NotebookNode) -> list[str]:
    return [output.data["text/html"] for output in outputs(notebook) if "text/html" in output.get("data", {})]


def test_it_has_the_template(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    number = int(path.name[:2])
    first = notebook.cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith(f"# {number}. "), "the title is '# n. Title (paper, year)'"
    assert len(with_tag(notebook, "bootstrap")) == 1
    (parameters,) = with_tag(notebook, "parameters")
    assert re.search(r'^PROFILE = "quick"', parameters.source, re.MULTILINE)
    assert re.search(r"^SEED = 0\b", parameters.source, re.MULTILINE)
    exercises = [c.source for c in notebook.cells if c.cell_type == "markdown" and "**Exercise" in c.source]
    text = "\n".join(exercises)
    assert text.count("**Exercise") >= 4, "at least four exercises"
    assert text.count("<details>") == text.count("</details>") >= text.count("**Exercise"), (
        "each with a folded solution"
    )


def at_full_width(path: Path) -> nbformat.NotebookNode:
    """The notebook with its code broken at 120 characters, as in a module: narrower lines are not more code."""
    form = ["format", "--isolated", "--line-length", "120", "--config", "format.skip-magic-trailing-comma=true"]
    command = [sys.executable, "-m", "ruff", *form, "--stdin-filename", path.name, "-"]
    return nbformat.reads(
        subprocess.run(command, input=path.read_bytes(), stdout=subprocess.PIPE, check=True).stdout, as_version=4
    )


def test_its_code_is_short(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert notebook.metadata.kernelspec.name == "python3"
    lines = [len(cell.source.splitlines()) for cell in code(at_full_width(path))]
    assert max(lines) <= 25
    assert statistics.median(lines) <= 6.5
    bootstrap = with_tag(notebook, "bootstrap")
    wide = [
        line for cell in code(notebook) if cell not in bootstrap for line in cell.source.splitlines() if len(line) > 83
    ]
    assert wide == [], "the page cuts these lines off"
    for cell in code(notebook):
        imports = [line for line in cell.source.splitlines() if re.match(r"(from \S+ )?import ", line)]
        assert len(imports) <= 8, f"{len(imports)} imports in one cell"
        if cell not in bootstrap:
            assert not re.search(r"^\s*[%!]", cell.source, re.MULTILINE), "magics only in the bootstrap cell"


def test_its_outputs_are_there_and_clean(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert path.stat().st_size <= 1_500_000, "at most 1.5 MB"
    assert outputs(notebook), "no outputs: run make outputs"
    assert "widgets" not in notebook.metadata
    assert "papermill" not in notebook.metadata
    for cell in code(notebook):
        assert cell.execution_count is not None, "a cell was not executed: run make outputs"
        assert not {"papermill", "execution"} & set(cell.metadata), "run-time metadata: run make outputs"
        assert "injected-parameters" not in cell.metadata.get("tags", [])
    for output in outputs(notebook):
        assert output.output_type != "error", output.get("evalue")
        kinds = set(output.get("data", {}))
        assert not kinds & {"image/png", "image/jpeg"}, "show pictures with course_lib.teaching.figures"
        assert "application/vnd.jupyter.widget-view+json" not in kinds


def test_every_figure_has_alt_text_and_a_caption(path: Path) -> None:
    count, problems = 0, []
    for page in pages(nbformat.read(path, as_version=4)):
        figures = Figures()
        figures.feed(page)
        count += figures.images
        problems += figures.problems
    assert not problems
    assert count >= 1, "a chapter shows at least one figure"


def test_its_pictures_show_something(path: Path) -> None:
    """No committed picture is all black, all white, or flat, but where a cell says that this is its subject."""
    for cell in code(nbformat.read(path, as_version=4)):
        spreads = []
        for page in pages(nbformat.v4.new_notebook(cells=[cell])):
            for uri in DATA_URI.findall(page):
                with Image.open(io.BytesIO(base64.b64decode(uri))) as picture:
                    gray = np.asarray(picture.convert("L"), dtype=np.float32)
                darkest, brightest = np.percentile(gray, [1, 99])
                spreads.append(brightest - darkest)
        on_purpose = "black-on-purpose" in cell.metadata.get("tags", [])
        assert not spreads or max(spreads) > 25, "nothing to see in this figure"
        flat = any(spread <= 25 for spread in spreads)
        assert on_purpose == flat, f"a flat picture needs the tag black-on-purpose, and only one: {cell.source}"


def test_live_panels_are_run_and_not_compared(path: Path) -> None:
    """A panel has no output in the committed notebook and one wherever it runs; what follows it needs no kernel."""
    cells = nbformat.read(path, as_version=4).cells
    for number, cell in enumerate(cells):
        tags = set(cell.metadata.get("tags", []))
        if "_panel(" in cell.source and cell.cell_type == "code":
            assert tags >= {"play", "nbval-ignore-output"}, cell.source
            assert cell.outputs == []
            assert "*Needs a kernel.*" in cells[number - 1].source
            after = nbformat.v4.new_notebook(cells=cells[number + 1 : number + 4])
            assert any(map(SCRIPT.search, pages(after))), "a panel is followed by its kernel-free twin"


def bare(script: str) -> str:
    """Without comments and indentation, which an output may leave out."""
    return re.sub(r"(?m)^ *//.*\n|  // .*$|^ +", "", script)


def test_it_can_be_played_with_on_the_page(path: Path) -> None:
    """At least two components, with the style and script that the library has today."""
    components = [page for page in pages(nbformat.read(path, as_version=4)) if SCRIPT.search(page)]
    assert len(components) >= 2
    for page in components:
        (kind,) = re.findall(r'<div class="play" data-kind="([\w-]+)"', page)
        expected = "\n".join(["(() => {", part("core.js"), part(kind.replace("-", "_") + ".js"), "})();"])
        assert [bare(script) for script in SCRIPT.findall(page)] == [bare(expected)], "run make outputs"
        assert f'<style class="play-part">{part("play.css")}</style>' in page, "run make outputs"


def test_its_pictures_are_light(path: Path) -> None:
    """A page's own pictures, as files: at most a megabyte, in a format that browsers decode when it is needed."""
    html = "".join(pages(nbformat.read(path, as_version=4)))
    pictures = {base64.b64decode(uri) for uri in DATA_URI.findall(html)}
    assert sum(map(len, pictures)) <= 1_000_000
    tags = re.findall(r"<img [^>]+>", html)
    assert all('src="data:image/webp;' in tag and 'loading="lazy"' in tag and 'width="' in tag for tag in tags)


def test_an_aside_ends_before_the_next_heading(path: Path) -> None:
    """It begins in one markdown cell and may end in a later one, so what it holds stays between two headings."""
    open_since = ""
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type != "markdown":
            continue
        for line in cell.source.splitlines():
            if open_since:
                assert not re.match(r"#+ |\*\*Exercise", line), f"not closed: {open_since}"
            if "<details class=" in line:
                assert not open_since, f"an aside in an aside: {line}"
                open_since = line
            elif "</details>" in line:
                open_since = ""
    assert not open_since, f"not closed: {open_since}"
