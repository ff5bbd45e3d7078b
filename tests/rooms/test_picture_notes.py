"""Notes inside picture files: written and read back in every format, and absent where there is none."""

import json

import pytest
from PIL import Image

from course_lib import load_image, save_image
from course_lib.picture_notes import LONGEST, options_for, read_note

NOTE = json.dumps({"photo": "Süd.jpg", "weights": [2, 1]})


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.jpeg", "a.webp", "a.tif", "a.tiff"])
def test_a_note_comes_back_and_changes_no_pixel(tmp_path, picture, name, bits):
    if bits == 16 and not name.endswith(("png", "tif", "tiff")):
        pytest.skip("this format has 8 bits")
    image = picture(20, 30, 1)
    save_image(image, tmp_path / name, bits=bits, note=NOTE)
    save_image(image, tmp_path / f"plain{name}", bits=bits)
    assert json.loads(read_note(tmp_path / name))["photo"] == "Süd.jpg"
    assert read_note(tmp_path / f"plain{name}") is None
    assert load_image(tmp_path / name).equal(load_image(tmp_path / f"plain{name}"))


def test_files_without_a_note(tmp_path):
    Image.new("RGB", (3, 3)).save(tmp_path / "a.gif")
    (tmp_path / "b.png").write_text("no picture")
    Image.new("RGB", (3, 3)).save(tmp_path / "c.tif", description="a camera")
    assert [read_note(tmp_path / name) for name in ("a.gif", "b.png")] == [None, None]
    assert read_note(tmp_path / "c.tif") == "a camera"  # whoever reads a note looks at what it says


def test_what_a_note_cannot_be():
    with pytest.raises(ValueError, match="letters of ASCII, got 1 letters"):
        options_for("PNG", "ü")
    with pytest.raises(ValueError, match="at most 60,000 letters"):
        options_for("JPEG", "a" * (LONGEST + 1))
