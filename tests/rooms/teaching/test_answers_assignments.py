"""Answers to the graded cells of the assignments that no function of `checks` decides, or not alone.

Every case replaces one solution of a master. The VGG is a stand-in of a few means, and style transfer is a formula:
what is tested is the test.
"""

import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_lib import losses
from course_lib.methods import gatys
from course_lib.teaching import assignments, figures

FOLDER = Path(__file__).resolve().parents[3] / "notebooks" / "assignments" / "masters"
DEPTHS = {"relu1_1": 1, "relu2_1": 2, "relu3_1": 4, "relu4_1": 8}


class Means(nn.Module):
    """In place of the VGG: the deeper a layer, the larger the squares whose means it gives."""

    def __init__(self, arch, layers):
        super().__init__()
        self.layers = tuple(layers)
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, image):
        return {layer: self.weight * F.avg_pool2d(image, DEPTHS[layer]) for layer in self.layers}


def formula(photo, painting, config=None, **_):
    """In place of style transfer: the more style, the more of a gray; the terms add up as those of a run do."""
    weight, deep = config.style_weight, 0.1 if config.content_layers == ("relu1_1",) else 1.0
    share = (weight * deep / (1 + weight * deep)) * 0.9
    content, style = share / 10, (1 - share) / 50
    history = {"content/relu4_2": [1.0, content * config.content_weight]}
    history |= {f"style/relu{k}_1": [1.0, style * weight / 5] for k in range(1, 6)}
    history["total"] = [6.0, sum(values[-1] for values in history.values())]
    return SimpleNamespace(image=photo * (1 - share) + 0.5 * share, history=history)


def outcome(assignment, test, name, answer, monkeypatch):
    """What the test says ("" for full points) if the solution `name` is replaced by `answer`, code or an object."""
    master = assignments.read(FOLDER / f"{assignment}.ipynb")
    monkeypatch.setattr(gatys, "stylize", formula)
    names = {"__name__": "answers"}
    for cell in master["cells"]:
        mark = assignments.marks(cell).get("grade_id")
        if cell["cell_type"] != "code" or mark == "bootstrap" or (assignments.is_test(cell) and mark != test):
            continue
        if "figure" in mark or (mark == "pictures" and assignment == "03_repair"):
            continue
        code = assignments.source(cell)
        if mark == name and not isinstance(answer, str):
            names[name] = answer
            continue
        problem = None
        try:
            exec(compile(answer if mark == name else code, f"<{mark}>", "exec"), names)
        except Exception as error:
            problem = error
        assert problem is None or mark in (test, name, "runs"), f"{mark}: {problem!r}"
        if problem is not None:
            return f"{type(problem).__name__}: {problem}"
        if mark == "imports" and "VGGFeatures" in names:
            names["VGGFeatures"] = Means
        if mark == "imports" and assignment == "03_repair":
            photo = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
            names |= {"photo": photo, "LAYER": "relu2_1", "from_the_shelf": lambda: Means("vgg19", ["relu2_1"])}
        if mark == test:
            return ""
    raise AssertionError(f"there is no {test}")


# --- 2. likeness: each layer's own reconstruction, kept and measured
def likeness(body):
    return f"def likeness(layers):\n    found = {{}}\n    for layer in layers:\n{body}\n    return found"


def rebuilt(network="VGGFeatures('vgg19', [layer])", seen="photo", steps="NUM_STEPS", kept="pictures[layer] = picture",
            number="metrics.ssim(picture, photo)", start="noise"):  # fmt: skip
    lines = (
        f"network = {network}",
        f"target = network({seen})[layer].detach()",
        f"picture, _ = reconstruct(network, target, {start}, {steps})",
        kept,
        f"found[layer] = {number}",
    )
    return likeness("\n".join("        " + line for line in lines))


