"""Checks for exercises: right answers pass, wrong ones are told which property fails but not the answer."""

import inspect
import re

import pytest
import torch

from course_lib import losses
from course_lib.teaching import checks
from course_lib.teaching.checks import CheckFailed


def right_gram(features):
    f = features.reshape(features.shape[0], features.shape[1], -1)
    return torch.bmm(f, f.transpose(1, 2))


def right_content(f, p):
    return 0.5 * (f - p).pow(2).sum()


def right_style(f, a):
    n, m = f.shape[1], f[0, 0].numel()
    return (right_gram(f) - right_gram(a)).pow(2).sum() / (4 * n**2 * m**2)


def right_variation(x):
    return (x[..., 1:] - x[..., :-1]).pow(2).mean() + (x[..., 1:, :] - x[..., :-1, :]).pow(2).mean()


ANSWERS = {
    checks.check_gram_matrix: (right_gram, losses.gram_matrix),
    checks.check_content_loss: (right_content, lambda f, p: losses.content_loss(f, p, losses.GATYS)),
    checks.check_style_loss: (right_style, lambda f, a: losses.style_loss(f, losses.gram_matrix(a, mean=True))),
    checks.check_total_variation: (right_variation, losses.total_variation_loss),
}


@pytest.mark.parametrize("check", ANSWERS)
def test_right_answers_pass(check, capsys):
    for answer in ANSWERS[check]:
        check(answer)
        assert capsys.readouterr().out.startswith("✓ your ")


@pytest.mark.parametrize("check", ANSWERS)
def test_a_right_answer_is_not_refused_for_its_form(check):
    """Changing the inputs in place, returning float64, or returning a tensor with a gradient is not wrong."""
    answer = ANSWERS[check][0]
    check(lambda *inputs: answer(*(x.requires_grad_() for x in inputs)))
    check(lambda *inputs: answer(*(x.double() for x in inputs)))

    def careless(*inputs):
        value = answer(*inputs)
        for x in inputs:
            x.zero_()
        return value

    check(careless)


F_ = torch.Tensor.flatten
WRONG_GRAMS = {
    "missing transpose": (lambda f: F_(f, 2) @ F_(f, 2), "stopped with .* (2, 3, 4, 5)"),
    "transposed on the wrong side": (
        lambda f: F_(f, 2).mT @ F_(f, 2),
        "shape must be (N, C, C) = (2, 3, 3), got (2, 20, 20)",
    ),
    "divided by M": (lambda f: right_gram(f) / 20, "0.05 times what it should be; .* not divided by anything"),
    "divided by C·M": (lambda f: right_gram(f) / 60, "not divided by anything"),
    "summed over the batch": (lambda f: right_gram(f).sum(0), "shape must be .* got (3, 3)"),
    "batch summed and repeated": (
        lambda f: right_gram(f).sum(0, keepdim=True).expand(len(f), -1, -1),
        "needs its own matrix",
    ),
    "batch folded into channels": (lambda f: f.reshape(-1, 20) @ f.reshape(-1, 20).T, "shape must be .* got (6, 6)"),
    "view scrambles": (
        lambda f: torch.bmm(
            f.permute(0, 2, 3, 1).reshape(len(f), 3, -1), f.permute(0, 2, 3, 1).reshape(len(f), 3, -1).mT
        ),
        "",
    ),
    "positions averaged first": (
        lambda f: f.mean((2, 3))[:, :, None] * f.mean((2, 3))[:, None, :],
        "never active at the same position",
    ),
    "over rows only": (lambda f: f[..., 0] @ f[..., 0].mT, "shuffling the positions"),
    "off by one position": (lambda f: F_(f, 2) @ F_(f, 2).roll(1, 2).mT, "symmetric"),
    "features, not products": (
        lambda f: F_(f, 2).sum(2)[:, :, None] + F_(f, 2).sum(2)[:, None, :],
        "products of two features",
    ),
    "centered": (
        lambda f: torch.bmm(F_(f, 2) - F_(f, 2).mean(2, keepdim=True), (F_(f, 2) - F_(f, 2).mean(2, keepdim=True)).mT),
        "",
    ),
    "only the diagonal": (lambda f: torch.diag_embed(F_(f, 2).square().sum(2)), "off the diagonal"),
    "zeros": (lambda f: torch.zeros(len(f), 3, 3), "depend on F"),
    "negative": (lambda f: -right_gram(f), "sum of squares"),
    "not finite": (lambda f: right_gram(f) / 0, "not finite"),
    "a list": (lambda f: right_gram(f).tolist(), "must return a tensor, got list"),
    "nothing": (lambda f: None, "must return a tensor, got NoneType; .*return"),
}

