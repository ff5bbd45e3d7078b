"""The project's own pictures, by name."""

from pathlib import Path

import pytest
from PIL import Image

from course_lib import paths
from course_lib.images import ImageError
from course_lib.samples import images_folder, ledger, sample_image, sample_names


def test_sample_image_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("COURSE_LIB_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    wave = sample_image("great_wave", size=64)
    assert max(wave.shape[2:]) == 64
    assert wave.std() > 0.05
    assert min(sample_image("great_wave", 64, side="short").shape[2:]) == 64


def test_sample_names_by_folder():
    assert "great_wave" in sample_names("style")
    assert "great_wave" not in sample_names("content")
    assert sample_names() == sorted(Path(row["file"]).stem for row in ledger())
    assert len(set(sample_names())) == len(sample_names())  # a name means one picture
    with pytest.raises(ImageError, match=r"no folder 'styles'.*content, excerpt, masks, photos, style, texture"):
        sample_names("styles")


@pytest.mark.parametrize("name", ["great wave", "Great_Wave", "great_wave.jpg", "style/great_wave", "graet_wave"])
def test_unknown_sample_names_similar_ones_and_lists_all(name):
    with pytest.raises(ImageError, match="Did you mean 'great_wave'") as caught:
        sample_image(name)
    assert all(sample in str(caught.value) for sample in sample_names())
    assert "\n  texture: brick, grass, gravel" in str(caught.value)


@pytest.mark.parametrize("inner", ["images", "."])
def test_pictures_from_the_environment(tmp_path, monkeypatch, inner):
    folder = tmp_path / inner
    (folder / "mine").mkdir(parents=True)
    Image.new("RGB", (2, 2), (255, 0, 0)).save(folder / "mine" / "red.png")
    (folder / "LEDGER.csv").write_text("file,title,licence\nmine/red.png,Red,CC0-1.0\n")
    monkeypatch.setenv("COURSE_LIB_DATA", str(tmp_path))
    assert images_folder().samefile(folder)
    assert sample_names() == ["red"]
    assert sample_image("red")[0, :, 0, 0].tolist() == [1, 0, 0]
    assert ledger() == [{"file": "mine/red.png", "title": "Red", "licence": "CC0-1.0"}]


@pytest.mark.parametrize("inside", ["course_lib/_data/images", "data/images"])
def test_pictures_beside_the_installed_package_or_in_the_repository(tmp_path, monkeypatch, inside):
    folder = tmp_path / inside
    folder.mkdir(parents=True)
    (folder / "LEDGER.csv").write_text("file,title,licence\n")
    monkeypatch.delenv("COURSE_LIB_DATA", raising=False)
    monkeypatch.setattr(paths, "_PACKAGE", tmp_path / "course_lib")
    assert images_folder().samefile(folder)


def test_pictures_not_found(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_LIB_DATA", str(tmp_path))
    with pytest.raises(ImageError, match=r"no LEDGER\.csv in .*COURSE_LIB_DATA"):
        sample_image("great_wave")