LIKENESS = ("02_reconstruction", "test_likeness", "likeness")
REBUILT = {
    "as asked": (rebuilt(), ""),
    "more steps": (rebuilt(steps="2 * NUM_STEPS"), ""),
    "NumPy's number": (rebuilt(number="__import__('numpy').float32(metrics.ssim(picture, photo))"), ""),
    "a tensor": (rebuilt(number="torch.tensor(metrics.ssim(picture, photo))"), ""),
    "pictures made anew": (rebuilt().replace("    found", "    global pictures\n    pictures = {}\n    found", 1), ""),
    "named arguments": (rebuilt(network="VGGFeatures(arch='vgg19', layers=(layer,))"), ""),
    "the picture cut again": (rebuilt(kept="pictures[layer] = picture.clamp(0, 1)"), ""),
    "numbers made up": (likeness("        found[layer] = 0.9 - 0.2 * LAYERS.index(layer)"), "is not kept in"),
    "made up, photo kept": (likeness("        pictures[layer] = photo\n"
        "        found[layer] = 0.9 - 0.2 * LAYERS.index(layer)"), "measured again"),
    "noise kept": (rebuilt(kept="pictures[layer] = noise"), "measured again"),
    "not kept": (rebuilt(kept="pass"), "is not kept in `pictures`"),
    "the target of the noise": (rebuilt(seen="noise"), "expected direction|should give back|the loss"),
    "no steps": (rebuilt(steps="1"), "expected direction|should give back"),
    "always one layer": (rebuilt(network="VGGFeatures('vgg19', ['relu1_1'])").replace(
        "[layer].detach", "['relu1_1'].detach"), "expected direction"),
    "compared with the noise": (rebuilt(number="metrics.ssim(picture, noise)"), "expected direction|should give back"),
    "one number": ("def likeness(layers):\n    return 0.5", "expected a dictionary, got float"),
    "the pictures": (rebuilt(number="picture"), "expected one number, got Tensor"),
    "a layer missing": (rebuilt().replace("in layers:", "in layers[:3]:"), "nothing was measured for relu4_1"),
    "likeness to itself": (rebuilt(number="metrics.ssim(picture, picture)"), "expected direction"),
}  # fmt: skip

# --- 3. features: the network's own, of the given picture
FEATURES = ("03_repair", "test_features", "features_of")
REPAIRED = {
    "called": (lambda n, p: n(p)["relu2_1"], ""),
    "forward": (lambda n, p: n.forward(p)["relu2_1"], ""),
    "without gradient": (torch.no_grad()(lambda n, p: n(p)["relu2_1"]), ""),
    "cut to its range": (lambda n, p: n(p.clamp(0, 1))["relu2_1"], ""),
    "one entry": (lambda n, p: n(p).get("relu2_1"), ""),
    "as code": ("def features_of(network, picture):\n    return network(picture)[LAYER]", ""),
    "normalized again": (lambda n, p: n((p - 0.5) / 0.2)["relu2_1"], "gets values from"),
    "all layers": (lambda n, p: n(p), "must be Tensor|not what the network gives|TypeError"),
    "twice as large": (lambda n, p: 2 * n(p)["relu2_1"], "not what the network gives"),
    "normalized features": (lambda n, p: F.normalize(n(p)["relu2_1"]), "not what the network gives"),
    "flat": (lambda n, p: n(p)["relu2_1"].flatten(2), "not what the network gives"),
    "of zeros": (lambda n, p: (n(p), n(0 * p)["relu2_1"])[1], "not what the network gives"),
    "the picture": (lambda n, p: (n(p), p)[1], "not what the network gives"),
    "nothing": (lambda n, p: n(p) and None, "TypeError|not what"),
    "not called": (lambda n, p: p, "was not called"),
    "half as bright": (lambda n, p: n(p / 2)["relu2_1"], "a different picture"),
    "255": (lambda n, p: n(255 * p)["relu2_1"], "gets values from"),
}

