"""Trained networks as files: there and back, and what a bad file, a bad place or a bad moment gets."""

import json
import math
import os
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from torch import nn

from course_lib.training import model_files
from course_lib.training.model_files import ModelError, read, read_header, rebuild, write


@dataclass(frozen=True)
class Config:
    """A method's configuration in small."""

    channels: int = 4
    layers: tuple[str, ...] = ("a", "b")
    weights: str | Path | None = None

    def __post_init__(self):
        if self.channels < 1:
            raise ValueError(f"channels must be a whole number of at least 1, got {self.channels}")


def build(config):
    return nn.Sequential(nn.Conv2d(3, config.channels, 3), nn.BatchNorm2d(config.channels))


def network(config=None, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = build(config or Config())
        net(torch.rand(2, 3, 8, 8))  # so that there are statistics
    return net.to(memory_format=torch.channels_last)


def written(path, net=None, config=None, kind="small", facts=None, **options):
    config = config or Config()
    write(path, kind, net or network(config), asdict(config), {"steps": 7} if facts is None else facts, **options)
    return path


# --- there and back ---


def test_what_was_written_is_read(tmp_path):
    net, config = network(Config(5), seed=3), Config(5, ("c",))
    path = written(tmp_path / "deep" / "er" / "net.safetensors", net, config, facts={"steps": 7, "loss": [1.5, 0.25]})
    file = read(path, "small")
    assert file.facts == {"steps": 7, "loss": [1.5, 0.25]}
    found, rebuilt = rebuild(file, Config, build, path)
    assert found == config  # tuples are tuples again
    assert not rebuilt.training
    assert rebuilt.state_dict().keys() == net.state_dict().keys()
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in rebuilt.state_dict().items())
    assert [file.name for file in path.parent.iterdir()] == ["net.safetensors"]


def test_a_path_in_a_configuration_comes_back_as_text(tmp_path):
    path = written(tmp_path / "net.safetensors", config=Config(weights=Path("some") / "vgg.pth"))
    assert rebuild(read(path, "small"), Config, build, path)[0].weights == str(Path("some") / "vgg.pth")


def test_fields_of_a_later_day_are_left_out(tmp_path):
    path = tmp_path / "net.safetensors"
    write(path, "small", network(), {"channels": 4, "unheard_of": 3}, {})
    assert rebuild(read(path, "small"), Config, build, path)[0] == Config()


def test_half_precision_is_half_the_size_and_hardly_an_error(tmp_path):
    """float16 keeps 11 bits: a weight moves by at most 2⁻¹¹ of itself; vectors and counters do not move at all."""
    config = Config(64)
    net = network(config)
    with torch.no_grad():
        net[1].running_var[0] = 1e6  # more than float16 can say
    sizes = {half: written(tmp_path / f"{half}", net, config, half=half).stat().st_size for half in (True, False)}
    assert sizes[False] - sizes[True] == pytest.approx(2 * 64 * 3 * 9, abs=64)  # the head names places and formats
    state = read(tmp_path / "True", "small").state
    assert {value.dtype for value in state.values()} == {torch.float32, torch.int64}
    for name, value in net.state_dict().items():
        if value.ndim < 2:
            assert torch.equal(state[name], value)
        else:
            assert not torch.equal(state[name], value)
            assert (state[name] - value).abs().max() <= 2**-11 * value.abs().max()
    picture = torch.rand(1, 3, 20, 20)
    rough = rebuild(read(tmp_path / "True", "small"), Config, build, "True")[1](picture)
    assert (rough - net.eval()(picture)).abs().max() < 0.5 / 255


# --- bad files ---


