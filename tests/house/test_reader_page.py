"""What a chapter's page makes of its notebook: a picture first, folds with names, cards of runs, sheets that fit."""

import html
import json
import re
from types import SimpleNamespace

import book_access
import book_ledger
import book_light
import chapter_opening as opening
import pytest
import run_cards
import style_cuts
import torch
import wide_figures
from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode

from course_lib.teaching import figures, records

SHEET = '<figure class="sheet" aria-label="A.">x<figcaption>Caption.</figcaption></figure>'
CURVES = SHEET.replace('"sheet"', '"sheet curves"')
TABLE = SHEET.replace('"sheet"', '"sheet table"')
MISSING = 'if records.missing("03_x", profile=PROFILE, seed=SEED):\n    run()'


def cell(source: str, shows: str = "", *, hidden: bool = False) -> nodes.container:
    """A code cell as the parser of notebooks leaves it."""
    whole = nodes.container("", nb_element="cell_code", classes=["cell"])
    whole += nodes.container("", nodes.literal_block("", source), nb_element="cell_code_source")
    if shows:
        bundle = nodes.container("", nodes.raw("", shows, format="html"), nb_element="mime_bundle")
        whole += nodes.container("", bundle, nb_element="cell_code_output")
    if hidden:
        whole["hide_mode"], whole["prompt_show"], whole["prompt_hide"] = "input", "Show {type}", "Hide {type}"
    return whole


def page(*children: nodes.Node) -> tuple[nodes.document, nodes.section]:
    tree = nodes.document(None, None)  # type: ignore[arg-type]
    section = nodes.section("", nodes.title("", "3. A chapter"), nodes.paragraph("", "The claim."))
    section += list(children)
    tree += section
    return tree, section


def said(section: nodes.Element) -> list[str]:
    """The children of a section in a few letters each."""
    found = []
    for node in section.children:
        if isinstance(node, HideCodeCellNode):
            found.append(f"fold {len(node.children)}")
        elif isinstance(node, nodes.container):
            found.append("picture" if "opening" in node["classes"] else "cell")
        else:
            found.append(node.astext() if isinstance(node, nodes.raw) else type(node).__name__)
    return found


def section_of(*children: nodes.Node) -> nodes.section:
    return nodes.section("", nodes.title("", "3.1"), *children)


# --- a picture first
def test_the_picture_after_the_setup_moves_below_the_title_and_its_words_below_the_claim() -> None:
    shown = cell("show()", SHEET, hidden=True)
    words, later = nodes.paragraph("", "Look at the sky."), section_of(cell("1 + 1", "<p>2</p>"))
    cells = [cell("import torch"), cell('PROFILE = "quick"'), shown]
    tree, section = page(nodes.paragraph("", "What you will do."), *cells, words, later)
    opening.name_folds(tree)
    opening.open_with_picture(section, "the card")
    assert said(section) == [
        "title", "picture", "the card", "paragraph", "paragraph", "paragraph", "fold 2", "cell", "section",
    ]  # fmt: skip
    assert [node.astext() for node in section.children[3:6]] == ["The claim.", "Look at the sky.", "What you will do."]
    assert SHEET in opening.shown_by(section.children[1])
    assert "<figure" not in opening.shown_by(shown), "it stands once on the page"
    assert shown["prompt_show"] == opening.FIGURE


def test_cards_of_the_opening_come_along_with_the_picture() -> None:
    aside, larger = (nodes.raw("", text, format="html") for text in ("<aside>run</aside>", "<details>paper</details>"))
    tree, section = page(cell("import torch"), aside, cell(MISSING), cell("show()", SHEET), larger)
    opening.name_folds(tree)
    opening.open_with_picture(section, "the card")
    assert said(section)[:3] == ["title", "picture", "the card"]
    assert '<div class="runs"><aside>run</aside></div>' in section.children[1].astext()
    assert said(section)[4:] == ["fold 1", "cell", "cell", "<details>paper</details>"]


@pytest.mark.parametrize("between", [nodes.paragraph("", "By hand first."), None])
def test_a_picture_that_a_text_leads_to_stays_and_is_shown_at_the_top_too(between: nodes.Node | None) -> None:
    shown = cell("show()", SHEET)
    cells = [cell("import torch"), *([between, shown] if between else [section_of(shown)])]
    _, section = page(*cells)
    opening.open_with_picture(section, "the card")
    assert said(section)[:3] == ["title", "picture", "the card"]
    assert opening.shown_by(shown) == opening.shown_by(section.children[1]) == SHEET


