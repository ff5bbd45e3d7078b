"""Where results go without -o, and what --format, --quality, --bits and --skip-existing make of them."""

import os
from pathlib import Path

import pytest
from PIL import Image

from course_lib.__main__ import main
from course_lib.cli.plans import plan
from course_lib.cli.result_names import Writing


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with pictures."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.bmp", "photos/a.jpg", "photos/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (16, 12), (40, 90, 200)).save(tmp_path / name)
    return tmp_path


def targets(words, output=None, **more):
    return [str(job.target) for job in plan(words, output, **more).jobs]


def test_without_o_the_name_says_what_was_done(here):
    assert targets(["photos/a.jpg"], what="great_wave") == ["a_great_wave.png"]  # here, not beside the photo
    assert targets(["eilean_donan"], what="great_wave") == ["eilean_donan_great_wave.png"]
    assert targets(["a.jpg"], what="a b/c:d") == ["a_a-b-c-d.png"]
    assert targets(["photos"], what="cartoon") == ["photos_cartoon/a.jpg", "photos_cartoon/c.png"]
    assert targets(["./photos/"], what="cartoon")[0] == "photos_cartoon/a.jpg"
    assert targets(["a.jpg", "b.bmp"], what="x4") == ["pictures_x4/a.jpg", "pictures_x4/b.bmp.png"]
    assert targets(["a.jpg"], what="weathers", endings=["_rain", "_dusk"]) == [
        "pictures_weathers/a_rain.jpg", "pictures_weathers/a_dusk.jpg",
    ]  # fmt: skip


def test_a_name_that_is_taken_gets_a_number(here):
    for name in ("a_wave.png", "a_wave_2.png"):
        (here / name).write_text("taken")
    assert targets(["a.jpg"], what="wave") == ["a_wave_3.png"]
    (here / "photos_wave").mkdir()
    assert targets(["photos"], what="wave")[0] == "photos_wave_2/a.jpg"
    writing = Writing(skip_existing=True)  # then the taken ones are meant
    assert targets(["a.jpg"], what="wave", writing=writing) == []
    assert targets(["photos"], what="wave", writing=writing)[0] == "photos_wave/a.jpg"


def test_a_format_for_all_results(here):
    webp = Writing(suffix=".webp")
    assert targets(["photos"], "out", writing=webp) == ["out/a.webp", "out/c.webp"]
    assert targets(["b.bmp"], "out/", writing=webp) == ["out/b.webp"]
    assert targets(["a.jpg"], what="wave", writing=webp) == ["a_wave.webp"]
    assert targets(["a.jpg"], "new", writing=webp) == ["new.webp"]
    assert targets(["a.jpg"], "new.webp", writing=webp) == ["new.webp"]
    assert targets(["a.jpg"], "new.jpeg", writing=Writing(suffix=".jpg")) == ["new.jpeg"]
    with pytest.raises(ValueError, match=r"-o names a file in .png, and --format says webp; leave one of the two out"):
        plan(["a.jpg"], "new.png", writing=webp)
    (here / "photos" / "a.png").write_bytes((here / "photos" / "c.png").read_bytes())
    with pytest.raises(ValueError, match="photos/a.jpg and photos/a.png would both become out/a.webp"):
        plan(["photos"], "out", writing=webp)


def test_bits_and_quality_need_a_format_that_has_them(here):
    deep = Writing(bits=16)
    assert targets(["a.jpg"], "new.tif", writing=deep) == ["new.tif"]
    with pytest.raises(ValueError, match="new.jpg: only PNG and TIFF hold 16 bits; add --format png"):
        plan(["a.jpg"], "new.jpg", writing=deep)
    with pytest.raises(ValueError, match="out/a.jpg: only PNG and TIFF hold 16 bits"):
        plan(["photos"], "out", writing=deep)
    assert len(targets(["photos"], "out", writing=Writing(".tif", bits=16))) == 2
    with pytest.raises(ValueError, match="--quality has no effect on .png, which loses nothing"):
        plan(["a.jpg"], "new.png", writing=Writing(quality=80))
    assert len(targets(["photos"], "out", writing=Writing(quality=80))) == 2  # one of them is a JPEG


def cartoon(*words):
    return main(["cartoon", *words])


def test_formats_bits_and_quality_reach_the_files(here, capsys):
    assert cartoon("a.jpg") == 0
    assert capsys.readouterr().out.startswith("a_cartoon.png: 16 × 12 px in ")
    assert cartoon("photos", "-o", "deep", "--format", "tif", "--bits", "16") == 0
    for name in ("a.tif", "c.tif"):
        with Image.open(here / "deep" / name) as pil:
            assert pil.tag_v2[258] == (16, 16, 16)
    Image.effect_noise((64, 64), 90).convert("RGB").save(here / "noise.png")
    for quality in ("20", "95"):
        assert cartoon("noise.png", "-o", f"{quality}.jpg", "--quality", quality) == 0
    assert (here / "20.jpg").stat().st_size < 0.7 * (here / "95.jpg").stat().st_size
    for words, message in (
        (["--quality", "101"], "--quality must be a whole number from 1 to 100, got 101"),
        (["--bits", "16", "-o", "x.webp"], "x.webp: only PNG and TIFF hold 16 bits"),
    ):
        capsys.readouterr()
        assert cartoon("a.jpg", *words) == 2
        assert message in capsys.readouterr().err


def test_a_folder_is_finished_later(here, capsys):
    assert cartoon("photos", "-o", "out") == 0
    before = (here / "out" / "c.png").stat()
    (here / "out" / "a.jpg").unlink()
    capsys.readouterr()
    assert cartoon("photos", "-o", "out", "--skip-existing") == 0
    assert capsys.readouterr().out == "out: 1 picture, 1 there already\n"
    assert (here / "out" / "c.png").stat() == before
    assert cartoon("photos", "-o", "out", "--skip-existing") == 0
    assert capsys.readouterr().out == "out: there already, 2 pictures\n"
    assert cartoon("a.jpg", "-o", "out/a.jpg", "--skip-existing") == 0
    assert sorted(os.listdir(here / "out")) == ["a.jpg", "c.png"]
    assert not Path("out/a.jpg.tmp").exists()