WRONG_CONTENT = {
    "no half": (lambda f, p: (f - p).pow(2).sum(), "2 times what it should be"),
    "mean": (lambda f, p: (f - p).pow(2).mean() / 2, "times what it should be"),
    "not squared": (lambda f, p: (f - p).sum() / 2, "positive|exchanging"),
    "absolute": (lambda f, p: (f - p).abs().sum() / 2, "doubling"),
    "squared after the sum": (lambda f, p: (f - p).sum().pow(2) / 2, "cancel"),
    "not summed": (lambda f, p: (f - p).pow(2) / 2, "a single number, got shape (1, 3, 4, 5)"),
    "only f": (lambda f, p: f.pow(2).sum() / 2, "must be 0 when"),
    "constant": (lambda f, p: torch.tensor(0.0), "positive when they differ"),
}

WRONG_STYLE = {
    "features compared": (lambda f, a: (f - a).pow(2).sum(), "changes your loss, but not the style"),
    "no division": (lambda f, a: (right_gram(f) - right_gram(a)).pow(2).sum(), "times what it should be"),
    "M not squared": (lambda f, a: right_style(f, a) * 20, "20 times what it should be"),
    "N not squared": (lambda f, a: right_style(f, a) * 3, "3 times what it should be"),
    "no quarter": (lambda f, a: right_style(f, a) * 4, "4 times what it should be"),
    "divided twice": (lambda f, a: right_style(f, a) / 400, "0.0025 times what it should be"),
    "not summed": (lambda f, a: (right_gram(f) - right_gram(a)).pow(2), "a single number"),
}

WRONG_VARIATION = {
    "sum": (lambda x: right_variation(x) * 12, "stripes of 0 and 1 must give 1"),
    "one direction": (lambda x: (x[..., 1:] - x[..., :-1]).pow(2).mean(), "both directions"),
    "brightness": (lambda x: x.pow(2).mean(), "flat picture"),
    "absolute": (lambda x: x.diff(dim=2).abs().mean() + x.diff(dim=3).abs().mean(), "what it should be"),
    "wraps around": (
        lambda x: (x - x.roll(1, 3)).pow(2).mean() + (x - x.roll(1, 2)).pow(2).mean(),
        "what it should be",
    ),
}

CASES = [
    pytest.param(check, answer, pattern, id=f"{check.__name__}: {name}")
    for check, wrong in (
        (checks.check_gram_matrix, WRONG_GRAMS),
        (checks.check_content_loss, WRONG_CONTENT),
        (checks.check_style_loss, WRONG_STYLE),
        (checks.check_total_variation, WRONG_VARIATION),
    )
    for name, (answer, pattern) in wrong.items()
]


@pytest.mark.parametrize(("check", "answer", "pattern"), CASES)
def test_wrong_answers_are_told_which_property_fails(check, answer, pattern, capsys):
    with pytest.raises(CheckFailed) as caught:
        check(answer)
    message = str(caught.value)
    assert re.search(pattern.replace("(", r"\(").replace(")", r"\)"), message), message
    assert "✓" not in capsys.readouterr().out
    # no message contains code that would solve the exercise
    assert not re.search(r"@|bmm|einsum|matmul|\.mT|transpose\(|flatten\(|view\(|\.sum\(|\.mean\(|\*\* ?2", message)


@pytest.mark.parametrize("check", ANSWERS)
def test_an_empty_answer_is_reported_as_empty(check):
    def not_yet(*inputs):
        raise NotImplementedError

    with pytest.raises(CheckFailed, match="still empty"):
        check(not_yet)


def test_the_students_own_error_stays_visible():
    def broken(features):
        return features @ torch.zeros(7, 7)

    with pytest.raises(CheckFailed, match="stopped with RuntimeError") as caught:
        checks.check_gram_matrix(broken)
    assert isinstance(caught.value.__cause__, RuntimeError)

    def misspelled(features):
        return featuers  # noqa: F821

    with pytest.raises(NameError):  # for a misspelled name, Python's own message is best
        checks.check_gram_matrix(misspelled)


def test_no_check_prints_or_raises_code():
    source = inspect.getsource(checks)
    for text in re.findall(r'"([^"\n]{20,})"', source):
        assert not re.search(r"torch\.|\.transpose|@ f|bmm", text), text