# --- 4. a transplant: all or nothing, and a copy
HEAD = "def transplant(source, target):\n    given, wanted = list(source.parameters()), list(target.parameters())\n"
REFUSE = "    if [p.shape for p in given] != [p.shape for p in wanted]:\n        raise ValueError('other shapes')\n"
COPY = "    with torch.no_grad():\n        for a, b in zip(given, wanted):\n            b.copy_(a)"
TRANSPLANT = ("04_transformer_net", "test_transplant", "transplant")
COPIED = {
    "shapes first": (HEAD + REFUSE + COPY, ""),
    "data": (HEAD + REFUSE + "    for a, b in zip(given, wanted):\n        b.data.copy_(a.data)", ""),
    "clones": (HEAD + REFUSE + "    for a, b in zip(given, wanted):\n        b.data = a.detach().clone()", ""),
    "as one vector": (HEAD + REFUSE + "    row = nn.utils.parameters_to_vector(given).detach().clone()\n"
        "    nn.utils.vector_to_parameters(row, wanted)", ""),
    "a state": (HEAD + REFUSE + "    names = [name for name, _ in target.named_parameters()]\n"
        "    target.load_state_dict(dict(zip(names, given)), strict=False)", ""),
    "a loop for the shapes": (HEAD + "    same = len(given) == len(wanted)\n    for a, b in zip(given, wanted):\n"
        "        same = same and a.shape == b.shape\n    if not same:\n        raise ValueError\n" + COPY, ""),
    "nothing is refused": (HEAD + COPY, "RuntimeError|was accepted"),
    "nothing is copied": (HEAD + REFUSE, "the same numbers and differ"),
    "refused too late": (HEAD + "    with torch.no_grad():\n        for a, b in zip(given, wanted):\n"
        "            if a.shape != b.shape:\n                raise ValueError\n            b.copy_(a)\n"
        "    if len(given) != len(wanted):\n        raise ValueError", "it changed weights"),
    "strict": (HEAD + COPY.replace("zip(given, wanted)", "zip(given, wanted, strict=True)"), "changed|RuntimeError"),
    "lengths alone": (HEAD + "    if len(given) != len(wanted):\n        raise ValueError\n" + COPY, "RuntimeError"),
    "shapes of the shorter one": (HEAD + "    if any(a.shape != b.shape for a, b in zip(given, wanted)):\n"
        "        raise ValueError\n" + COPY, "with fewer layers was accepted"),
    "counts of numbers": (HEAD + "    if sum(p.numel() for p in given) != sum(p.numel() for p in wanted):\n"
        "        raise ValueError\n" + COPY + "\n    raise ValueError", "ValueError"),
    "kernels alone": (HEAD + "    given, wanted = ([p for p in x if p.ndim == 4] for x in (given, wanted))\n"
        + REFUSE + COPY, "differ by|was accepted"),
    "shared": (HEAD + REFUSE + "    for a, b in zip(given, wanted):\n        b.data = a.data", "do they share memory"),
    "from behind": (HEAD + REFUSE + COPY.replace("(given, wanted)", "(given[::-1], wanted)"), "RuntimeError|differ"),
    "the other way": (HEAD + REFUSE + COPY.replace("b.copy_(a)", "a.copy_(b)"), "which of the two is written to"),
    "an assert": (HEAD + "    assert [p.shape for p in given] == [p.shape for p in wanted]\n" + COPY, "AssertionError"),
    "says so only": (HEAD + REFUSE.replace("raise ValueError", "return print") + COPY, "was accepted"),
}  # fmt: skip


# --- 5. the smallest number of halvings
def field(n):
    side = 1
    for kernel, stride in [(4, 1)] * 2 + [(4, 2)] * n:
        side = (side - 1) * stride + kernel
    return side


def smallest(side):
    return next(n for n in range(1, 99) if field(n) >= side)


HALVINGS = ("05_patchgan", "test_halvings", "halvings_for")
COUNTED = {
    "search": (smallest, ""),
    "NumPy": (lambda s: np.int64(smallest(s)), ""),
    "a formula": (lambda s: max(1, int(np.ceil(np.log2((s + 2) / 9)))), ""),
    "bisection": (lambda s: int(np.searchsorted([field(n) for n in range(1, 20)], s)) + 1, ""),
    "a list": (lambda s: [field(n) >= s for n in range(1, 20)].index(True) + 1, ""),
    "the task's own solution": ("def halvings_for(side):\n    n = 1\n    while receptive_field([(4, 2)] * n + [(4, 1)] "
        "* 2) < side:\n        n += 1\n    return n", ""),
    "always 3": (lambda s: 3, "71 need another layer"),
    "strictly larger": (lambda s: next(n for n in range(1, 99) if field(n) > s), "for 70 pixels it takes 3"),
    "from 0": (lambda s: next(n for n in range(99) if field(n) >= s), "for 1 pixels|for 16 pixels"),
    "rounded": (lambda s: max(1, round(np.log2((s + 2) / 9))), "71 need another|pixels you say"),
    "one too many": (lambda s: smallest(s) + 1, "for 70 pixels it takes 3"),
    "powers of two": (lambda s: int(np.ceil(np.log2(s / 8))), "for 70 pixels it takes 3"),
    "only up to 100": (lambda s: min(4, smallest(s)), "for 143 pixels"),
    "at least 2": (lambda s: max(2, smallest(s)), "for 1 pixels"),
    "half the field": (lambda s: next(n for n in range(1, 99) if field(n) >= 2 * s), "for 70 pixels it takes"),
    "the field": (field, "for 70 pixels it takes 3"),
    "nothing": (lambda s: None, "for 70 pixels it takes 3"),
}  # fmt: skip