def test_pictures_come_before_curves_and_a_table_is_no_picture() -> None:
    cells = [cell("t()", TABLE), cell("c()", CURVES), cell("s()", SHEET)]
    _, section = page(*cells)
    assert opening.first_picture(section) is cells[2]
    _, section = page(*cells[:2])
    assert opening.first_picture(section) is cells[1]
    _, section = page(cells[0])
    opening.open_with_picture(section, "the card")
    assert said(section)[:3] == ["title", "the card", "paragraph"]


# --- folds
@pytest.mark.parametrize(
    ("source", "shows", "name"),
    [
        ("show()", SHEET, opening.FIGURE),
        ("show()", TABLE, opening.TABLE),
        (f"{MISSING}\nshow()", SHEET, opening.FIGURE),
        (MISSING, "", opening.COMPUTED),
        ("def paint(x): ...", "", opening.SETUP),
        ('claims.check("a.b", True)', "✓", opening.CHECK),
        ("print(1)", "1", opening.PRINTED),
    ],
)
def test_a_fold_is_called_by_what_its_cell_shows_or_does(source: str, shows: str, name: str) -> None:
    hidden = cell(source, shows, hidden=True)
    opening.name_folds(page(hidden)[0])
    assert (hidden["prompt_show"], hidden["prompt_hide"]) == (name, opening.HIDE)


def test_only_cells_that_make_a_run_are_folded_without_being_asked() -> None:
    makes, teaches, shows = cell(MISSING), cell("gram = f @ f.T"), cell(MISSING, "done")
    opening.name_folds(page(makes, teaches, shows)[0])
    assert [one.get("hide_mode") for one in (makes, teaches, shows)] == ["input", None, None]


def test_a_fold_on_the_page_is_one_line_with_a_name() -> None:
    fold = (
        '<details class="admonition hide above-input">\n<summary aria-label="Toggle hidden content">\n'
        '<p class="collapsed admonition-title">{}</p>\n<p class="expanded admonition-title">{}</p>\n</summary>'
    )
    mended = book_access.mend(fold.format(opening.FIGURE, opening.HIDE))
    assert re.sub(r"\s*\n", "", mended) == (
        f'<details class="fold"><summary><span class="collapsed">{opening.FIGURE}</span>'
        f'<span class="expanded">{opening.HIDE}</span></summary>'
    )
    assert "<span>Setup</span>" in book_access.mend(fold.format("Setup", "Setup"))


# --- cards
LINE = "stored run · laptop profile · AMD EPYC, 1 thread · torch 2.15.0 · seed 0 · 3.2 min"
LARGER = "stored run · paper profile, reduced: 9 of 10 steps · NVIDIA H100 80GB HBM3 · torch 2.11.0 · seed 0 · 0.0 min"


@pytest.mark.parametrize(
    ("caption", "left"),
    [
        (f"A castle. ({LINE})", "A castle."),
        (f"How deep, and how strong ({LINE}).", "How deep, and how strong."),
        (f"On the pictures ({LINE}). Correlations are of means.", "On the pictures. Correlations are of means."),
        (f"Seconds ({LINE}; {LARGER}).", "Seconds."),
        (f"Found again (chapter 9: {LINE}; chapter 6: {LARGER}).", "Found again."),
        (f"Their mean gradient is 0.047. {LINE}", "Their mean gradient is 0.047."),
        (f"Of test pictures. Labels: {LINE}. Drawings: {LARGER}.", "Of test pictures."),
    ],
)
def test_a_caption_keeps_what_the_picture_shows(caption: str, left: str) -> None:
    figure = f"<figure>x<figcaption style='a'>{html.escape(caption)}</figcaption></figure>"
    text, lines = run_cards.without_lines(figure)
    assert text == f"<figure>x<figcaption style='a'>{left}</figcaption></figure>"
    assert lines == re.findall(f"{re.escape(LINE)}|{re.escape(LARGER)}", caption)


def test_what_is_no_line_of_a_run_stays() -> None:
    for caption in ("Measured (on a stored run of 3 min).", LINE):
        figure = f"<figcaption>{caption}</figcaption>"
        assert run_cards.without_lines(figure) == (figure, [])
    assert run_cards.without_lines(f"<p>A. ({LINE})</p>") == (f"<p>A. ({LINE})</p>", [])


def test_every_caption_of_the_chapters_is_cleaned_and_its_run_found() -> None:
    """Nothing of a line is left, and the card names the run of nearly all of them."""
    found, named = 0, 0
    for file in sorted((run_cards.ROOT / "notebooks").glob("[0-9]*.ipynb")):
        cells = [one for one in json.loads(file.read_text(encoding="utf-8"))["cells"] if one["cell_type"] == "code"]
        page_names = {name for one in cells for name in run_cards.NAMES.findall("".join(one["source"]))}
        for one in cells:
            shown = "".join("".join(out.get("data", {}).get("text/html", [])) for out in one["outputs"])
            text, lines = run_cards.without_lines(shown)
            captions = "".join(match[2] for match in run_cards.CAPTION.finditer(text))
            assert "profile ·" not in captions, f"{file.stem}: {captions[-200:]}"
            here = run_cards.NAMES.findall("".join(one["source"]))
            found += len(lines)
            named += sum(bool(run_cards.origin(line, here, page_names).name) for line in lines)
    assert found > 100
    assert named > 0.9 * found, f"{named} of {found}"


