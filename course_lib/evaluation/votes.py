"""Votes on pairs of pictures, and the ranking that follows from them: the Bradley–Terry model.

A person sees two pictures at a time and picks one; a method is better the more often its pictures are picked. Bradley
& Terry (1952) give every method i a score s_i. With i on the left and j on the right,

    P(left) = σ(s_i − s_j + b),   σ(t) = 1 / (1 + exp(−t)).

Only differences of scores count, so they are shifted to the mean 0. A difference of 1 is a win in 73 of 100 votes. The
side bias b is what people add to the left picture merely because it is on the left: it is estimated with the scores, so
that it does not distort them. A tie counts as half a vote for each side. Davidson's model (1970) gives ties a parameter
of their own; half votes need none and lead to the same order in balanced studies.

The fit is a logistic regression with a dozen unknowns. Newton's method solves it in ten lines of torch, so the package
needs neither SciPy nor a library for choice models. Every interval comes from a bootstrap over the votes. It treats
votes as independent; votes of one person on one scene are not, so intervals of a real study should be somewhat wider.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics.functional.regression import kendall_rank_corrcoef

from course_lib import arguments
from course_lib.runtime import seeded_generator

CHOICES = {"left": 1.0, "tie": 0.5, "right": 0.0}  # choice → votes for the left side

_HEADER = re.compile(r"# votes: (?P<name>[^\t\n]+), version (?P<version>\d+)")
_SMALLEST_PRIOR = 0.01  # for bootstrap samples in which a method never lost
_INFINITE = 15.0  # a score this far from the others means that the likelihood has no maximum


class Vote(NamedTuple):
    """One comparison: the scene shown, the methods on the left and on the right, and the choice (`CHOICES`)."""

    scene: str
    left: str
    right: str
    choice: str


@dataclass(frozen=True)
class Ranking:
    """Scores with the ends of their 95 % intervals, best first.

    Attributes:
        names: of the methods.
        scores, low, high: in log odds, in the order of `names`; the scores have the mean 0.
        left_bias: b, with its interval: (value, low, high). 0 is no bias, positive favors the left.
        left_share: the fraction of votes for the left picture; a tie counts half.
        ties, votes: how many.
    """

    names: tuple[str, ...]
    scores: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    left_bias: tuple[float, float, float]
    left_share: float
    ties: int
    votes: int

    def chance(self, better: str, worse: str) -> float:
        """The model's probability that a picture of `better` is preferred to one of `worse`, without side bias."""
        score = dict(zip(self.names, self.scores, strict=True))
        for name in (better, worse):
            arguments.choice("method", name, self.names)
        return torch.tensor(score[better] - score[worse]).sigmoid().item()