# --- 6. measurements, and surprises
def by_weight(change="style_weight=weight", number="metrics.ssim(result.image, photo)", key="weight"):
    return (
        "def likeness_by_weight(weights):\n    found = {}\n    for weight in weights:\n"
        f"        result = gatys.stylize(photo, painting, replace(BASE, {change}))\n"
        f"        found[{key}] = {number}\n    return found"
    )


BY_WEIGHT = ("06_predict_then_run", "test_likeness_by_weight", "likeness_by_weight")
WEIGHED = {
    "a loop": (by_weight(), ""),
    "a whole number as key": (by_weight(key="int(weight)"), ""),
    "NumPy": (by_weight(number="__import__('numpy').float32(metrics.ssim(result.image, photo))"), ""),
    "the photo first": (by_weight(number="metrics.ssim(photo, result.image)"), ""),
    "a config of its own": (by_weight().replace("replace(BASE, style_weight=weight)",
        "gatys.Config(num_steps=15, start='content', style_weight=weight)"), ""),
    "a comprehension": ("def likeness_by_weight(weights):\n    return {w: metrics.ssim(gatys.stylize(photo, painting, "
        "replace(BASE, style_weight=w)).image, photo) for w in weights}", ""),
    "BASE again and again": (by_weight("num_steps=15"), "two weights gave one number"),
    "the weight to the content": (by_weight("content_weight=weight"), "two weights gave one number"),
    "a tenth of the weight": (by_weight("style_weight=weight / 10"), "measured again"),
    "likeness to the painting": (by_weight(number="metrics.ssim(result.image, painting)"), "of the same shape"),
    "the loss": (by_weight(number="result.history['total'][-1]"), "is not between|measured again"),
    "percent": (by_weight(number="100 * metrics.ssim(result.image, photo)"), "which unit did you use"),
    "text as keys": (by_weight(key="str(weight)"), "nothing was measured for 1.0"),
    "a list": ("def likeness_by_weight(weights):\n    return [0.9, 0.5, 0.1]", "expected a dictionary, got list"),
    "made up": ("def likeness_by_weight(weights):\n    return dict(zip(weights, (0.9, 0.8, 0.7)))", "measured again"),
    "the last one alone": (by_weight().replace("in weights:", "in weights[-1:]:"), "nothing was measured for 1.0"),
    "the pictures": (by_weight(number="result.image"), "expected one number, got Tensor"),
}  # fmt: skip

SURPRISES = ("06_predict_then_run", "test_surprises", "surprises")
SURPRISED = {
    "a list": (lambda p, f: [q for q, a in p.items() if q in f and f[q] != a], ""),
    "a loop over both": (lambda p, f: [q for q in p if f.get(q, p[q]) != p[q]], ""),
    "a tuple": (lambda p, f: tuple(q for q in p if q in f and p[q] != f[q]), ""),
    "a generator": (lambda p, f: (q for q in p if q in f and p[q] != f[q]), ""),
    "filter": (lambda p, f: filter(lambda q: q in f and f[q] != p[q], p), ""),
    "keys of a dictionary": (lambda p, f: {q: f[q] for q in p if q in f and p[q] != f[q]}.keys(), ""),
    "not measured counts": (lambda p, f: [q for q in p if p[q] != f.get(q)], "nobody measured"),
    "the right ones": (lambda p, f: [q for q in p if p[q] == f.get(q)], "only b differs"),
    "order of what was found": (lambda p, f: [q for q in f if q in p and f[q] != p[q]], "the order"),
    "sorted": (lambda p, f: sorted(q for q in p if q in f and p[q] != f[q]), "the order"),
    "the answers": (lambda p, f: [f[q] for q in p if q in f and p[q] != f[q]], "only b differs"),
    "a word": (lambda p, f: "".join(q for q in p if q in f and p[q] != f[q]), "the order"),
    "the first": (lambda p, f: [q for q in p if q in f and p[q] != f[q]][:1], "the order"),
    "how many": (lambda p, f: [sum(p[q] != f.get(q) for q in p)], "only b differs"),
    "always nothing": (lambda p, f: [], "only b differs"),
    "all": (lambda p, f: list(p), "only b differs"),
    "a key that is missing": (lambda p, f: [q for q in p if f[q] != p[q]], "KeyError"),
    "takes the answers out": (lambda p, f: [q for q in list(p) if q in f and p.pop(q) != f.pop(q)], "were changed"),
}


