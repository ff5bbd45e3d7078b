"""What a caller passes for a number, a word or a path: converted if nothing is lost, otherwise one sentence."""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from course_lib import arguments
from course_lib.pretrained import catalog, mirror
from course_lib.teaching import records


@pytest.mark.parametrize(
    "value", [3, 3.0, np.int64(3), np.uint8(3), np.float32(3), np.array(3), torch.tensor(3), torch.tensor(3.0)]
)
def test_a_whole_number_may_come_as_any_type_of_number(value):
    number = arguments.whole("steps", value, 1)
    assert number == 3
    assert type(number) is int


@pytest.mark.parametrize(
    "value", [None, "3", 2.5, True, np.bool_(True), math.nan, math.inf, [3], np.array([3]), torch.ones(2), 0, -1, 9]
)
def test_anything_else_is_no_whole_number(value):
    with pytest.raises(ValueError, match="^steps must be a whole number from 1 to 8, got ") as caught:
        arguments.whole("steps", value, 1, 8)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [0.5, np.float64(0.5), np.float32(0.5), torch.tensor(0.5), Fraction(1, 2)])
@pytest.mark.parametrize("function", [arguments.positive, arguments.nonnegative, arguments.fraction])
def test_a_number_comes_out_as_a_float(function, value):
    number = function("rate", value)
    assert number == 0.5
    assert type(number) is float


@pytest.mark.parametrize("value", [None, "1", True, math.nan, math.inf, -1, [0.5], torch.ones(2), 1j])
@pytest.mark.parametrize("function", [arguments.positive, arguments.nonnegative, arguments.fraction])
def test_what_is_no_number_in_the_range_is_refused(function, value):
    with pytest.raises(ValueError, match="^rate must be "):
        function("rate", value)


def test_a_choice_comes_out_as_it_is_allowed():
    assert type(arguments.choice("factor", 4.0, (2, 4))) is int
    assert type(arguments.choice("factor", np.int64(4), (2, 4))) is int
    assert arguments.choice("mirror", 1, (False, True)) is True
    assert arguments.choice("pooling", np.str_("max"), ("average", "max")) == "max"
    for value in (None, True, 1.5, "4", [4], torch.ones(2)):
        with pytest.raises(ValueError, match="^patch must be one of 1, 16, got "):
            arguments.choice("patch", value, (1, 16))


def test_names_come_out_as_a_tuple():
    assert arguments.names("layers", ["relu1_1"]) == ("relu1_1",)
    for value in ("relu1_1", None, 3, [], [3], torch.ones(2), {}):
        with pytest.raises(ValueError, match="^layers "):
            arguments.names("layers", value)


def test_shares_come_out_as_a_tuple():
    for given in ([1, 3], (1, 3), np.array([1, 3]), torch.tensor([1, 3])):
        assert arguments.shares("weights", given, 2, "styles") == (1, 3)
    assert arguments.shares("weights", [0, 2.5, 0], None, "styles") == (0, 2.5, 0)


@pytest.mark.parametrize("value", [[1], [1, 2, 3], [0, 0], [1, -1], [1, math.inf], [1, "2"], [1, True], "12", 2, None])
def test_what_cannot_be_scaled_to_sum_to_one_is_refused(value):
    with pytest.raises(ValueError, match="weights must be 2 numbers of at least 0 for the styles, not all 0; got"):
        arguments.shares("weights", value, 2, "styles")


def test_a_seed_has_the_32_bits_that_the_generator_uses():
    """2**32 would draw the numbers of 0 again, so a larger seed is refused."""
    draw = [torch.rand(1, generator=torch.Generator().manual_seed(seed)) for seed in (0, 2**32)]
    assert torch.equal(*draw)
    assert arguments.seed(np.int64(7)) == 7
    assert arguments.seed(2**32 - 1) == 2**32 - 1
    for value in (2**32, 2**45, 2**64, -1, 1.5, "0", None, True):
        with pytest.raises(ValueError, match="^seed must be a whole number from 0 to 4294967295, got "):
            arguments.seed(value)


def test_shares_have_a_finite_sum():
    assert arguments.shares("weights", [1e308, 0], 2, "styles") == (1e308, 0)
    with pytest.raises(ValueError, match="weights are too large to add up; divide all of them by the largest"):
        arguments.shares("weights", [1e308, 1e308], 2, "styles")


def test_a_path_is_text_or_a_path():
    assert arguments.path("~/a") == Path.home() / "a"
    for value in (None, 3, b"a", "", ["a"]):
        with pytest.raises(ValueError, match="^expected the path of a model file, as str or Path, got "):
            arguments.path(value, "a model file")
    with pytest.raises(ValueError, match="contains a zero byte"):
        arguments.path("a\0.png")


def test_the_home_of_a_user_who_does_not_exist_stays_as_it_is(monkeypatch):
    """`Path.expanduser` raises a RuntimeError for it."""
    assert arguments.path("~no-such-user/a") == Path("~no-such-user/a")
    for name in ("COURSE_LIB_CACHE", "COURSE_LIB_RESULTS"):
        monkeypatch.setenv(name, "~no-such-user/a")
    assert catalog.cache_folder() == Path("~no-such-user/a")
    assert mirror.local_folder("~no-such-user/a") == Path("~no-such-user/a")
    assert records.folder_of("run", "quick") == Path("~no-such-user/a/run")
