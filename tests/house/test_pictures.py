"""Every picture the project gives away is in the ledger, unchanged, and free to give; six excerpts are only shown."""

import csv
import hashlib
import re
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

FOLDER = Path(__file__).resolve().parents[2] / "data" / "images"
COLUMNS = ["file", "title", "called", "creator", "year", "licence", "source", "changes", "width", "height", "sha256"]


def rows():
    with open(FOLDER / "LEDGER.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_columns():
    assert all(list(row) == COLUMNS for row in rows())


def test_every_file_has_one_row_and_every_row_its_file():
    files = {p.relative_to(FOLDER).as_posix() for p in FOLDER.rglob("*") if p.is_file()} - {"LEDGER.csv"}
    listed = Counter(row["file"] for row in rows())
    assert files, "data/images is empty"
    assert sorted(files - set(listed)) == [], "files without a row in LEDGER.csv"
    assert sorted(set(listed) - files) == [], "rows of LEDGER.csv without a file"
    assert [file for file, count in listed.items() if count > 1] == [], "files with two rows"


def test_names_are_unique_across_folders():
    stems = Counter(Path(row["file"]).stem for row in rows())
    assert [stem for stem, count in stems.items() if count > 1] == []  # sample_image finds pictures by stem


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["file"])
def test_row_describes_its_file(row):
    data = (FOLDER / row["file"]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == row["sha256"]
    with Image.open(FOLDER / row["file"]) as pil:
        assert pil.size == (int(row["width"]), int(row["height"]))
    for column in ("title", "called", "creator", "licence", "source", "changes"):
        assert row[column].strip(), f"{row['file']}: {column} is empty"


def test_titles_can_be_printed_as_they_are():
    for row in rows():
        for column in ("title", "called"):
            assert row[column] == row[column].strip()
            assert not re.search(r"%[0-9A-F]{2}|_", row[column].replace("IMG_", "")), row[column]
        assert not re.search(r"\d{3}|\.", row["called"]), f"figures print {row['called']}"


def test_research_excerpts_are_few_small_and_marked():
    marked = [row for row in rows() if row["licence"] == "research excerpt, not for reuse"]
    assert marked == [row for row in rows() if row["file"].startswith("excerpt/")]
    assert len(marked) <= 6
    assert all(max(int(row["width"]), int(row["height"])) <= 256 for row in marked)
