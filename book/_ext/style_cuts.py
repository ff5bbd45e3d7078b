"""Style sheets without the rules that no page needs: three quarters of the theme's are for things the book has not.

A rule goes only where every one of its selectors names a class that stands in no page and in no script, so that what a
script adds later keeps its looks. No setup(): book_light uses it.
"""

import re
from collections.abc import Iterator
from pathlib import Path

SHEETS = ("styles/bootstrap.css", "styles/pydata-sphinx-theme.css", "sphinx-design.min.css", "mystnb.*.css")
WORD = re.compile(r"[A-Za-z_][\w-]*")
CLASS = re.compile(r"\.(-?[A-Za-z_][\w-]*)")
NESTED = ("@media", "@supports", "@layer")
EITHER = (":is(", ":where(", ":has(", "\\")  # a class in it may be one of several; and escaped names


def words_of(folder: Path) -> set[str]:
    """All words of all pages and scripts in a folder: every name that a class could have."""
    found = {"bs-tooltip-"}  # Bootstrap's script writes it in two parts
    for file in [*folder.rglob("*.html"), *folder.rglob("*.js")]:
        found |= set(WORD.findall(file.read_text(encoding="utf-8", errors="ignore")))
    return found


def cut(sheet: str, words: set[str]) -> str:
    """A style sheet without the rules for classes that are not among `words`."""
    return "".join(_kept(re.sub(r"/\*.*?\*/", "", sheet, flags=re.DOTALL), words))


def _kept(sheet: str, words: set[str]) -> Iterator[str]:
    at = 0
    for start, end in blocks(sheet):
        before, _, head = sheet[at:start].rpartition(";")  # @import, @charset
        yield before + ";" if before else ""
        body, at = sheet[start + 1 : end], end + 1
        if head.strip().startswith(NESTED):
            inner = "".join(_kept(body, words))
            yield f"{head}{{{inner}}}" if inner.strip() else ""
        elif head.strip().startswith("@"):
            yield f"{head}{{{body}}}"
        else:
            needed = [one for one in selectors(head) if is_needed(one, words)]
            yield f"{','.join(needed)}{{{body}}}" if needed else ""
    yield sheet[at:]


def blocks(sheet: str) -> Iterator[tuple[int, int]]:
    """Where the outermost blocks of a sheet open and close; brackets in texts do not count."""
    depth = start = 0
    for found in re.finditer(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|[{}]', sheet, re.DOTALL):
        if found[0] == "{":
            start = start if depth else found.start()
            depth += 1
        elif found[0] == "}":
            depth -= 1
            if depth == 0:
                yield start, found.start()


def selectors(head: str) -> list[str]:
    """The selectors of a rule: split at the commas outside of all parentheses."""
    found, depth = [""], 0
    for sign in head:
        depth += (sign in "([") - (sign in ")]")
        if sign == "," and depth == 0:
            found.append("")
        else:
            found[-1] += sign
    return found


def is_needed(selector: str, words: set[str]) -> bool:
    """Whether all classes that a selector asks for may be on some page."""
    if any(sign in selector for sign in EITHER):
        return True
    names = CLASS.findall(re.sub(r":not\([^()]*\)|\[[^\]]*\]", "", selector))
    # a script may put a name together: "bs-tooltip-" and a word
    return all(name in words or not words.isdisjoint(beginnings(name)) for name in names)


def beginnings(name: str) -> list[str]:
    """``"bs-tooltip-end"`` → ``["bs-tooltip-"]``: the parts of a name that end in a hyphen, but for very short ones."""
    return [name[: found.end()] for found in re.finditer("-", name) if found.end() > 4 and found.end() < len(name)]


def cut_all(out: Path) -> None:
    """The theme's style sheets in `_static`, in place."""
    words = words_of(out)
    for pattern in SHEETS:
        for file in (out / "_static").glob(pattern):
            file.write_text(cut(file.read_text(encoding="utf-8"), words), encoding="utf-8")