def read_votes(text: str) -> list[Vote]:
    """Read the text that a study on a page exports.

    The first line is ``# votes: NAME, version 1``. Every other line is one vote: scene, left, right and choice,
    separated by tabs, where the choice is left, right or tie. Empty lines are skipped.

    Raises:
        ValueError: another header or version, or a line that is no vote; the message gives the number of the line.

    >>> read_votes("# votes: paintings, version 1\\ncat\\tgatys\\tadain\\tleft\\n")
    [Vote(scene='cat', left='gatys', right='adain', choice='left')]
    """
    if not isinstance(text, str):
        raise ValueError(f"expected the text of a study, got {type(text).__name__}")
    lines = [(number, line.rstrip("\r ")) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    header = _HEADER.fullmatch(lines[0][1].strip()) if lines else None
    if header is None:
        got = repr(lines[0][1][:60]) if lines else "an empty text"
        raise ValueError(f"line 1 must be '# votes: NAME, version 1', got {got}; copy the whole text of the study")
    if header["version"] != "1":
        raise ValueError(f"the votes have version {header['version']}, and this function reads version 1")
    return [_vote(line.split("\t"), f"line {number}") for number, line in lines[1:]]


def write_votes(votes: Sequence[Vote], name: str) -> str:
    """The text of votes, as `read_votes` reads it and as the study on a page exports it.

    Raises:
        ValueError: a field that is empty or contains a tab or a line break, an unknown choice, or no such name.

    >>> print(write_votes([Vote("cat", "gatys", "adain", "tie")], "paintings").replace("\\t", " "), end="")
    # votes: paintings, version 1
    cat gatys adain tie
    """
    header = f"# votes: {name}, version 1"
    if not isinstance(name, str) or not _HEADER.fullmatch(header):
        raise ValueError(f"the study's name must be one line without tabs, got {name!r}")
    checked = (_vote(vote, f"vote {k}") for k, vote in enumerate(votes, 1))
    return "\n".join([header, *("\t".join(vote) for vote in checked)]) + "\n"


def bradley_terry(votes: Sequence[Vote], *, prior: float = 0.0, samples: int = 300, seed: int = 0) -> Ranking:
    """Scores of the methods from votes on pairs, with the side bias and bootstrap intervals (Bradley & Terry 1952).

    The scores and the bias maximize the likelihood of the votes. Scores exist only if every method can be reached from
    every other along wins (Ford 1957): a method that never lost would get an infinite score.

    Args:
        votes: from `read_votes`; at least two methods.
        prior: 0, or the precision of a normal prior on scores and bias, which makes every score finite and pulls all of
            them toward 0. With 0.1, a method that won all of 20 votes ends 4.5 above its opponent. Its interval is then
            far too narrow: resampled votes contain no loss either.
        samples: of the bootstrap. A sample in which a method never lost is fitted with a prior of at least 0.01, so
            its score is large, not infinite.
        seed: of the bootstrap.

    Returns:
        The ranking. Intervals run from the 2.5th to the 97.5th percentile.

    Raises:
        ValueError: a malformed vote, fewer than two methods, groups of methods that were never compared with each
            other, or, without a prior, votes whose scores would be infinite.

    A beat B in two of three votes on the left, and in two of three on the right:

    >>> votes = [Vote("cat", "A", "B", choice) for choice in ("left", "left", "right")]
    >>> votes += [Vote("cat", "B", "A", choice) for choice in ("right", "right", "left")]
    >>> ranking = bradley_terry(votes, samples=20)
    >>> ranking.names, round(ranking.chance("A", "B"), 3), round(ranking.left_bias[0], 3)
    (('A', 'B'), 0.667, 0.0)
    """
    votes = [_vote(vote, f"vote {k}") for k, vote in enumerate(votes, 1)]
    prior, samples = arguments.nonnegative("prior", prior), arguments.whole("samples", samples, 1)
    generator = seeded_generator(arguments.seed(seed))
    names = sorted({name for vote in votes for name in (vote.left, vote.right)})
    _check_connected(votes, names, prior)
    design, wins = _table(votes, names)
    best = _fit(design, wins, prior)
    if prior == 0 and best.abs().max() > _INFINITE:
        raise ValueError("scores and sides together explain every vote, so they would be infinite; collect more votes "
                         "with sides swapped at random, or pass prior=0.1")  # fmt: skip
    drawn = []
    for _ in range(samples):
        rows = torch.randint(len(votes), (len(votes),), generator=generator)
        drawn.append(_fit(design[rows], wins[rows], max(prior, _SMALLEST_PRIOR)))
    low, high = torch.stack(drawn).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64), dim=0)
    order = best[:-1].argsort(descending=True).tolist()
    scores, lows, highs = (tuple(values[k].item() for k in order) for values in (best, low, high))
    return Ranking(
        names=tuple(names[k] for k in order),
        scores=scores, low=lows, high=highs,
        left_bias=(best[-1].item(), low[-1].item(), high[-1].item()),
        left_share=wins.mean().item(),
        ties=sum(vote.choice == "tie" for vote in votes),
        votes=len(votes),
    )  # fmt: skip


def simulate_votes(
    scores: Mapping[str, float], scenes: Sequence[str], *, each: int = 1, left_bias: float = 0.0, ties: float = 0.0,
    seed: int = 0,
) -> list[Vote]:  # fmt: skip
    """Votes drawn from a Bradley–Terry model with known scores: they test an analysis, and are no evidence of taste.

    Args:
        scores: method → s, in log odds.
        scenes: every pair of methods is shown once on each scene, on random sides,
        each: times this number.
        left_bias: b.
        ties: the probability that a vote is replaced by a tie.
        seed: of sides and votes.

    Raises:
        ValueError: fewer than two methods, no scene, or a number out of range.

    >>> len(simulate_votes({"A": 1.0, "B": 0.0, "C": -1.0}, ["cat", "dog"], each=5))  # 3 pairs × 2 × 5
    30
    """
    each, ties = arguments.whole("each", each, 1), arguments.fraction("ties", ties)
    if len(scores) < 2 or not scenes:
        raise ValueError(f"votes need two methods and a scene or more, got {len(scores)} and {len(scenes)}")
    generator = seeded_generator(arguments.seed(seed))
    names, votes = list(scores), []
    for scene in [*scenes] * each:
        for i, first in enumerate(names):
            for second in names[i + 1 :]:
                swap, choice, tie = torch.rand(3, generator=generator).tolist()
                left, right = (second, first) if swap < 0.5 else (first, second)
                wins = choice < torch.tensor(scores[left] - scores[right] + left_bias).sigmoid().item()
                votes.append(Vote(scene, left, right, "tie" if tie < ties else "left" if wins else "right"))
    return votes


