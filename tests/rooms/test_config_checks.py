"""Invalid configurations are refused; the message names the field, the value and what is expected."""

import json
import math
from dataclasses import asdict, dataclass

import numpy as np
import pytest
import torch

from course_lib.config_checks import (
    check,
    check_kind,
    check_labels,
    check_same,
    check_shares,
    check_wholes,
    given,
)


@dataclass
class Config:
    steps: object = 10
    rate: object = 0.1
    weight: object = 0.0
    word: object = "a"


def refuse(**fields):
    check(
        Config(**fields),
        whole={"steps": 1},
        positive=("rate",),
        nonnegative=("weight",),
        choices={"word": ("a", "b", 3)},
    )


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"steps": 1},
        {"rate": 1},
        {"rate": 5e-324},
        {"rate": np.float32(0.5)},
        {"weight": 0},
        {"weight": 1e300},
        {"word": "b"},
        {"word": 3},
    ],
)
def test_valid_values_pass(fields):
    refuse(**fields)


@pytest.mark.parametrize("value", [0, -3, 2.5, True, "10", None, math.nan, math.inf])
def test_a_count_must_be_a_whole_number(value):
    with pytest.raises(ValueError, match="^steps must be a whole number of at least 1, got ") as caught:
        refuse(steps=value)
    assert str(caught.value).endswith(f"got {value!r}")


@pytest.mark.parametrize("value", [0, 0.0, -1e-9, math.inf, -math.inf, math.nan, "0.1", None, True, [1.0]])
def test_a_rate_must_be_finite_and_greater_than_0(value):
    with pytest.raises(ValueError, match="^rate must be a finite number greater than 0, got ") as caught:
        refuse(rate=value)
    assert str(caught.value).endswith(f"got {value!r}")


@pytest.mark.parametrize("value", [-1e-9, math.inf, -math.inf, math.nan, "0", None, False])
def test_a_weight_must_be_finite_and_at_least_0(value):
    with pytest.raises(ValueError, match="^weight must be a finite number of at least 0, got ") as caught:
        refuse(weight=value)
    assert str(caught.value).endswith(f"got {value!r}")


@pytest.mark.parametrize("value", ["c", "", None, 4, ["a"]])
def test_a_word_must_be_one_of_a_list(value):
    with pytest.raises(ValueError, match="^word must be one of 'a', 'b', 3, got ") as caught:
        refuse(word=value)
    assert str(caught.value).endswith(f"got {value!r}")


def test_fields_that_are_not_named_are_not_checked():
    check(Config(steps=-1, rate=math.nan, weight="x", word=None))


def test_two_configurations_must_agree_in_the_named_fields():
    check_same(Config(rate=1.0), Config(rate=2.0), ("steps", "word"))
    with pytest.raises(ValueError, match="^the model to start from has word='b', not 'a'$"):
        check_same(Config(word="b", steps=3), Config(), ("rate", "word", "steps"))


@dataclass(frozen=True)
class Frozen:
    steps: object = 10
    rate: object = 0.1
    layers: object = ("relu1_1",)
    word: object = "a"
    shares: object = (1.0, 1.0)
    sides: object = (128, 256)
    seed: object = 0
    device: object = "auto"
    precision: object = "auto"
    weights: object = None

    def __post_init__(self):
        check(self, whole={"steps": 1}, positive=("rate",), layers=("layers",), choices={"word": ("a", "b")})
        check_shares(self, "shares", 2, "styles")
        check_wholes(self, "sides", "sides in pixels")


