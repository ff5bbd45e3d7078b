"""Answers to the tasks on experiments: a descent on pixels step by step, predictions, measurements, figures."""

from collections import OrderedDict
from functools import partial
from types import MappingProxyType

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from answers import enough, judge, parameters
from torch import nn

from course_lib.teaching import checks, figures


def squares(a, b):
    return (a - b).square().sum() / 2


def descend(network, target, start, steps, *, loss=squares, engine=torch.optim.Adam, rate=0.05, zero="before",
            clamp="data", note="before", copied=True, end="detach", learn=False, count=None, **settings):  # fmt: skip
    (layer,) = network.layers
    x = (start.clone() if copied else start).requires_grad_(True)
    if learn:
        network.requires_grad_(True)
    optimizer = engine([x, *(network.parameters() if learn else ())], lr=rate, **settings)
    values = []
    for _ in range(steps if count is None else count):
        if zero == "before":
            optimizer.zero_grad()
        value = loss(network(x)[layer], target)
        if zero == "middle":
            optimizer.zero_grad(set_to_none=False)
        value.backward()
        optimizer.step()
        if clamp == "data":
            x.data.clamp_(0, 1)
        elif clamp == "no_grad":
            with torch.no_grad():
                x.clamp_(0, 1)
        elif clamp == "copy":
            with torch.no_grad():
                x.copy_(x.clip(0, 1))
        if note == "after":
            with torch.no_grad():
                value = loss(network(x)[layer], target)
        values.append(value.item())
    if clamp == "end":
        x.data.clamp_(0, 1)
    return {"detach": x.detach, "data": lambda: x.data, "as it is": lambda: x}[end](), values


def with_closure(network, target, start, steps):
    """One call of the optimizer a step, which computes the loss itself, and a parameter in place of a tensor."""
    x, values = nn.Parameter(start.clone()), []
    optimizer = torch.optim.Adam([x], lr=0.05)

    def closure():
        optimizer.zero_grad()
        value = F.mse_loss(network(x)[network.layers[0]], target)
        value.backward()
        return value

    for _ in range(steps):
        values.append(optimizer.step(closure))
        with torch.no_grad():
            x.clamp_(0, 1)
    return x.detach().clone(), values


def by_hand(network, target, start, steps):
    """Adam written out (Kingma & Ba 2015, Algorithm 1), in float64 where it matters little."""
    x, m, v, values = start.clone(), 0, 0, []
    for t in range(1, steps + 1):
        x = x.detach().requires_grad_(True)
        value = squares(network.forward(image=x)[network.layers[0]], target)
        (g,) = torch.autograd.grad(value, x)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        x = (x - 0.05 * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)).clamp(0, 1)
        values.append(value.item())
    return x.detach(), np.array(values)


def looked_at_twice(network, target, start, steps):
    """Calls the network also for a look at the result; that is no step."""
    x, values = descend(network, target, start, steps)
    with torch.no_grad():
        network(x)
    return [x, torch.tensor(values)]


def clamped_before(network, target, start, steps):
    """The same pictures: clamped at the beginning of each step, and once more at the end."""
    x, values = start.clone().requires_grad_(), []
    optimizer = torch.optim.Adam([x], lr=0.05)
    for _ in range(steps):
        with torch.no_grad():
            x.clamp_(0, 1)
        value = squares(network(x)[network.layers[0]], target)
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
        values.append(value.detach())
    return x.detach().clamp(0, 1), values


def left_behind(network, target, start, steps):
    """The clamped picture is a new tensor, which the optimizer does not know."""
    x = start.clone().requires_grad_(True)
    optimizer, values = torch.optim.Adam([x], lr=0.05), []
    for _ in range(steps):
        optimizer.zero_grad()
        value = squares(network(x)[network.layers[0]], target)
        value.backward()
        optimizer.step()
        x = x.detach().clamp(0, 1).requires_grad_(True)
        values.append(value.item())
    return x.detach(), values


def anew(network, target, start, steps):
    x, values = start, []
    for _ in range(steps):
        x, value = descend(network, target, x, 1)
        values += value
    return x, values


def smoothed(a, b):
    return F.smooth_l1_loss(a, b, reduction="sum")


class Descent:
    def __call__(self, *inputs):
        return descend(*inputs, clamp="copy", end="data")