# --- 7. terms without weights, the unit, the figure
def swept(content="last['content/relu4_2'] / BASE.content_weight", style="style / weight", image="result.image",
          summed="name.startswith('style/')", step="-1"):  # fmt: skip
    return (
        "def sweep(weights):\n    found = {}\n    for weight in weights:\n"
        "        result = gatys.stylize(photo, painting, replace(BASE, style_weight=weight))\n"
        f"        last = {{name: values[{step}] for name, values in result.history.items()}}\n"
        f"        style = sum(value for name, value in last.items() if {summed})\n"
        f"        found[weight] = {{'image': {image}, 'content': {content}, 'style': {style}}}\n    return found"
    )


SWEEP = ("07_reproduce_a_figure", "test_sweep", "sweep")
TERMS = {
    "as asked": (swept(), ""),
    "the names": (swept(summed="name[:5] == 'style'"), ""),
    "tensors": (swept(content="torch_of(last['content/relu4_2'])").replace("def sweep", "import torch\n"
        "torch_of = torch.tensor\n\n\ndef sweep"), ""),
    "everything else": (swept(summed="name not in ('total', 'content/relu4_2')"), ""),
    "the rest of the total": (swept(style="(last['total'] - last['content/relu4_2']) / weight"), ""),
    "a copy of the picture": (swept(image="result.image.clone()"), ""),
    "weighted style": (swept(style="style"), "expected direction"),
    "divided twice": (swept(style="style / weight**2"), "not the run's total loss"),
    "content divided by the style weight": (swept(content="last['content/relu4_2'] / weight"), "expected direction"),
    "the mean of the style terms": (swept(style="style / weight / 5"), "not the run's total loss"),
    "one layer": (swept(summed="name == 'style/relu1_1'"), "not the run's total loss"),
    "the total": (swept(summed="name == 'total'"), "expected direction|not the run's total"),
    "the first step": (swept(step="0"), "expected direction"),
    "exchanged": (swept(content="style / weight", style="last['content/relu4_2']"), "expected direction"),
    "always the photograph": (swept(image="photo"), "two weights have the same picture"),
    "one size smaller": (swept(image="result.image[..., 1:]"), "photograph's shape"),
    "a number missing": (swept().replace("'style': style / weight", "'Style': style"), "KeyError: 'style'"),
    "both wrong, the sum right": (swept(content="0.9 * last['content/relu4_2'] / BASE.content_weight",
        style="(style + 0.1 * last['content/relu4_2']) / weight"), "your content term is 0.9 times"),
}  # fmt: skip


def ratio(weight, channels, positions):
    alpha, beta = losses.convert_weights(1.0, weight, losses.SIZE_INDEPENDENT, losses.GATYS, channels=channels,
                                         positions=positions)  # fmt: skip
    return alpha / beta


RATIO = ("07_reproduce_a_figure", "test_papers_ratio", "papers_ratio")
UNITS = {
    "converted": (ratio, ""),
    "by hand": (lambda w, c, p: 1 / (w * c * p), ""),
    "a tensor": (lambda w, c, p: torch.tensor(1 / (w * c * p)), ""),
    "NumPy": (lambda w, c, p: np.float64(1.0) / (w * c * p), ""),
    "in logarithms": (lambda w, c, p: float(np.exp(-np.log(w) - np.log(c) - np.log(p))), ""),
    "positional": (lambda style_weight, channels, positions: ratio(style_weight, channels, positions), ""),
    "upside down": (lambda w, c, p: w * c * p, "a tenth"),
    "our own ratio": (lambda w, c, p: 1 / w, "what does a larger picture do"),
    "channels forgotten": (lambda w, c, p: 1 / (w * p), "times what it should be"),
    "twice": (lambda w, c, p: 2 * ratio(w, c, p), "2 times what it should be"),
    "half": (lambda w, c, p: 0.5 * ratio(w, c, p), "0.5 times what it should be"),
    "positions squared": (lambda w, c, p: 1 / (w * c * p**2), "times what it should be"),
    "multiplied": (lambda w, c, p: c * p / w, "what does a larger picture do"),
    "channels and positions exchanged in a root": (lambda w, c, p: 1 / (w * c * p**0.5), "times what it should be"),
    "both weights": (lambda w, c, p: (1.0, w), "TypeError"),
    "five layers": (lambda w, c, p: ratio(w, c, p) / 5, "0.2 times what it should be"),
    "a constant": (lambda w, c, p: 1e-3, "a tenth"),
}