def test_a_card_tells_what_the_record_holds(ledger, monkeypatch) -> None:
    monkeypatch.setattr(run_cards, "_dates", lambda: {"1234567": "2026-11-25"})
    monkeypatch.setenv("COURSE_LIB_COMMIT", "1234567")
    ledger.store((1, 2, 3), (4, 4, 4))
    record = json.loads((ledger.folder / "04_x" / "record.json").read_text())
    record |= {"minutes": 12.0, "peak_memory_gb": 6.25, "device": "AMD EPYC, 1 threads"}
    text = run_cards.card("04_x", [run_cards.spent(record)], "not run yet")
    words = re.findall(r"<span>(.*?)</span>", text)
    assert words[:3] == ["<b>12.0 min, 6.2 GB</b>", "AMD EPYC, 1 thread", "laptop profile, seed 0"]
    assert words[3:] == [
        f"torch {record['versions']['torch']}", "code of 2026-11-25", f"<code>{record['command']}</code>",
    ]  # fmt: skip
    assert text.startswith('<aside class="margin run" id="run-04_x" aria-label="How 04_x was computed"><details>')
    assert text.count("<details>") == text.count("</details>") == 1
    assert " open" not in text.split(">")[1]


def test_a_line_without_its_record_is_told_as_it_stands(ledger) -> None:
    assert run_cards.origin(LINE, ["04_x"], []).name == "", "that run has another line"
    text = run_cards.quoted(LARGER)
    words = [
        "<b>0.0 min</b>",
        "NVIDIA H100 80GB HBM3",
        "paper profile, seed 0",
        "reduced: 9 of 10 steps",
        "torch 2.11.0",
    ]
    assert re.findall(r"<span>(.*?)</span>", text) == words


def test_a_run_is_told_in_full_once(ledger) -> None:
    ledger.store((1, 2, 3), (4, 4, 4))
    run_cards._lines.cache_clear()
    line = records.load("04_x").line
    figure = f"<figure class='sheet'>x<figcaption>A. ({line})</figcaption></figure>"
    makes = cell('with records.run("04_x", profile=PROFILE, seed=SEED) as run: ...')
    near, far = (cell('records.show("04_x")', figure) for _ in range(2))
    _, section = page(makes, near, nodes.paragraph("", "Words."), far)
    book_ledger.add_costs(SimpleNamespace(env=SimpleNamespace(docname="notebooks/04_choices")), section)
    run_cards._lines.cache_clear()
    cards = [node.astext() for node in section.children if isinstance(node, nodes.raw)]
    assert [re.sub(r"<[^>]*>", "", text)[:15] for text in cards] == ["Stored run 04_x", "Stored run 04_x"]
    assert ["id=" in text for text in cards] == [True, False]
    assert 'href="#run-04_x"' in cards[1]
    assert all("A.</figcaption>" in opening.shown_by(one) for one in (near, far))


# --- sheets that fit
def sheet(count: int, columns: int, caption: str = "Pictures.") -> str:
    pictures = [torch.rand(1, 3, 70, 90) for _ in range(count)]
    titles = [f"p{n}" for n in range(count)]
    return figures.sheet(pictures, titles=titles, caption=caption, alt="Noise.", columns=columns)._repr_html_()


@pytest.mark.parametrize(("count", "columns", "across"), [(4, 4, 2), (5, 5, 3), (3, 3, 3), (2, 2, 2), (6, 3, 3)])
def test_a_row_of_many_pictures_breaks_into_rows_of_at_most_three(count: int, columns: int, across: int) -> None:
    fitted = wide_figures.fit(sheet(count, columns))
    (share,) = {float(base) for base in wide_figures.BASIS.findall(fitted)}
    assert round(100 / share) == across
    gaps = float(re.search(r"% - ([\d.]+)em", fitted)[1])  # type: ignore[index]
    assert across * share == pytest.approx(100, abs=0.01)
    assert across * gaps == pytest.approx((across - 1) * wide_figures.GAP, abs=0.01)
    assert f"max-width:{2 * across * 90}px" in fitted, "no picture at more than twice its size"
    assert re.findall(r'alt="([^"]*)"', fitted) == [f"p{n}" for n in range(count)]