def kendall_tau(a: Sequence[float], b: Sequence[float]) -> float:
    """Kendall's rank correlation τ_b of two lists of scores for the same methods (Kendall 1945).

    Of all pairs of methods, those that both lists order alike minus those that they order differently, divided by the
    number of pairs; pairs tied in one list enter the numerator as 0 and shorten the denominator.

    Args:
        a, b: scores, in the same order of methods. Where less is better, pass the negative.

    Returns:
        1 for the same order, −1 for the reverse, about 0 for unrelated ones. With six methods, even unrelated lists
        reach ±0.6 in 14 of 100 cases.

    Raises:
        ValueError: lists of different lengths, fewer than two methods, scores that are not finite, or a list in which
            all scores are equal.

    >>> round(kendall_tau([1, 2, 3, 4], [1, 2, 4, 3]), 4)  # five pairs alike, one not
    0.6667
    """
    first, second = (torch.as_tensor(list(scores), dtype=torch.float64) for scores in (a, b))
    if len(first) != len(second) or len(first) < 2:
        raise ValueError(f"expected two lists of scores for the same methods, got {len(first)} and {len(second)}")
    for scores in (first, second):
        if not scores.isfinite().all() or (scores == scores[0]).all():
            raise ValueError(f"a ranking needs finite scores that are not all equal, got {scores.tolist()}")
    tau = kendall_rank_corrcoef(first, second, variant="b")
    assert isinstance(tau, Tensor)
    return tau.item()


def _vote(fields: Sequence[str], where: str) -> Vote:
    if len(fields) != 4 or not all(isinstance(field, str) for field in fields):
        raise ValueError(f"{where}: expected scene, left, right and choice, separated by tabs, got {fields!r}")
    vote = Vote(*(field.strip(" ") for field in fields))
    if not all(vote) or any(c in field for field in vote for c in "\t\r\n"):
        raise ValueError(f"{where}: a field is empty, or contains a tab or a line break: {fields!r}")
    if vote.choice not in CHOICES:
        raise ValueError(f"{where}: the choice must be left, right or tie, got {vote.choice!r}")
    if vote.left == vote.right:
        raise ValueError(f"{where}: {vote.left!r} stands on both sides")
    return vote


def _check_connected(votes: Sequence[Vote], names: Sequence[str], prior: float) -> None:
    """Scores exist if every method is reachable from every other: along comparisons, without a prior along wins."""
    if len(names) < 2:
        raise ValueError(f"a ranking needs votes on at least two methods, got {len(votes)} votes on {len(names)}")
    beaten: dict[str, set[str]] = {name: set() for name in names}  # at least in part: a tie counts for both
    for vote in votes:
        if vote.choice != "right":
            beaten[vote.left].add(vote.right)
        if vote.choice != "left":
            beaten[vote.right].add(vote.left)
    compared = {name: beaten[name] | {other for other in names if name in beaten[other]} for name in names}
    apart = set(names) - _reachable(names[0], compared)
    if apart:
        raise ValueError(f"no vote compares {_listed(apart)} with {_listed({*names} - apart)}, so their scores have no "
                         "common scale; collect such votes, or rank each group alone")  # fmt: skip
    for name in names:
        below = _reachable(name, beaten)
        if prior == 0 and below != {*names}:
            raise ValueError(f"{_listed(below)} never won against {_listed({*names} - below)}, so the scores of the "
                             "two would be infinitely far apart; collect more votes, or pass prior=0.1")  # fmt: skip


def _reachable(start: str, arrows: Mapping[str, set[str]]) -> set[str]:
    seen, waiting = {start}, [start]
    while waiting:
        new = arrows[waiting.pop()] - seen
        seen |= new
        waiting += new
    return seen


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))


def _table(votes: Sequence[Vote], names: Sequence[str]) -> tuple[Tensor, Tensor]:
    """(V, M + 1): +1 for the method on the left, −1 for the right one, 1 for the bias; and (V,) votes for the left."""
    design = torch.zeros(len(votes), len(names) + 1, dtype=torch.float64)
    design[:, -1] = 1
    for k, vote in enumerate(votes):
        design[k, names.index(vote.left)], design[k, names.index(vote.right)] = 1, -1
    return design, torch.tensor([CHOICES[vote.choice] for vote in votes], dtype=torch.float64)


def _fit(design: Tensor, wins: Tensor, prior: float) -> Tensor:
    """(M + 1,) scores of mean 0, and the bias, by Newton's method with steps of at most 1."""
    theta = design.new_zeros(design.shape[1])
    level = torch.ones_like(theta)
    level[-1] = 0  # adding a constant to all scores changes nothing: its curvature is set to 1 instead of 0
    for _ in range(100):
        p = (design @ theta).sigmoid()
        slope = design.T @ (wins - p) - prior * theta
        curvature = design.T @ (design * (p * (1 - p))[:, None]) + torch.outer(level, level)
        curvature.diagonal().add_(prior + 1e-9)
        step = torch.linalg.solve(curvature, slope)
        theta = theta + step / step.abs().max().clamp_min(1)
        if step.abs().max() < 1e-9 or theta.abs().max() > 2 * _INFINITE:
            break
    theta[:-1] -= theta[:-1].mean()
    return theta