def tradeoff(style=1.0, lines=("content", "style"), x=True, **words):
    def draw(runs):
        made = {term: [run[term] / max(one[term] for one in runs.values()) for run in runs.values()] for term in lines}
        if style != 1.0:
            made["style"] = [style * value for value in made["style"]]
        places = {"x": [f"{weight:g}" for weight in runs]} if x else {}
        return figures.curves(made, **places, **{**TEXTS, **words})

    return draw


TEXTS = {
    "xlabel": "style weight",
    "ylabel": "term / its largest value",
    "caption": "Both terms after the same steps, each divided by its largest value: what one gains the other loses.",
    "alt": "Over the style weight from 1 to 1000, the content term rises throughout and the style term falls.",
}
TRADEOFF = ("07_reproduce_a_figure", "test_tradeoff", "tradeoff")
DRAWN = {
    "as asked": (tradeoff(), ""),
    "with dots": (tradeoff(marks=True), ""),
    "another order": (tradeoff(lines=("style", "content")), ""),
    "not logarithmic": (tradeoff(log=False), ""),
    "numbers as positions": (lambda runs: figures.curves({"content": [r["content"] for r in runs.values()],
        "style": [r["style"] for r in runs.values()]}, x=list(runs), **TEXTS), ""),
    "arrays": (lambda runs: figures.curves({t: np.array([r[t] for r in runs.values()]) for t in ("content", "style")},
        x=np.array(list(runs)), **TEXTS), ""),
    "its own name for the function": ("from course_lib.teaching.figures import curves\n\n\ndef tradeoff(runs):\n"
        "    return curves({t: [r[t] for r in runs.values()] for t in ('content', 'style')}, x=list(runs), "
        f"xlabel='style weight', ylabel='term', caption={TEXTS['caption']!r}, alt={TEXTS['alt']!r})", ""),
    "one line": (tradeoff(lines=("content",)), "the task asks for two lines, the figure has 1"),
    "one line twice": (lambda runs: figures.curves({k: [r["content"] for r in runs.values()] for k in "ab"},
        x=list(runs), **TEXTS), "one should rise"),
    "style upside down": (tradeoff(style=-1.0, log=False), "one should rise"),
    "no label below": (tradeoff(xlabel=""), "an axis does not say"),
    "no label beside": (tradeoff(ylabel=""), "an axis does not say"),
    "no weights": (tradeoff(x=False), "not given as the positions"),
    "the caption again": (tradeoff(alt=TEXTS["caption"]), "repeats the caption"),
    "a short text": (tradeoff(alt="two curves"), "only 2 words"),
    "a short caption": (tradeoff(caption="terms"), "caption is too short"),
    "no figure": (lambda runs: "a figure", "got str"),
    "a table": (lambda runs: figures.table([["1"]], header=["a"], caption=TEXTS["caption"]), "alternative text"),
    "the first run alone": (lambda runs: figures.curves({t: [runs[1.0][t]] for t in ("content", "style")}, x=[1],
        **TEXTS),
        "has 1 points for 2 runs"),
    "nothing": (lambda runs: None, "got NoneType"),
}  # fmt: skip

TASKS = [(LIKENESS, REBUILT), (FEATURES, REPAIRED), (TRANSPLANT, COPIED), (HALVINGS, COUNTED), (BY_WEIGHT, WEIGHED),
         (SURPRISES, SURPRISED), (SWEEP, TERMS), (RATIO, UNITS), (TRADEOFF, DRAWN)]  # fmt: skip
LONG = (LIKENESS, TRANSPLANT, TRADEOFF)  # of these, every third answer is always tested
CASES = [
    pytest.param(
        *task, answer, said, id=f"{task[1]}: {name}", marks=[pytest.mark.slow] if task in LONG and k % 3 else []
    )
    for task, table in TASKS
    for k, (name, (answer, said)) in enumerate(table.items())
]


@pytest.mark.parametrize(("assignment", "test", "name", "answer", "said"), CASES)
def test_an_answer_gets_what_it_deserves(assignment, test, name, answer, said, monkeypatch):
    message = outcome(assignment, test, name, answer, monkeypatch)
    assert message == "" if not said else re.search(said, message), message


def test_each_task_has_many_answers():
    for task, table in TASKS:
        counts = Counter(not said for _, said in table.values())
        assert counts[True] >= 6, task
        assert counts[False] >= 10, task