CHECK = checks.check_optimization
RATE = "begins with a step of 0.05"
OPTIMIZATION = [
    (CHECK, "as in the solution", descend, None),
    (CHECK, "no_grad", partial(descend, clamp="no_grad"), None),
    (CHECK, "an object", Descent(), None),
    (CHECK, "gradients set to zero later", partial(descend, zero="middle"), None),
    (CHECK, "a closure", with_closure, None),
    (CHECK, "Adam by hand", by_hand, None),
    (CHECK, "a list, and a look at the end", looked_at_twice, None),
    (CHECK, "mean", partial(descend, loss=F.mse_loss), None),
    (CHECK, "no half", partial(descend, loss=lambda a, b: (a - b).pow(2).sum()), None),
    (CHECK, "a tiny factor", partial(descend, loss=lambda a, b: 1e-4 * squares(a, b)), None),
    (CHECK, "the distance itself", partial(descend, loss=lambda a, b: (a - b).norm()), None),
    (CHECK, "float64", lambda n, t, s, k: descend(n, t, s.double(), k), None),
    (CHECK, "clamped before each pass", clamped_before, None),
    (CHECK, "foreach off", partial(descend, foreach=False), None),
    (CHECK, "no zeroing", partial(descend, zero="never"), "old gradients add up"),
    (CHECK, "clamped at the end", partial(descend, clamp="end"), "after each step, not just once"),
    (CHECK, "not clamped", partial(descend, clamp="never"), "after each step, not just once"),
    (CHECK, "with its gradient", partial(descend, end="as it is"), "still carries a gradient"),
    (CHECK, "loss after the step", partial(descend, note="after"), "picture after its step"),
    (CHECK, "SGD", partial(descend, engine=torch.optim.SGD), RATE),
    (CHECK, "SGD with momentum", partial(descend, engine=torch.optim.SGD, momentum=0.9, rate=1e-3), RATE),
    (CHECK, "RMSprop", partial(descend, engine=torch.optim.RMSprop), RATE),
    (CHECK, "NAdam", partial(descend, engine=torch.optim.NAdam), "differs from Adam's|" + RATE),
    (CHECK, "Adamax", partial(descend, engine=torch.optim.Adamax), "differs from Adam's"),
    (CHECK, "AdamW", partial(descend, engine=torch.optim.AdamW), "differs from Adam's"),
    (CHECK, "rate 0.01", partial(descend, rate=0.01), RATE),
    (CHECK, "rate 0.5", partial(descend, rate=0.5), RATE + "|the loss rises"),
    (CHECK, "other betas", partial(descend, betas=(0.5, 0.999)), "differs from Adam's"),
    (CHECK, "absolute differences", partial(descend, loss=lambda a, b: (a - b).abs().sum()), "differs from Adam's"),
    (CHECK, "smooth L1", partial(descend, loss=smoothed), "differs from Adam's|before each step"),
    (CHECK, "uphill", partial(descend, maximize=True), "the loss rises"),
    (CHECK, "a new optimizer in each step", anew, "starts over"),
    (CHECK, "left behind", left_behind, "does the gradient reach|saw 2 different|the loss"),
    (CHECK, "the start itself", partial(descend, copied=False), "start itself was changed"),
    (CHECK, "the network learns, too", partial(descend, learn=True), "the network has changed"),
    (CHECK, "one step more", lambda n, t, s, k: descend(n, t, s, k + 1), "20 losses, got 21"),
    (CHECK, "always 20 steps", partial(descend, count=20), "3 steps must give 3 losses|number of steps"),
    (CHECK, "no steps", lambda n, t, s, k: (s.clone(), [1.0] * k), "network was not called"),
    (CHECK, "the picture alone", lambda *a: descend(*a)[0], "picture and the list of losses, got Tensor"),
    (CHECK, "exchanged", lambda *a: descend(*a)[::-1], "must return a tensor, got list"),
    (CHECK, "the last loss", lambda *a: (lambda x, v: (x, v[-1]))(*descend(*a)), "list of losses, one number"),
    (CHECK, "from noise", lambda n, t, s, k: descend(n, t, torch.rand_like(s), k), "is not the start"),
    (CHECK, "losses made up", lambda *a: (descend(*a)[0], [2.0**-k for k in range(a[3])]), "before each step"),
    (CHECK, "the target", lambda n, t, s, k: (t, [1.0] * k), "must have the start's shape"),
]  # fmt: skip

OPTIONS = {"louder": ["more", "less"], "deeper": ["yes", "no"]}
RIGHT = {"louder": "more", "deeper": "no"}


