"""Runs at the papers' scale on the pages: shown beside the laptop's where they are there, else how to make them."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import book_heads as heads
import book_ledger
import paper_list as listed
import paper_runs as runs
import pytest
import torch
from docutils import nodes

from course_lib.teaching import records

ROOT = Path(__file__).resolve().parents[2]
Item = runs.Item
CARD, PROCESSOR = "NVIDIA H100 80GB HBM3", "AMD EPYC, 2 threads"
MADE = """
if records.missing("03_noise", profile=PROFILE, seed=SEED):
    with records.run("03_noise", profile=PROFILE, seed=SEED, config=config) as run:
        run.images["step 1"] = x
"""
SHOWN = """records.show(
    "03_noise",
    only=["step 9", "step 1"],
    columns=2,
    caption="A palace from noise.",
    alt="Two stages.",
)"""


@pytest.fixture
def stored(ledger, monkeypatch):
    """Makes a record in a folder of its own; the book and the queue know no others, and the ledger one claim."""
    ledger.rows.clear()
    ledger.rows["a.b"] = ledger.claim(
        "a.b", chapter="03", record="03_noise", holds="`share` > 0", effect="", cases="2 seeds"
    )
    queue = (
        Item("gpu_tests", "gpu_tests", "the tests that need a GPU", 90, ("gpu_tests",)),
        Item("chapter_03", "chapter", "chapter 3 at 512 px", 60, ("03_castle", "03_noise")),
        Item("painter_x", "painter", "a painter", 120, ("model_x",), ("x_paper",), trained="painter"),
        Item("scores_0", "scores", "scores", 240, ("03_scores",), needs=("datasets",)),
    )
    monkeypatch.setattr(runs, "QUEUE", queue)

    def make(name, profile, *, reduced="", claim=None, values=None, pictures=("step 1", "step 5", "step 9")):
        with records.run(name, profile=profile, seed=0) as run:
            run.images = {title: torch.rand(1, 3, 8, 12) for title in pictures}
            run.values, run.reduced = values or {}, reduced
            if claim:
                run.claim(claim, {"share": [0.5, 0.7]})
        place = ledger.folder / ("paper" if profile == "paper" else "") / name / "record.json"
        larger = profile == "paper"
        facts = {"device": CARD if larger else PROCESSOR, "minutes": 0.5 if larger else 12.0, "peak_memory_gb": 6.25}
        place.write_text(json.dumps({**json.loads(place.read_text()), **facts}))
        return records.load(name, profile=profile)

    return make


def page(*sources, between=()):
    """A page of code cells, with a paragraph below those whose numbers are in `between`."""
    tree = nodes.document(None, None)
    section = nodes.section("", nodes.title("", "3."))
    for place, source in enumerate(sources):
        cell = nodes.container("", nb_element="cell_code")
        cell += nodes.container("", nodes.literal_block("", source), nb_element="cell_code_source")
        section += cell
        if place in between:
            section += nodes.paragraph("", "Words.")
    tree += section
    return tree


def on(name, tree):
    app = SimpleNamespace(env=SimpleNamespace(docname=name))
    book_ledger.add_costs(app, tree)
    book_ledger.add_paper_runs(app, tree)
    return [(type(one).__name__, one.astext()) for one in next(tree.findall(nodes.section)).children[1:]]


# --- chapters
def test_without_a_larger_run_a_page_says_once_how_to_make_it(stored):
    stored("03_noise", "laptop")
    found = on("notebooks/03_gatys", page(MADE, SHOWN, 'records.load("03_noise")'))
    kinds = [kind for kind, _ in found]
    assert kinds == ["raw", "container", "container", "container"]
    box = found[0][1]
    assert "12.0 min, 6.2 GB" in box
    assert "laptop profile" in box
    assert 'At the paper\'s scale: <a href="../book/paper_scale.html">not run yet</a>.' in box
    assert "<code>make paper ONLY=03_noise</code>, about 60 s on an H100-class GPU." in box


def test_of_a_run_that_is_in_no_queue_a_page_says_nothing(stored):
    stored("03_width", "laptop")
    found = on("notebooks/03_gatys", page(MADE.replace("03_noise", "03_width"), SHOWN.replace("03_noise", "03_width")))
    assert [kind for kind, _ in found] == ["raw", "container", "container"]
    assert "scale" not in found[0][1]


def test_a_larger_run_stands_below_the_cell_that_shows_the_laptops(stored):
    stored("03_noise", "laptop")
    stored("03_noise", "paper", reduced="9 of 10 steps", claim="a.b")
    found = on("notebooks/03_gatys", page(MADE, SHOWN, 'records.load("03_noise")'))
    assert [kind for kind, _ in found] == ["raw", "container", "container", "raw", "container"]
    box, text = found[0][1], found[3][1]
    assert "not run yet" not in box + text
    assert re.search(rf"12\.0 min, 6\.2 GB.*{PROCESSOR}.*laptop profile.*30 s, 6\.2 GB.*{CARD}.*paper profile", box)
    assert text.startswith('<details class="paper-run" id="paper-03_noise" open><summary>At the paper\'s scale<')
    alts = re.findall(
        r'<img src="data:image/webp;base64,[^"]+" alt="([^"]+)" width="12" height="8" loading="lazy"', text
    )
    assert alts == ["step 9", "step 1"], "the page's own choice, in its order"
    assert 'aria-label="A palace from noise. The same at the paper&#x27;s scale: step 9, step 1."' in text
    assert re.search(
        rf"Stored run · paper profile, reduced: 9 of 10 steps · {CARD} · torch \S+ · seed 0 · 0.5 min", text
    )
    assert 'ledger.html#claim-a-b"><code>a.b</code></a>: share 0.6 ± 0.1 (2 seeds)' in text


def test_its_pictures_are_the_files_of_the_record(stored):
    import base64

    record = stored("03_noise", "paper")
    text = runs.section(record)
    shown = [base64.b64decode(data) for data in re.findall(r"base64,([^\"]+)", text)]
    assert shown == [path.read_bytes() for path in record.images.values()]


def test_a_choice_that_the_larger_run_does_not_have_shows_all_of_it(stored):
    record = stored("03_noise", "paper", pictures=("step 1", "step 500"))
    call = runs.mentions([MADE, SHOWN], "03")["03_noise"].call
    assert re.findall(r'alt="([^"]+)"', runs.section(record, call)) == ["step 1", "step 500"]


def test_of_a_film_some_pictures_are_shown_from_the_first_to_the_last(stored):
    record = stored("03_noise", "paper", pictures=[f"step {k}" for k in range(40)])
    text = runs.section(record)
    alts = re.findall(r'alt="([^"]+)"', text)
    assert (len(alts), alts[0], alts[-1]) == (runs.MOST, "step 0", "step 39")
    assert "28 more pictures are in the record." in text


def test_a_run_without_pictures_or_claims_shows_its_numbers_beside_the_laptops(stored):
    stored("03_noise", "laptop", values={"step": {"ours": 0.5}, "words": "none", "many": [1, 2]}, pictures=())
    record = stored("03_noise", "paper", values={"step": {"ours": 0.01, "plain": 0.03}}, pictures=())
    text = re.sub(r' style="[^"]*"', "", runs.section(record))
    assert "<td>step, ours</td><td>0.01</td><td>0.5</td>" in text
    assert "<td>step, plain</td><td>0.03</td><td>–</td>" in text
    assert " open>" in text
    record.values = {f"number {k}": k for k in range(20)}
    text = runs.section(record)
    assert text.count("<td>number ") == runs.ROWS
    assert "The first 16 of 20 numbers." in text
    assert " open>" not in text


def test_a_run_that_a_page_only_loads_stands_below_the_cells_that_use_it(stored):
    stored("03_noise", "paper")
    sources = ['found = records.load("03_noise")', "figures.curves(found)", "1 + 1"]
    found = on("notebooks/03_gatys", page(*sources, between=(1,)))
    assert [kind for kind, _ in found] == ["container", "container", "raw", "paragraph", "container"]


def test_a_page_that_looks_back_at_another_chapters_run_is_left_alone(stored):
    stored("03_noise", "paper")
    assert [kind for kind, _ in on("notebooks/04_choices", page('records.load("03_noise")'))] == ["container"]
    assert [kind for kind, _ in on("book/glossary", page(SHOWN))] == ["container"]
    assert [kind for kind, _ in on("notebooks/11_wrong", page(SHOWN))] == ["container", "raw"], "it shows it"


def test_a_name_with_a_blank_means_the_runs_whose_filling_stands_on_the_page(stored):
    sources = ['STYLES = ("x", "y")', 'made = {name: records.load(f"model_{name}") for name in STYLES}', "%magic !"]
    assert list(runs.mentions(sources, "06")) == ["model_x"]
    (box,) = (text for kind, text in on("notebooks/06_fast", page(*sources)) if kind == "raw")
    assert "make paper ONLY=model_x</code>, about 2 min" in box


# --- the head of a chapter
def chapter(gpu, cards=()):
    return heads.Chapter("03", "notebooks/03_gatys", "3. A", "s.", (), 60, 20, None, 27.0, gpu, (), cards)


def test_the_head_says_what_a_gpu_took_and_what_is_left(stored):
    before = heads.head(chapter(0), {})
    assert "on a GPU: not measured yet; <code>make paper ONLY=chapter_03,<wbr>scores_0</code> <a href" in before
    assert '"../book/paper_scale.html">makes it</a>, about 5 min on an H100-class GPU' in before
    stored("03_castle", "paper")
    stored("03_noise", "paper")
    some = heads.head(chapter(1.0, (CARD,)), {})
    assert f"its stored runs: 27 min; on a GPU: 60 s ({CARD}); <code>make paper ONLY=scores_0</code>" in some
    assert ">makes what is missing (1 of 3 runs)</a>, about 4 min" in some
    stored("03_scores", "paper")
    assert f"on a GPU: 60 s ({CARD})</dd>" in heads.head(chapter(1.0, (CARD,)), {})


def test_a_chapters_gpu_minutes_come_from_records_made_on_one(ledger, tmp_path):
    ledger.rows.clear()
    (tmp_path / "notebooks").mkdir()
    cells = [{"cell_type": "markdown", "metadata": {}, "source": ["# 3. A"]}]
    (tmp_path / "notebooks" / "03_a.ipynb").write_text(json.dumps({"cells": cells}))
    for place, device, minutes in (("a", PROCESSOR, 8), ("paper/a", CARD, 2), ("paper/b", PROCESSOR, 4)):
        folder = tmp_path / "data" / "results" / place
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(json.dumps({"name": "03_a", "device": device, "minutes": minutes}))
    (tmp_path / "data" / "chapters.yml").write_text('"03": {summary: x., needs: [], learn: 10}')
    (tmp_path / "_toc.yml").write_text("parts: [{caption: One, chapters: [{file: notebooks/03_a}]}]")
    heads.chapters.cache_clear()
    found = heads.chapters(tmp_path)["03"]
    heads.chapters.cache_clear()
    assert (found.laptop, found.gpu, found.cards) == (12, 2, (CARD,))


# --- the list
def test_the_list_has_every_item_with_its_time_and_its_state(stored):
    text = listed.queue_list()
    for item in runs.QUEUE:
        assert f"<code>{item.name}</code> makes" in text
    assert text.count(">not run yet</span>") == len(runs.QUEUE)
    assert listed.state(listed.made()) == (
        "The queue has 4 items, about 8 min in all on an H100-class GPU. "
        "<b>Nothing of it has been run yet</b>: all times are estimates."
    )
    for part in ("Time, memory, tests", "Chapters", "Networks to train", "Scores on research data sets"):
        assert f"{part} <small>1 item, " in text
    assert "it needs a folder of research data sets" in text
    assert "<code>model_x</code> and the network <code>x_paper</code>" in text


def test_the_list_says_what_is_done_and_shows_what_no_chapter_shows(stored):
    stored("gpu_tests", "paper", values={"passed": 20}, pictures=())
    stored("03_noise", "paper")
    stored("model_x", "paper", reduced="9 of 10 steps")
    text = listed.queue_list()
    assert f"<td>30 s, {CARD}</td>" in text
    assert f"<td>1 of 2 runs: 30 s, {CARD}</td>" in text
    assert f"<td>30 s, {CARD}; reduced: 9 of 10 steps</td>" in text
    assert '<a href="../notebooks/03_gatys.html#paper-03_noise">' in text, "the chapter that really shows it"
    assert '<a href="#paper-gpu_tests">' in text
    assert '<details class="paper-run" id="paper-gpu_tests"><summary>At the paper\'s scale: <code>gpu_tests' in text
    assert 'id="paper-03_noise"' not in text
    words = listed.state(listed.made())
    assert f"<b>1 of them is done</b>: 3 of 5 runs, in 2 min, on {CARD}." in words


def test_when_all_is_done_the_list_says_so(stored):
    for name in ("gpu_tests", "03_castle", "03_noise", "model_x", "03_scores"):
        stored(name, "paper")
    assert "<b>All of it has been run</b>: 5 of 5 runs" in listed.state(listed.made())


# --- as it is committed
def test_every_run_that_a_chapter_makes_and_the_queue_too_is_found_on_its_page():
    queued = {name for item in runs.QUEUE for name in item.records}
    laptop = {path.parent.name for path in (ROOT / "data" / "results").glob("[0-9]*/record.json")}
    assert laptop & queued <= set(listed.shown_on())


def test_the_page_types_no_state_and_no_item():
    text = (ROOT / "book" / "paper_scale.md").read_text(encoding="utf-8")
    assert "{paper-queue}" in text
    assert "yet been run" not in text
    assert "run yet" not in text
    names = {item.name for item in runs.QUEUE}
    assert not names & set(re.findall(r"\w+", text)), "items are listed by the directive"
