"""Where the project's data lies."""

import pytest

from course_lib import paths
from course_lib.images import ImageError
from course_lib.samples import images_folder, sample_image, sample_names
from course_lib.teaching import claims, records
from course_lib.training import model_files
from course_lib.training.model_files import ModelError

PARTS = ("images", "models", "results", "claims.yml")


@pytest.mark.parametrize(
    ("inside", "problem"), [("nowhere", "does not exist"), ("", "holds no such data"), ("file", "is a file")]
)
def test_a_wrong_place_in_the_environment_is_named(tmp_path, monkeypatch, inside, problem):
    """The advice to set the variable would be none: it is set."""
    (tmp_path / "file").touch()
    wrong = tmp_path / inside
    monkeypatch.setenv("COURSE_LIB_DATA", str(wrong))
    expected = rf"COURSE_LIB_DATA is set to {wrong}, which {problem}; unset it, or set it to the folder `data` of"
    claims.load.cache_clear()
    try:
        for function, error in (
            (images_folder, ImageError),
            (lambda: sample_image("cat"), ImageError),
            (lambda: sample_names(), ImageError),
            (model_files.models_folder, ModelError),
            (claims.load, claims.ClaimError),
        ):
            with pytest.raises(error, match=expected):
                function()
    finally:
        claims.load.cache_clear()
    monkeypatch.delenv("COURSE_LIB_DATA")
    assert "install course_lib again, or set COURSE_LIB_DATA" in paths.remedy()


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"name,title\ncat,Cat\n"])
def test_a_damaged_list_of_pictures_is_named(tmp_path, monkeypatch, content):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "LEDGER.csv").write_bytes(content)
    monkeypatch.setenv("COURSE_LIB_DATA", str(tmp_path))
    with pytest.raises(ImageError, match=r"LEDGER\.csv (cannot be read|is not the list of this project's pictures)"):
        sample_image("cat")


@pytest.mark.parametrize("part", PARTS)
def test_an_installed_package_comes_before_the_repository(tmp_path, monkeypatch, part):
    monkeypatch.delenv("COURSE_LIB_DATA", raising=False)
    monkeypatch.setattr(paths, "_PACKAGE", tmp_path / "course_lib")
    installed, repository = tmp_path / "course_lib" / "_data" / part, tmp_path / "data" / part
    assert paths.data_path(part) == repository  # nothing is there: this is where it would be written
    repository.mkdir(parents=True)
    assert paths.data_path(part) == repository
    installed.mkdir(parents=True)
    assert paths.data_path(part) == installed


def test_the_environment_is_honored_by_pictures_models_records_and_claims(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_LIB_DATA", str(tmp_path))
    for name in ("images", "models", "results"):
        (tmp_path / name).mkdir()
    (tmp_path / "images" / "LEDGER.csv").touch()
    assert images_folder() == tmp_path / "images"
    assert model_files.models_folder() == tmp_path / "models"
    assert records.results_folder() == tmp_path / "results"
    assert claims.claims_file() == tmp_path / "claims.yml"


def test_data_that_is_not_there_ends_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_LIB_DATA", str(tmp_path))
    with pytest.raises(ImageError, match="COURSE_LIB_DATA"):
        images_folder()
    with pytest.raises(ModelError, match="were not found"):
        model_files.models_folder()
    claims.load.cache_clear()
    try:
        with pytest.raises(claims.ClaimError, match="COURSE_LIB_DATA"):
            claims.load()
    finally:
        claims.load.cache_clear()