def predictions(answer):
    return checks.check_predictions(answer, OPTIONS)


PREDICTIONS = [
    (predictions, "a function", lambda: RIGHT, None),
    (predictions, "a dictionary", RIGHT, None),
    (predictions, "another order", {"deeper": "yes", "louder": "less"}, None),
    (predictions, "more than asked", {**RIGHT, "wider": "who knows"}, None),
    (predictions, "an ordered dictionary", OrderedDict(RIGHT), None),
    (predictions, "read only", lambda: MappingProxyType(RIGHT), None),
    (predictions, "NumPy's text", {**RIGHT, "deeper": np.str_("no")}, None),
    (predictions, "one missing", {"louder": "more"}, "no prediction for deeper"),
    (predictions, "none", dict, "no prediction for louder, deeper"),
    (predictions, "None", {**RIGHT, "deeper": None}, "no prediction for deeper"),
    (predictions, "empty", {**RIGHT, "deeper": ""}, "'' is not one of the options"),
    (predictions, "in other words", {**RIGHT, "deeper": "never"}, "not one of the options 'yes', 'no'"),
    (predictions, "of another question", {**RIGHT, "deeper": "more"}, "not one of the options"),
    (predictions, "a part of a word", {**RIGHT, "louder": "o"}, "not one of the options"),
    (predictions, "all options", {**RIGHT, "deeper": ["yes", "no"]}, "not one of the options"),
    (predictions, "a number", {**RIGHT, "deeper": 1}, "not one of the options"),
    (predictions, "an array", {**RIGHT, "deeper": np.array(["yes", "no"])}, "not one of the options"),
    (predictions, "a list", lambda: ["more", "no"], "must be a dictionary, question → answer, got list"),
    (predictions, "pairs", lambda: [("louder", "more")], "must be a dictionary"),
    (predictions, "nothing", lambda: None, "must be a dictionary, question → answer, got NoneType"),
]


def measurements(answer):
    checks.check_measurements(answer, [1.0, "b"], low=-1, high=1, what="SSIM")


MEASUREMENTS = [
    (measurements, "numbers", {1.0: 0.5, "b": -0.25}, None),
    (measurements, "a function", lambda: {1.0: 0.5, "b": 1}, None),
    (measurements, "tensors", {1.0: torch.tensor(0.5), "b": torch.tensor([[0.5]])}, None),
    (measurements, "NumPy", {1.0: np.float32(0.5), "b": np.float64(0.25)}, None),
    (measurements, "arrays of one", {1.0: np.array([0.5]), "b": np.array(0.5)}, None),
    (measurements, "a whole number as key", {1: 0.5, "b": 0.5, "c": "more"}, None),
    (measurements, "with a gradient", {1.0: torch.tensor(0.5, requires_grad=True), "b": np.int64(1)}, None),
    (measurements, "missing", {1.0: 0.5}, "nothing was measured for b"),
    (measurements, "text as key", {"1.0": 0.5, "b": 0.5}, "nothing was measured for 1.0"),
    (measurements, "None", {1.0: None, "b": 0.5}, "for 1.0 expected one number, got NoneType"),
    (measurements, "text", {1.0: "0.5", "b": 0.5}, "expected one number, got str"),
    (measurements, "truth", {1.0: True, "b": 0.5}, "expected one number, got bool"),
    (measurements, "NumPy's truth", {1.0: np.bool_(True), "b": 0.5}, "expected one number, got bool"),
    (measurements, "two numbers", {1.0: torch.tensor([0.5, 0.5]), "b": 0.5}, "expected one number, got Tensor"),
    (measurements, "a list", {1.0: [0.5], "b": 0.5}, "expected one number, got list"),
    (measurements, "complex", {1.0: 0.5 + 0j, "b": 0.5}, "expected one number, got complex"),
    (measurements, "NaN", {1.0: float("nan"), "b": 0.5}, "not finite"),
    (measurements, "infinite", {1.0: torch.tensor(float("inf")), "b": 0.5}, "not finite"),
    (measurements, "percent", {1.0: 50, "b": 0.5}, "50 for 1.0 is not between -1 and 1; which unit"),
    (measurements, "pairs", [(1.0, 0.5)], "expected a dictionary, got list"),
]


def trend(answer):
    checks.check_trend(answer, "rises", "loss", slack=0.1)