@pytest.mark.parametrize(
    ("count", "columns", "caption", "grid"),
    [(8, 4, "Pictures.", True), (6, 3, "Above: photographs.", True), (6, 3, "Six of them.", False)],
)
def test_a_grid_keeps_its_columns(count: int, columns: int, caption: str, grid: bool) -> None:
    fitted = wide_figures.fit(sheet(count, columns, caption))
    assert (f'<div class="sideways grid" style="--columns:{columns};max-width:{180 * columns}px">' in fitted) == grid
    assert fitted.count("<div") == fitted.count("</div>")


def test_a_chart_knows_how_wide_its_words_must_be() -> None:
    chart = figures.curves({"a": [1.0, 0.5]}, caption="It falls.", alt="It falls.")._repr_html_()
    fitted = wide_figures.fit(chart)
    width = int(re.search(r' width="(\d+)"', chart)[1])  # type: ignore[index]
    least = int(re.search(r'<div class="sideways chart" style="--least:(\d+)px"><img', fitted)[1])  # type: ignore[index]
    smallest = 0.833 * 10 / 72 * figures._DPI  # matplotlib's "small", in the chart's own pixels
    assert smallest * least / width == pytest.approx(11, abs=0.1)


# --- the stored pictures
def test_a_picture_that_was_made_smaller_names_its_stored_file(ledger, tmp_path) -> None:
    pictures = {"large one": torch.rand(1, 3, 200, 300), "small": torch.rand(1, 3, 70, 90)}
    ledger.store((1, 2, 3), (4, 4, 4), images=pictures)
    source = 'records.show("04_x", only=["small", "large one"], caption="A.", alt="B.", size=120)'
    shown = cell(source, eval(source)._repr_html_())
    run_cards.with_full_pictures(shown, source)
    tags = run_cards.IMAGE.findall(opening.shown_by(shown))
    assert [run_cards.FULL.findall(tag) for tag in tags] == [[], [("04_x", "large_one.webp")]]
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "04.html").write_text("".join(tags), encoding="utf-8")
    run_cards.write_full_pictures(tmp_path)
    stored = (ledger.folder / "04_x" / "large_one.webp").read_bytes()
    assert (tmp_path / run_cards.RUNS / "04_x" / "large_one.webp").read_bytes() == stored


@pytest.mark.parametrize(
    "source",
    ["%magic !", "records.show(name)", 'records.show("04_gone")', 'records.show("04_x", only=NAMES)', "1 + 1",
     'records.show("04_x", only=["other"])', 'records.show("04_x", profile="paper")'],
)  # fmt: skip
def test_where_the_pictures_cannot_be_read_off_none_is_named(ledger, source: str) -> None:
    ledger.store((1, 2, 3), (4, 4, 4), images={"x": torch.rand(1, 3, 80, 80)})
    assert run_cards.stored_pictures(source) == []


# --- style sheets
def test_only_rules_for_classes_that_nothing_names_are_cut() -> None:
    sheet = (
        '@charset "utf-8";/* .gone{} */.gone{a:b}.seen,.gone p{a:b}.seen .gone{a:b}p.seen:not(.gone){a:b}html{a:b}'
        '@media print{.gone{a:b}}@media print{.gone{a:b}.seen{c:"}.x{"}}@font-face{src:url(a)}:is(.gone,.other){a:b}'
        ".made-of-two{a:b}[x='.y']{a:b}@keyframes k{from{a:b}to{a:b}}"
    )
    assert style_cuts.cut(sheet, {"seen", "made-"}) == (
        '@charset "utf-8";.seen{a:b}p.seen:not(.gone){a:b}html{a:b}@media print{.seen{c:"}.x{"}}@font-face{src:url(a)}'
        ":is(.gone,.other){a:b}.made-of-two{a:b}[x='.y']{a:b}@keyframes k{from{a:b}to{a:b}}"
    )


def test_words_of_pages_and_scripts_are_names_that_a_class_could_have(tmp_path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.html").write_text('<p class="one two-three">', encoding="utf-8")
    (tmp_path / "y.js").write_text("n.className = `four-${x}`", encoding="utf-8")
    (tmp_path / "z.css").write_text(".five{}", encoding="utf-8")
    words = style_cuts.words_of(tmp_path)
    assert {"one", "two-three", "four-"} <= words
    assert "five" not in words


def test_components_of_a_page_share_their_style() -> None:
    style = '<style class="play-part">.play{}</style>'
    text = f"<figure>{style}a</figure>{style}<style>p{{}}</style><style>p{{}}</style>"
    assert book_light.once(text) == f"<figure>{style}a</figure><style>p{{}}</style><style>p{{}}</style>"
