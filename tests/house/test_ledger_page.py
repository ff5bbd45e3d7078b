"""The ledger page: what a row opens to, badges that count, and no text that could be taken for HTML."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import book_ledger
import ledger_rows
import pytest
import torch

from course_lib.teaching import claims, records

CHAPTERS = {"04": "04_choices"}


def row(ledger, name="a.holds"):
    return ledger_rows.row(claims.finding(ledger.rows[name]), CHAPTERS)


def facts(html):
    """The lines of a row: title → HTML."""
    return dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", html, re.DOTALL))


class Elements(HTMLParser):
    """All elements of a text as (name, attributes), its words, and whether every one that opens is closed."""

    def __init__(self, text):
        super().__init__()
        self.found, self.words, self.open = [], "", []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in ("br", "img", "wbr"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        self.words += data


# --- one row
def test_a_row_opens_to_its_rule_its_numbers_and_the_command(ledger):
    ledger.rows["a.holds"] = ledger.claim(
        holds="`low` * 2 <= `high`", value="3.5", setting="512 px", few="time is short", note="grain remains",
        refuted="one seed in which it rises",
    )  # fmt: skip
    ledger.store((1, 2, 3), (4, 4, 7))
    text = row(ledger)
    found = facts(text)
    assert found["Claim"] == "<code>a.holds</code>"
    assert found["Said in"] == "Fig. 1"
    assert found["Setting"] == "512 px"
    assert found["The paper"] == "3.5 <small>(read in the document)</small>"
    assert found["Measure"] == "two losses"
    assert found["Holds if"] == "<i>low</i> · 2 ≤ <i>high</i>, in every one of 3 seeds"
    assert found["Refuted by"] == "one seed in which it rises"
    assert found["Few cases"] == "time is short"
    assert found["Found"] == "3 [2, 4] · 3 of 3 cases <small>(<i>high</i> − <i>low</i>)</small>"
    assert found["Here, on a laptop"] == "low 2 ± 1, high 5 ± 2 (3 seeds)"
    assert found["Again"] == "<code>make verify CLAIM=a.holds</code>"
    assert found["Why"] == "grain remains"
    assert found["Rule"] == f"written before the run, <code>{ledger.rows['a.holds'].digest}</code>"
    assert re.fullmatch(
        r"stored run · laptop profile · .* · seed 0 · 0\.0 min · "
        r'<a href="\.\./notebooks/04_choices\.html#claim-a-holds">its live cell</a>',
        found["From"],
    )
    assert text.startswith('<section class="claim same-ordering" id="claim-a-holds"><details><summary>')
    assert '<span class="verdict">same ordering</span> <span class="said">It falls.</span>' in text
    assert '<span class="effect">3 [2, 4] · 3 of 3 cases</span>' in text
    assert not {"Changed in", "Changes the rule of"} & set(found), "nothing is said where there is nothing"
    assert Elements(text).open == []


def test_without_a_live_run_the_row_leads_to_the_chapter(ledger):
    ledger.rows["a.holds"] = ledger.claim(quick=None)
    ledger.store((1, 2, 3), (4, 4, 4))
    assert '<a href="../notebooks/04_choices.html">its chapter</a>' in facts(row(ledger))["From"]


def test_a_row_has_both_values_and_the_larger_runs_verdict(ledger):
    ledger.store((9, 9, 9), (4, 4, 4))
    assert ">not reproduced</span>" in row(ledger)
    ledger.store((1, 2, 3), (4, 4, 4), profile="paper")
    text = row(ledger)
    assert ">reproduced</span>" in text
    found = facts(text)
    assert list(found).index("Here, at the paper's scale") < list(found).index("Here, on a laptop")
    assert found["Here, at the paper's scale"].startswith("low 2 ± 1")
    assert found["Here, on a laptop"].startswith("low 9 ± 0")
    assert re.search(r"paper profile .*<br>.*laptop profile", found["From"])


def test_a_stale_row_names_both_rules_and_no_effect(ledger):
    ledger.store((1, 2, 3), (4, 4, 4))
    before = ledger.rows["a.holds"].digest
    ledger.rows["a.holds"] = ledger.claim(holds="`low` < `other`")
    text, after = row(ledger), ledger.rows["a.holds"].digest
    assert 'class="claim stale"' in text
    assert facts(text)["Rule"] == (
        f"written before the run, <code>{after}</code>; the run was made under <code>{before}</code>"
    )
    assert "Found" not in facts(text)
    assert facts(text)["Here, on a laptop"].startswith("low 2 ± 1")


def test_a_changed_rule_leads_to_the_old_one_and_back(ledger):
    ledger.rows["a.better"] = ledger.claim("a.better", holds="`low` <= `high`", replaces="a.holds")
    with records.run("04_x", profile="laptop", seed=0) as run:
        for name in ("a.holds", "a.better"):
            run.claim(name, {"low": (1, 4, 3), "high": (4, 4, 4)})
    link = '<a href="#claim-{}"><code>{}</code></a>'
    assert facts(row(ledger))["Changed in"] == link.format("a-better", "a.better")
    assert facts(row(ledger, "a.better"))["Changes the rule of"] == link.format("a-holds", "a.holds")
    assert "claim not-reproduced" in row(ledger)
    assert "claim same-ordering" in row(ledger, "a.better")


@pytest.mark.parametrize("kind", ["not_attempted", "not_measurable", "theorem"])
def test_a_row_that_nobody_measures_says_why(ledger, kind):
    ledger.rows["a.open"] = ledger.reason("a.open", kind, "no <time>")
    text = row(ledger, "a.open")
    assert list(facts(text)) == ["Claim", "Said in", "The paper", "Why"]
    assert facts(text)["Why"] == "no &lt;time&gt;"
    assert facts(text)["The paper"] == "an ordering <small>(as commonly cited, not re-read)</small>"
    assert f'class="claim {kind.replace("_", "-")}"' in text


def test_a_run_from_changed_code_is_marked_in_the_row_and_in_the_cost_box(ledger, monkeypatch):
    words = "from code with changes that no commit has"
    for commit, marked in (("1234567", False), ("1234567-dirty", True)):
        monkeypatch.setenv("COURSE_LIB_COMMIT", commit)
        ledger.store((1, 2, 3), (4, 4, 4))
        assert (words in facts(row(ledger))["From"]) == marked
        assert (words in book_ledger.cost("04_x")) == marked
    monkeypatch.setenv("COURSE_LIB_COMMIT", "1234567")
    ledger.store((1, 2, 3), (4, 4, 4), profile="paper")
    assert words not in facts(row(ledger))["From"], "the larger run decides, and its code was clean"
    assert words in book_ledger.cost("04_x"), "the box has both runs"


def test_the_pictures_of_a_measure_are_shown_small(ledger):
    ledger.rows["a.holds"] = ledger.claim(record="measured_x")
    ledger.store((1, 2, 3), (4, 4, 4), images={f'up to "{k}"': torch.rand(1, 3, 200, 160) for k in range(7)})
    elements = Elements(row(ledger)).found
    shown = [attributes for tag, attributes in elements if tag == "img"]
    assert [one["alt"] for one in shown] == [f'x: up to "{k}"' for k in range(ledger_rows.MOST)]
    assert all(max(int(one["width"]), int(one["height"])) == ledger_rows.THUMBNAIL for one in shown)
    ledger.rows["a.holds"] = ledger.claim()
    ledger.store((1, 2, 3), (4, 4, 4), images={"x": torch.rand(1, 3, 8, 8)})
    assert "<img" not in row(ledger), "a chapter's own runs are shown in the chapter"


def test_no_text_of_a_claim_becomes_an_element(ledger):
    evil = '</dd></dl><script>alert("1")</script><a href=\'x\' onclick="y">&amp;'
    fields = ("claim", "where", "value", "setting", "measure", "refuted", "few", "note")
    ledger.rows["a.holds"] = ledger.claim(
        **dict.fromkeys(fields, evil), holds="`<img src=x>` < `high`", effect="`<img src=x>`", cases="3 seeds"
    )
    with records.run("04_x", profile="laptop", seed=0) as run:
        run.claim("a.holds", {"<img src=x>": (1, 2, 3), "high": (4, 4, 4)})
        run.reduced = "<s>all</s>"
    text = row(ledger)
    elements = Elements(text)
    allowed = {"section", "details", "summary", "span", "dl", "dt", "dd", "code", "small", "i", "a", "br"}
    assert {tag for tag, _ in elements.found} <= allowed
    assert not [name for _, attributes in elements.found for name in attributes if name.startswith("on")]
    assert elements.open == []
    assert elements.words.count(evil) == len(fields)
    assert "<img src=x> < high" in elements.words
    assert "<img src=x> 2 ± 1" in elements.words
    assert "<s>all</s>" in elements.words


# --- badges
@pytest.fixture
def several(ledger):
    """Findings of four kinds."""
    ledger.rows |= {
        "a.fails": ledger.claim("a.fails", record="04_y", cases="1 seeds"),
        "a.open": ledger.reason("a.open"),
        "b.open": ledger.reason("b.open"),
        "b.sure": ledger.reason("b.sure", "theorem", "it follows"),
    }
    ledger.store((1, 2, 3), (4, 4, 4))
    ledger.store((2,), (1,), name="a.fails")
    return ledger


def test_badges_count_the_verdicts(several):
    found = claims.ledger()
    counted = re.findall(r'class="badge (\S+)" data-verdict="(\S+)"><b>(\d+)</b> ([a-z ]+)<', ledger_rows.badges(found))
    assert counted == [
        ("same-ordering", "same-ordering", "1", "same ordering"),
        ("theorem", "theorem", "1", "theorem"),
        ("not-reproduced", "not-reproduced", "1", "not reproduced"),
        ("not-attempted", "not-attempted", "2", "not attempted"),
    ]
    assert '<p class="ledger-sum" data-count="5"><b>5</b> claims: <span' in ledger_rows.summary(found)
    assert 'href="ledger.json"' in ledger_rows.summary(found)
    assert ledger_rows.badges([]) == ""
    assert ledger_rows.counts(found[2:4]).count("badge") == 1


# --- the page
def test_the_page_has_every_claim_once_under_its_document(several):
    several.rows["c.other"] = replace(several.reason("c.other"), paper="wang2019sketch")
    seen = []
    directive = book_ledger.Ledger.__new__(book_ledger.Ledger)
    env = SimpleNamespace(note_dependency=seen.append)
    directive.state = SimpleNamespace(document=SimpleNamespace(settings=SimpleNamespace(env=env)))
    top, *sections = directive.run()
    assert "<b>6</b> claims" in top.astext()
    assert [section["ids"] for section in sections] == [["ledger-gatys2016style"], ["ledger-wang2019sketch"]]
    assert sections[0].children[0].astext() == "Gatys, Ecker & Bethge 2016"
    text = "".join(section.children[1].astext() for section in sections)
    assert re.findall(r'<section class="claim [^"]*" id="claim-([^"]+)"', text) == [
        "a-holds", "a-fails", "a-open", "b-open", "b-sure", "c-other",
    ]  # fmt: skip
    assert str(claims.claims_file()) in seen


def test_the_ledger_for_machines_lies_beside_the_page(several, tmp_path):
    app = SimpleNamespace(outdir=tmp_path)
    book_ledger.write_json(app, None)
    assert not list(tmp_path.rglob("ledger.json")), "another builder than that of the pages"
    (tmp_path / "book").mkdir()
    book_ledger.write_json(app, ValueError())
    assert not list(tmp_path.rglob("ledger.json"))
    book_ledger.write_json(app, None)
    rows = json.loads((tmp_path / "book" / "ledger.json").read_text(encoding="utf-8"))
    assert [one["id"] for one in rows] == list(several.rows)


def test_the_filter_is_loaded_on_the_ledger_page_alone():
    added = []
    app = SimpleNamespace(add_js_file=lambda name, **_: added.append(name))
    for page in ("book/ledger", "book/intro", "notebooks/04_choices"):
        book_ledger.add_script(app, page, "page.html", {}, None)
    assert added == ["ledger.js"]