TREND = [
    (trend, "a list", [1, 2, 3], None),
    (trend, "a tuple with noise", (1.0, 0.95, 3.0), None),
    (trend, "NumPy", np.array([1, 2]), None),
    (trend, "a tensor", torch.tensor([1.0, 2.0]), None),
    (trend, "tensors", [torch.tensor(1.0), torch.tensor([2.0])], None),
    (trend, "values of a dictionary", {1: 1.0, 2: 2.0}.values(), None),
    (trend, "falls", [3, 2, 1], "expected direction"),
    (trend, "a dip", [1, 3, 2, 4], "expected direction"),
    (trend, "constant", [1, 1, 1], "expected direction"),
    (trend, "back where it began", [1, 1.05, 1], "expected direction"),
    (trend, "one value", [1], "at least two numbers"),
    (trend, "none", [], "at least two numbers"),
    (trend, "NaN in the middle", [1, float("nan"), 3], "not finite"),
    (trend, "NaN at the end", [1, 2, float("nan")], "not finite"),
    (trend, "infinite", [1, 2, float("inf")], "not finite"),
    (trend, "text", ["1", "2"], "at least two numbers"),
    (trend, "None", [1, None, 3], "at least two numbers"),
]

FIGURE = partial(figures.curves, {"a": [1.0, 2.0]})
WORDS = "content rises and style falls over all four weights"
CAPTION = f"What one gains the other loses: {WORDS}"
CHECK = checks.check_figure
FIGURES = [
    (CHECK, "curves", lambda: FIGURE(caption=CAPTION, alt=WORDS), None),
    (CHECK, "the figure itself", FIGURE(caption=CAPTION, alt=WORDS), None),
    (CHECK, "other languages", lambda: FIGURE(caption="Was das eine gewinnt, verliert das andere: jedes geteilt",
        alt="Über vier Gewichten steigt der Inhalt, und der Stil fällt überall"), None),
    (CHECK, "numbers count", lambda: FIGURE(caption=CAPTION, alt="SSIM falls from 0.91 at weight 1 to 0.42"), None),
    (CHECK, "a table", lambda: figures.table([["1", "2"]], header=["a", "b"], caption=CAPTION), "alternative text"),
    (CHECK, "more than one line", lambda: FIGURE(caption=CAPTION, alt=WORDS.replace(" and", "\nand")), None),
    (CHECK, "a repeated word or two", lambda: FIGURE(caption=CAPTION, alt="the one rises, the other falls, the sum "
        "stays"), None),
    (CHECK, "two words", lambda: FIGURE(caption=CAPTION, alt="two curves"), "only 2 words"),
    (CHECK, "one word eight times", lambda: FIGURE(caption=CAPTION, alt="curve " * 8), "only 1 words"),
    (CHECK, "signs", lambda: FIGURE(caption=CAPTION, alt=". . . . . . . . ."), "only 0 words"),
    (CHECK, "no caption", lambda: FIGURE(caption="curves", alt=WORDS), "caption is too short"),
    (CHECK, "a caption of one word", lambda: FIGURE(caption="curve " * 9, alt=WORDS), "caption is too short"),
    (CHECK, "the caption again", lambda: FIGURE(caption=WORDS, alt=WORDS), "repeats the caption"),
    (CHECK, "the caption with a period", lambda: FIGURE(caption=WORDS, alt=WORDS.capitalize() + "."), "repeats"),
    (CHECK, "text", lambda: "a picture", "got str"),
    (CHECK, "nothing", lambda: None, "got NoneType"),
    (CHECK, "a list", lambda: [FIGURE(caption=CAPTION, alt=WORDS)], "got list"),
]  # fmt: skip
TABLE = [*OPTIMIZATION, *PREDICTIONS, *MEASUREMENTS, *TREND, *FIGURES]


@pytest.mark.parametrize(("check", "name", "answer", "said"), parameters(TABLE))
def test_an_answer_gets_what_it_deserves(check, name, answer, said, capsys):
    judge(check, answer, said, capsys)


def test_each_check_has_many_answers():
    assert enough(TABLE) == set()


def test_measurements_come_back_as_plain_numbers():
    values = {"a": np.float32(0.5), "b": torch.tensor(0.25), "c": np.array([1])}
    numbers = checks.check_measurements(values, ["a", "b", "c"], low=0, high=1, what="SSIM")
    assert numbers == {"a": 0.5, "b": 0.25, "c": 1.0}
    assert {type(number) for number in numbers.values()} == {float}
