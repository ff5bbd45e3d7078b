"""Formulas: every one of the book becomes MathML that the book's own font can set."""

import json
import re
import unicodedata
from pathlib import Path
from xml.etree import ElementTree

import book_math
import pytest

from scripts.fonts import KEPT

ROOT = Path(__file__).resolve().parents[2]


def written() -> list[tuple[str, bool]]:
    """Every formula between dollars in pages and notebooks; whether it stands on a line of its own."""
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "book").glob("**/*.md")]
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts += ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    found = []
    for text in texts:
        text = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
        found += [(tex, True) for tex in re.findall(r"\$\$(.+?)\$\$", text, re.DOTALL)]
        inline = re.sub(r"\$\$.+?\$\$", "", text, flags=re.DOTALL)
        found += [(tex, False) for tex in re.findall(r"(?<![\\$])\$([^\s$](?:[^$\n]*[^\s$])?)\$(?!\d)", inline)]
    return found


def test_every_formula_of_the_book_can_be_read_and_set() -> None:
    formulas = written()
    assert len(formulas) > 200
    for tex, display in formulas:
        tree = ElementTree.fromstring(book_math.formula(tex, display=display))
        assert tree.get("display", "inline") == ("block" if display else "inline")
        signs = {ord(sign) for text in tree.itertext() for sign in text}
        lost = {f"U+{sign:04X}" for sign in signs if not any(first <= sign <= last for first, last in KEPT)}
        assert not lost, f"{tex}: the font lacks {lost}; add them to KEPT in scripts/fonts.py and cut it again"


def test_lines_break_where_they_are_told_and_space_between_rows_is_not_printed() -> None:
    lines = book_math.formula(r"a &= b \\ c &= d", display=True)
    assert lines.count("<mtr>") == 2
    cases = book_math.formula(r"\begin{cases} 1 \\[1ex] 0 \end{cases}", display=True)
    assert "1ex" not in "".join(ElementTree.fromstring(cases).itertext()).replace(" ", "")
    numbered = book_math.formula(r"\begin{align}a&=b\\c&=d\end{align}", display=True)
    assert "(1)" not in numbered


def test_brackets_stretch_only_around_something_tall() -> None:
    small, tall = (book_math.formula(rf"\left({tex}\right)", display=True) for tex in ("a - b", r"\frac{a}{b}"))
    assert small.count('stretchy="false"') == 2
    assert "stretchy" not in tall


def test_a_formula_nobody_can_read_is_refused() -> None:
    with pytest.raises(book_math.LatexError, match="frobnicate"):
        book_math.formula(r"\frobnicate{x}", display=False)


def test_no_sign_above_a_letter_lacks_a_width() -> None:
    """Browsers put a combining sign beside the letter, not above it."""
    for tex, display in written():
        tree = ElementTree.fromstring(book_math.formula(tex, display=display))
        marks = [sign for text in tree.itertext() for sign in text if unicodedata.combining(sign)]
        assert not marks, f"{tex}: say in book_math.WIDE which sign stands for U+{ord(marks[0]):04X}"
    (arrow,) = ElementTree.fromstring(book_math.formula(r"\vec{x}", display=False)).iter("mo")
    assert arrow.text == "→"
    assert arrow.get("style") == "font-size:0.6em"


def test_what_a_paper_calls_an_equation_stands_beside_it() -> None:
    assert book_math.name_of(r"a = b \qquad\text{(Gatys et al. 2016, Eq. 1)}.") == (
        "a = b.",
        "(Gatys et al. 2016, Eq. 1)",
    )
    lines = r"\begin{aligned}a &= b\\&= c \qquad\text{(Eqs. 4 and 5)}\end{aligned}"
    tex, name = book_math.name_of(lines)
    assert name == "(Eqs. 4 and 5)"
    assert book_math.formula(tex, display=True).count("<mtr>") == 2
    for other in (r"a \qquad\text{so that}\qquad b", r"a \qquad\text{(if it holds)}", r"\text{(Eq. 1)} = a"):
        assert book_math.name_of(other) == (other, "")
    named = [name for tex, display in written() if display for name in [book_math.name_of(tex)[1]] if name]
    assert len(named) > 8
    assert not [tex for tex, display in written() if re.search(r"\\qquad\s*\\text\{\(Eq", book_math.name_of(tex)[0])]
