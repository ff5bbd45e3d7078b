"""The slides of a chapter: complete, offline, made by rules, and every picture as large as its slide allows."""

import json
import re
from html import unescape
from pathlib import Path

import pytest

from scripts import slides
from scripts.slide_deck import outline, page, parts, pictures, prose
from scripts.slide_deck.pictures import Figure, Picture

ROOT = Path(__file__).resolve().parents[2]
CHAPTER = ROOT / "notebooks" / "08_two_players.ipynb"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[parts.Slide], str]:
    file, _, _ = slides.write(CHAPTER, tmp_path_factory.mktemp("slides"))
    return outline.deck(CHAPTER), file.read_text(encoding="utf-8")


def sources() -> str:
    cells = json.loads(CHAPTER.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def test_a_deck_begins_with_the_claim_and_ends_with_summary_and_exercises(made):
    deck, _ = made
    assert deck[0].kind == "title"
    assert deck[0].title == "8. Two players"
    assert "Goodfellow et al., 2014" in deck[0].body
    assert "<img" in deck[0].body
    assert [slide.title for slide in deck if slide.kind == "closing"][-2:] == ["Exercises", "Exercises"]
    assert "Summary" in [slide.title for slide in deck if slide.kind == "closing"]


def test_every_section_formula_question_and_exercise_of_the_chapter_is_there(made):
    deck, html = made
    text = sources()
    shown = " ".join(prose.plain(slide.title) + " " + prose.plain(slide.section) for slide in deck)
    for heading in re.findall(r"^## (?:[\d.]+ )?(.*)", text, re.MULTILINE):
        assert prose.plain(prose.inline(heading)) in shown or heading == "Claims", heading  # they have their own slide
    formulas = len(re.findall(r"\$\$.+?\$\$", re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL), re.DOTALL))
    assert html.count('<div class="formula">') == formulas > 3
    assert sum(slide.kind == "questions" for slide in deck) == text.count("**Quick questions**")
    assert "same ordering" in next(slide.body for slide in deck if slide.title == "What became of the claims")
    exercises = " ".join(slide.body for slide in deck if slide.title == "Exercises")
    for number in re.findall(r"\*\*Exercise ([\d.]+)", text):
        assert f"<strong>{number}</strong>" in exercises


def test_the_notes_hold_what_the_slides_leave_out(made):
    deck, _ = made
    notes = " ".join(prose.plain(slide.notes) for slide in deck)
    for block in prose.blocks(sources()):
        if block.kind == "text" and not block.text.startswith("**Quick questions"):
            said = prose.plain(prose.page(block.text))[:60]
            assert said in notes, said


def test_a_deck_is_one_file_that_loads_nothing(made):
    _, html = made
    body = re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)
    for address in re.findall(r"""(?:src|href)=["']([^"']*)|url\(["']?([^"')]*)""", body):
        assert "".join(address).startswith(("data:", "https://doi", "https://arxiv", "https://")), address
    assert not re.search(r"<(?:link|iframe|img[^>]+src=.http)", body)
    assert "FONT" not in html
    assert len(html.encode()) < slides.LARGEST
    assert (page.HERE / "deck.js").stat().st_size <= 10_000


def test_every_key_that_the_help_lists_is_handled():
    script = (page.HERE / "deck.js").read_text(encoding="utf-8")
    for names in page.KEYS:
        for name in re.findall(r"\w+|[→↓←↑?]", names):
            real = {"→": "ArrowRight", "↓": "ArrowDown", "←": "ArrowLeft", "↑": "ArrowUp", "space": '" "'}.get(
                name, name
            )
            assert re.search(rf"(?<!\w){re.escape(real)}\"?:", script) or f'"{name}":' in script, name


def test_an_answer_is_a_step_of_its_question(made):
    deck, _ = made
    for slide in deck:
        if slide.kind == "questions":
            assert slide.body.count("<li>") == slide.body.count("class='step'") >= 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("One. Two.", "One. Two."),
        ("See Fig. 3 by Gatys et al. (2016), who have " + "many " * 12 + "words. Two.", None),
        ("**Label.** " + "A long sentence with " + "many " * 12 + "words. Another.", None),
        ("A clause; " + "and more " * 40 + ".", "A clause; and"),
    ],
)
def test_key_sentences(text, said):
    found = prose.key(text)
    if said is None:
        assert found.endswith("many words.")
        assert found.startswith(text[:8])
    else:
        assert found.startswith(said)


def test_a_long_sentence_ends_at_a_clause():
    found = prose.key("The loss falls for a long time, for many steps and for many more; " + "then " * 60 + "it stays.")
    assert found == "The loss falls for a long time, for many steps and for many more …"


def test_blocks_of_a_cell():
    text = "# A\n\nWords $$x^2$$ more.\n- one\n  two\n- three\n\n```python\na\n\nb\n```\n<details>\n\nc\n\n</details>"
    kinds = [block.kind for block in prose.blocks(text)]
    assert kinds == ["heading", "text", "formula", "text", "list", "code", "fold"]
    assert next(block for block in prose.blocks(text) if block.kind == "list").items == ["one two", "three"]


def figure(count: int, width: int, height: int, columns: int = 0) -> Figure:
    one = Picture("data:image/webp;base64,", "a", "", width, height)
    return Figure("sheet", (one,) * count, "", "caption", "", "alt", columns)


def test_pictures_are_as_large_as_the_box_and_never_more_than_enlarged():
    assert pictures.arranged(figure(3, 300, 200), 1168, 540)[0] == 3
    assert pictures.arranged(figure(4, 300, 200), 700, 540)[0] == 2
    assert pictures.arranged(figure(1, 100, 100), 1168, 540)[1] == pytest.approx(pictures.LARGEST, rel=1e-3)
    columns, scale = pictures.arranged(figure(6, 300, 200, columns=2), 1168, 540)
    assert columns == 2
    assert 3 * 200 * scale + 2 * pictures.GAP == pytest.approx(540, abs=1)  # its rows fill the height


def test_a_long_table_is_cut_and_says_so():
    rows = "".join(f"<tr><td>{k}</td><td>word</td></tr>" for k in range(14))
    html = f'<figure class="sheet table"><table><tbody>{rows}</tbody></table><figcaption>C</figcaption></figure>'
    found = pictures.read(html)
    assert found is not None
    assert found.table.count("<tr") == pictures.MOST_ROWS + 1
    assert "and 5 more rows" in found.table


def test_the_line_of_a_stored_run_stands_apart():
    html = (
        '<figure class="sheet" aria-label="words"><div class="cell" style="flex:0 1 calc(50.0000% - 0.3em)">'
        '<img src="data:image/webp;base64,AA" alt="a" width="30" height="20"><div class="title">left</div></div>'
        "<figcaption>Two pictures. (stored run · laptop profile · 3.9 min)</figcaption></figure>"
    )
    found = pictures.read(html)
    assert found is not None
    assert (found.caption, found.run) == ("Two pictures.", "stored run · laptop profile · 3.9 min")
    assert found.pictures[0].title == "left"


def test_an_unknown_chapter_is_refused(capsys):
    assert slides.main(["77"]) == 1
    assert "no chapter 77" in capsys.readouterr().err


@pytest.mark.slow
def test_the_slides_of_every_chapter_can_be_made():
    for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        deck = outline.deck(path)
        assert 15 <= len(deck) <= 70, path.name
        assert all(prose.plain(prose.inline(slide.title)) for slide in deck)
        assert all(unescape(slide.body).strip() for slide in deck)