def test_what_loses_nothing_is_converted():
    """A configuration is written to a model file as JSON, which knows no NumPy."""
    given = Frozen(
        np.int64(3), torch.tensor(0.5), ["relu1_1", "relu2_1"], np.str_("b"), [1, np.float32(2)], [8, np.int64(16)],
        np.uint8(7), torch.device("cpu"), torch.bfloat16,
    )  # fmt: skip
    plain = Frozen(3, 0.5, ("relu1_1", "relu2_1"), "b", (1, 2.0), (8, 16), 7, "cpu", "bfloat16")
    assert given == plain
    assert json.loads(json.dumps(asdict(given))) == json.loads(json.dumps(asdict(plain)))
    assert Frozen(steps=1e3).steps == 1000
    assert Frozen(device="cuda:1").device == "cuda:1"  # it may be there where the configuration is used


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"seed": 1.5}, "seed must be a whole number from 0 to 4294967295, got 1.5"),
        ({"seed": 2**45}, "seed must be a whole number from 0 to 4294967295, got 35184372088832"),
        ({"seed": None}, "seed must be"),
        ({"device": "gpu"}, "unknown device 'gpu'"),
        ({"device": None}, "unknown device None"),
        ({"device": -1}, "unknown device -1"),
        ({"precision": "half"}, "unknown precision 'half'"),
        ({"precision": None}, "unknown precision None"),
        ({"weights": 3}, "weights must be a name, a path or None, got 3"),
        ({"layers": "relu1_1"}, r"layers must be a tuple of names, got the text 'relu1_1'; write \('relu1_1',\)"),
        ({"layers": None}, "layers must be a tuple of names, got None"),
        ({"layers": ()}, "layers is empty"),
        ({"shares": 3}, "shares must be 2 numbers of at least 0 for the styles, not all 0; got 3"),
        ({"shares": (1.0, "1")}, "shares must be 2 numbers"),
        ({"shares": (0, 0)}, "shares must be 2 numbers"),
        ({"shares": None}, "shares must be 2 numbers"),
        ({"sides": (16, 8)}, r"sides must be a tuple of sides in pixels, from small to large, got \(16, 8\)"),
        ({"sides": 8}, "sides must be a tuple"),
        ({"sides": ()}, "sides must be a tuple"),
    ],
)
def test_fields_of_all_methods_are_checked_alike(fields, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        Frozen(**fields)


class Model:
    pass


def test_what_a_call_was_given():
    assert given(None, Frozen) == Frozen()
    config = Frozen(steps=3)
    assert given(config, Frozen, callback=print) is config
    for wrong in ({}, "quick", Config(), Frozen):
        with pytest.raises(TypeError, match=r"^config must be a test_config_checks\.Config\(\.\.\.\)|^config must be "):
            given(wrong, Frozen)
    with pytest.raises(TypeError, match="callback must be a function of one Progress, or None, got 3"):
        given(None, Frozen, callback=3)
    assert isinstance(check_kind("model", Model(), Model), Model)
    with pytest.raises(TypeError, match="model must be what .*load returns, got the text 'wave'; .*load reads a file"):
        check_kind("model", "wave", Model)
    with pytest.raises(TypeError, match=r"model must be what .* returns, got the class Model; write Model\(\)"):
        check_kind("model", Model, Model)


@pytest.mark.parametrize(
    "labels", [[0, 1, 1], (0, 1, 1), np.array([0, 1, 1]), torch.tensor([0, 1, 1]).int(), iter([0, 1, 1])]
)
def test_labels_may_come_as_any_whole_numbers(labels):
    classes = check_labels(labels, 3, 2)
    assert classes.dtype == torch.int64
    assert classes.tolist() == [0, 1, 1]


@pytest.mark.parametrize("one", [1, np.int64(1), torch.tensor(1), 1.0])
def test_one_label_is_that_of_all(one):
    assert check_labels(one, 3, 2).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "labels",
    ["a", ["a"] * 3, [None] * 3, [0.0, 1.0, 1.0], [True, False, True], [0, 1], [0, 1, 2], [-1, 0, 1], {}, 1.5, True],
)
def test_other_labels_are_refused(labels):
    with pytest.raises(ValueError, match="labels( must be a whole number|, whole numbers from 0 to 1, got )"):
        check_labels(labels, 3, 2)