class Touch:
    """A pickle that would make a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    "damage",
    [
        lambda good, trap: b"",
        lambda good, trap: good[: len(good) // 2],
        lambda good, trap: good[:-1],
        lambda good, trap: good[:20],
        lambda good, trap: good[8:],
        lambda good, trap: b"not a model",
        lambda good, trap: b"\xff" * 1000,
        lambda good, trap: pickle.dumps(Touch(trap)),
    ],
    ids=["empty", "half", "one byte short", "head only", "no head", "a text", "a huge head", "a pickle that acts"],
)
def test_a_damaged_file_is_refused_and_stays(tmp_path, damage):
    path = written(tmp_path / "net.safetensors")
    content = damage(path.read_bytes(), tmp_path / "trap")
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"net\.safetensors is damaged or not a safetensors file \("):
        read(path, "small")
    assert path.read_bytes() == content
    assert [*tmp_path.iterdir()] == [path]


def test_no_file_is_told_from_a_bad_one(tmp_path):
    with pytest.raises(ModelError, match=r"there is no model file .*net\.safetensors"):
        read(tmp_path / "net.safetensors", "small")
    with pytest.raises(ModelError, match="there is no model file"):
        read(tmp_path, "small")


def test_a_model_of_another_method_is_named(tmp_path):
    path = written(tmp_path / "net.safetensors", kind="large")
    with pytest.raises(ModelError, match=r"net\.safetensors is a large model; a small model was expected"):
        read(path, "small")


@pytest.mark.parametrize("metadata", [None, {}, {"format": "pt"}])
def test_somebody_elses_weights_are_no_model(tmp_path, metadata):
    path = tmp_path / "vgg.safetensors"
    safetensors.torch.save_file({"weight": torch.zeros(2)}, path, metadata=metadata)
    with pytest.raises(ModelError, match="is not a model of this package"):
        read(path, "small")


@pytest.mark.parametrize(
    "about", [{}, {"config": "{}"}, {"config": "{", "facts": "{}"}, {"config": "5", "facts": "{}"}, {"facts": "[1]"}]
)
def test_an_unreadable_configuration_is_said_to_be_one(tmp_path, about):
    path = tmp_path / "net.safetensors"
    about = {"config": "{}", **about} if about.get("facts") == "[1]" else about
    safetensors.torch.save_file({"weight": torch.zeros(2)}, path, metadata={"kind": "small", **about})
    with pytest.raises(ModelError, match="has no readable configuration"):
        read(path, "small")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"channels": 0}, "the configuration in .* is not one of this method: channels must be .* got 0"),
        ({"channels": "four"}, "the configuration in .* is not one of this method"),
        ({"channels": 5}, r"the weights in .* do not fit its own configuration: .* has the shape .*, not "),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(tmp_path, config, message):
    path = tmp_path / "net.safetensors"
    write(path, "small", network(), config, {})
    with pytest.raises(ModelError, match=message):
        rebuild(read(path, "small"), Config, build, path)


def test_weights_that_are_missing_are_named(tmp_path):
    path = tmp_path / "net.safetensors"
    write(path, "small", network()[:1], asdict(Config()), {})
    with pytest.raises(ModelError, match=r"do not fit its own configuration: 1\..* is missing, and 4 more do not fit"):
        rebuild(read(path, "small"), Config, build, path)


# --- bad places and moments ---


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_model_and_no_rest(monkeypatch, tmp_path, moment):
    path = written(tmp_path / "net.safetensors")
    content = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, moment, full)
    message = r"could not be written \(No space left.*\); the model that was there is intact\. Make room in .*: 0\.0 MB"
    with pytest.raises(ModelError, match=message):
        written(path, network(seed=1))
    assert path.read_bytes() == content
    assert [*tmp_path.iterdir()] == [path]


def test_the_bytes_are_on_the_disk_before_the_name_is(monkeypatch, tmp_path):
    events, fsync, replace = [], os.fsync, os.replace

    def watch_fsync(number):
        events.append(os.fstat(number).st_size)
        fsync(number)

    def watch_replace(source, target):
        assert Path(source).parent == Path(target).parent
        events.append(Path(source).stat().st_size)
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watch_fsync)
    monkeypatch.setattr(os, "replace", watch_replace)
    size = written(tmp_path / "net.safetensors").stat().st_size
    assert events == [size, size]


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelError, match=r"cannot be written, because .*file is a file, not a folder"):
        written(tmp_path / "file" / "net.safetensors")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ModelError, match="is a folder; give the name of a file"):
        written(tmp_path / "folder")
    with pytest.raises(ModelError, match="has a name of 300 bytes, and 255 are allowed"):
        written(tmp_path / ("x" * 300))
    path = written(tmp_path / "guarded.safetensors")
    path.chmod(0o444)
    with pytest.raises(ModelError, match="is write-protected; choose another name, or make it writable"):
        written(path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "guarded.safetensors"]


def test_a_path_may_begin_in_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    written("~/net.safetensors")
    assert (tmp_path / "net.safetensors").exists()
    assert read("~/net.safetensors", "small").facts == {"steps": 7}
    assert model_files.model_path("~/net.safetensors") == tmp_path / "net.safetensors"


@pytest.mark.parametrize("name", [None, 5, ["net.safetensors"], ""])
def test_what_is_no_path_is_refused(name):
    for function in (model_files.model_path, read_header):
        with pytest.raises(ValueError, match="expected the path of a model file, as str or Path, got"):
            function(name)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is forbidden to this user")
def test_a_folder_that_may_not_be_written_is_told(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ModelError, match=r"cannot be written \(.*Permission"):
        written(tmp_path / "net.safetensors")


# --- those that come with the package ---


@pytest.fixture
def shelf(monkeypatch, tmp_path):
    """A data folder of our own with two models."""
    monkeypatch.setenv("COURSE_LIB_DATA", str(tmp_path))
    for name in ("wave", "mosaic"):
        written(tmp_path / "models" / f"{name}.safetensors")
    return tmp_path / "models"


def test_a_name_is_a_model_of_the_package_and_a_path_a_file(shelf, tmp_path):
    assert model_files.models_folder() == shelf
    assert model_files.model_path("wave") == shelf / "wave.safetensors"
    assert model_files.model_path("mine.safetensors") == Path("mine.safetensors")  # `read` says that it is not there
    other = tmp_path / "without a suffix"
    other.write_bytes(b"")
    assert model_files.model_path(other) == other


def test_an_unknown_name_lists_the_known_ones(shelf):
    with pytest.raises(ModelError, match="no file and no model is named waves; with the package come mosaic, wave"):
        model_files.model_path("waves")


def test_where_there_are_no_models_the_places_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_LIB_DATA", str(tmp_path))
    with pytest.raises(ModelError, match=r"the trained models were not found in .*models; COURSE_LIB_DATA is set to "):
        model_files.model_path("wave")


def test_the_facts_can_be_read_without_this_package(tmp_path):
    """Plain safetensors with three texts beside the weights."""
    path = written(tmp_path / "net.safetensors", facts={"loss": math.inf})
    with safe_open(path, framework="np") as file:
        about = file.metadata()
    assert about["kind"] == "small"
    assert json.loads(about["config"]) == {"channels": 4, "layers": ["a", "b"], "weights": None}
    assert about.keys() == {"kind", "config", "facts"}
