"""Where the project's data lies."""

import pytest

from course_lib import paths
from course_lib.images import ImageError
from course_lib.samples import images_folder
from course_lib.teaching import claims, records
from course_lib.training import model_files
from course_lib.training.model_files import ModelError

PARTS = ("images", "models", "results", "claims.yml")


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
