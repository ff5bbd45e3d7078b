"""A model file says which method it belongs to; the command line believes it."""

import pytest
import torch

from course_lib.cli.trained import METHODS, VERBS, load_for
from course_lib.training import model_files
from course_lib.training.model_files import ModelError


def written(tmp_path, kind, name="net"):
    path = tmp_path / f"{name}.safetensors"
    model_files.write(path, kind, torch.nn.Linear(2, 2), {"width": 3}, {"steps": 5})
    return path


@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.parametrize("verb", VERBS)
def test_a_kind_leads_to_the_one_method_that_has_the_verb(tmp_path, monkeypatch, kind, verb):
    path, method = written(tmp_path, kind), METHODS[kind]
    monkeypatch.setattr(method, "load", lambda path: ("loaded", path))
    if hasattr(method, verb):
        assert load_for(verb, path) == (method, ("loaded", path))
    else:
        with pytest.raises(ModelError, match=f"is an? {kind} model; it can [a-z]+, not {verb}"):
            load_for(verb, path)


def test_a_kind_of_the_future_is_named(tmp_path):
    with pytest.raises(ModelError, match="is a next_year model; this version can read only .*johnson"):
        load_for("translate", written(tmp_path, "next_year"))


def test_a_header_is_read_without_the_weights(tmp_path, monkeypatch):
    path = written(tmp_path, "johnson")
    monkeypatch.setattr(model_files, "load_file", lambda path: pytest.fail("the weights were read"))
    header = model_files.read_header(path)
    assert (header.kind, header.config, header.facts) == ("johnson", {"width": 3}, {"steps": 5})
