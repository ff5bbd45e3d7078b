"""Rankings from votes: values derived by hand, recovery of known scores, and what a text must look like."""

import math
from itertools import permutations

import pytest
import torch

from course_lib.evaluation.votes import (
    Vote,
    bradley_terry,
    kendall_tau,
    read_votes,
    simulate_votes,
    write_votes,
)  # fmt: skip

TRUE = {"A": 1.0, "B": 0.4, "C": 0.0, "D": -0.2, "E": -0.4, "F": -0.8}  # the mean is 0
SCENES = [f"scene {k}" for k in range(8)]


def votes_of(*rows):
    return [Vote("cat", *row.split()) for row in rows]


# --- the scores ---


@pytest.mark.parametrize(("wins", "losses"), [(3, 1), (5, 4), (1, 6)])
def test_two_methods_by_hand(wins, losses):
    """The scores differ by log(wins / losses), if both sides are alike."""
    votes = votes_of(*["A B left", "B A right"] * wins, *["A B right", "B A left"] * losses)
    ranking = bradley_terry(votes, samples=5)
    scores = dict(zip(ranking.names, ranking.scores, strict=True))
    assert scores["A"] - scores["B"] == pytest.approx(math.log(wins / losses))
    assert sum(ranking.scores) == pytest.approx(0)
    assert ranking.chance("A", "B") == pytest.approx(wins / (wins + losses))
    assert ranking.left_bias[0] == pytest.approx(0, abs=1e-9)


def test_the_side_bias_by_hand():
    """Equal methods, and three of four votes for the left: b = log 3."""
    votes = votes_of(*["A B left", "B A left"] * 3, "A B right", "B A right")
    ranking = bradley_terry(votes, samples=5)
    assert ranking.left_bias[0] == pytest.approx(math.log(3))
    assert ranking.left_share == 0.75
    assert ranking.scores == pytest.approx((0, 0), abs=1e-9)


def test_a_side_bias_does_not_distort_scores():
    """A stands on the left twice as often. Both are equal, and the left wins three of four."""
    votes = votes_of(*["A B left"] * 6, *["A B right"] * 2, *["B A left"] * 3, "B A right")
    assert bradley_terry(votes, samples=5).scores == pytest.approx((0, 0), abs=1e-9)


def test_a_tie_is_half_a_vote_for_each():
    ties = votes_of("A B tie", "B A tie", "A B left", "B A right")
    halves = votes_of("A B left", "A B right", "B A left", "B A right", *["A B left", "B A right"] * 2)
    tied, split = bradley_terry(ties, samples=5), bradley_terry(halves, samples=5)
    assert tied.scores == pytest.approx(split.scores)
    assert (tied.ties, split.ties, tied.votes) == (2, 0, 4)


def test_three_methods_satisfy_the_likelihood_equations():
    """At the maximum, each method wins as many votes as the model expects (Bradley & Terry 1952)."""
    votes = simulate_votes({"A": 0.7, "B": 0.0, "C": -0.7}, SCENES, each=4, left_bias=0.4, ties=0.1, seed=2)
    ranking = bradley_terry(votes, samples=5)
    score, b = dict(zip(ranking.names, ranking.scores, strict=True)), ranking.left_bias[0]
    for name in "ABC":
        won = expected = 0.0
        for vote in votes:
            p = 1 / (1 + math.exp(score[vote.right] - score[vote.left] - b))
            left = {"left": 1, "tie": 0.5, "right": 0}[vote.choice]
            won += (left if vote.left == name else 1 - left) * (name in (vote.left, vote.right))
            expected += (p if vote.left == name else 1 - p) * (name in (vote.left, vote.right))
        assert won == pytest.approx(expected)


def test_known_scores_are_recovered_and_intervals_hold_them():
    """120 intervals from 20 simulated studies; the bootstrap should cover about 95 % of the true scores."""
    covered, errors = [], []
    for seed in range(20):
        votes = simulate_votes(TRUE, SCENES, each=3, left_bias=0.3, ties=0.0, seed=seed)
        ranking = bradley_terry(votes, samples=100)
        covered += [
            low <= TRUE[n] <= high for n, low, high in zip(ranking.names, ranking.low, ranking.high, strict=True)
        ]
        errors += [score - TRUE[n] for n, score in zip(ranking.names, ranking.scores, strict=True)]
    assert 0.88 <= sum(covered) / 120 <= 0.99
    assert abs(sum(errors) / 120) < 1e-9
    assert sum(error**2 for error in errors) / 120 < 0.25**2


def test_the_bootstrap_follows_its_seed():
    votes = simulate_votes({"A": 0.5, "B": 0.0}, SCENES, seed=1, each=3)
    assert bradley_terry(votes, samples=20, seed=4) == bradley_terry(votes, samples=20, seed=4)
    assert bradley_terry(votes, samples=20, seed=4).low != bradley_terry(votes, samples=20, seed=5).low


# --- votes without scores ---


def test_a_method_that_never_lost_has_no_score():
    votes = votes_of("A B left", "B A right", "B C left", "C B left", "A C left")
    with pytest.raises(ValueError, match=r"B, C never won against A.*prior=0\.1"):
        bradley_terry(votes)
    with_prior = bradley_terry(votes, prior=0.1, samples=5)
    assert with_prior.names[0] == "A"
    assert all(map(math.isfinite, with_prior.scores))


def test_a_cycle_of_wins_is_enough():
    ranking = bradley_terry(
        votes_of("A B left", "B A right", "B C left", "C B right", "C A left", "A C right"), samples=5
    )
    assert ranking.scores == pytest.approx((0, 0, 0), abs=1e-9)


def test_groups_that_were_never_compared():
    with pytest.raises(ValueError, match="no vote compares C, D with A, B"):
        bradley_terry(votes_of("A B left", "B A left", "C D left", "D C left"), prior=0.1)


def test_votes_that_the_side_decides():
    with pytest.raises(ValueError, match="scores and sides together"):
        bradley_terry(votes_of("A B left", "B A left"))


@pytest.mark.parametrize("votes", [[], [Vote("cat", "A", "A", "left")], votes_of("A B up"), [("cat", "A", "B")]])
def test_malformed_votes_are_refused(votes):
    with pytest.raises(ValueError, match=r"vote 1|at least two methods"):
        bradley_terry(votes)


def test_chance_needs_a_known_method():
    ranking = bradley_terry(votes_of("A B left", "A B right", "B A tie"), samples=5)
    with pytest.raises(ValueError, match="method must be one of"):
        ranking.chance("A", "Z")


# --- simulation ---


def test_every_pair_is_shown_on_every_scene():
    votes = simulate_votes(TRUE, SCENES, each=2, seed=3)
    assert len(votes) == 15 * 8 * 2
    counts = {(v.scene, *sorted((v.left, v.right))) for v in votes}
    assert len(counts) == 15 * 8
    lefts = sum(v.left < v.right for v in votes) / len(votes)
    assert 0.35 < lefts < 0.65  # sides are random


def test_simulated_frequencies_follow_the_model():
    """σ(1) = 0.731; with the bias 1 as well, the better method wins 0.881 on the left and 0.5 on the right."""
    votes = simulate_votes({"A": 1.0, "B": 0.0}, ["cat"], each=2000, left_bias=1.0, seed=0)
    on_left = [v.choice == "left" for v in votes if v.left == "A"]
    on_right = [v.choice == "right" for v in votes if v.right == "A"]
    assert sum(on_left) / len(on_left) == pytest.approx(1 / (1 + math.exp(-2)), abs=0.04)
    assert sum(on_right) / len(on_right) == pytest.approx(0.5, abs=0.05)
    assert all(v.choice == "tie" for v in simulate_votes({"A": 1.0, "B": 0.0}, ["cat"], each=9, ties=1))


@pytest.mark.parametrize("bad", [{"scores": {"A": 1.0}}, {"scenes": []}, {"each": 0}, {"ties": 1.5}])
def test_impossible_studies_are_refused(bad):
    with pytest.raises(ValueError, match=r"two methods and a scene|each|ties"):
        simulate_votes(**{"scores": {"A": 1.0, "B": 0.0}, "scenes": ["cat"], **bad})


# --- the text ---


def test_a_text_comes_back_as_it_was():
    votes = simulate_votes(TRUE, SCENES, ties=0.2, seed=5)
    assert read_votes(write_votes(votes, "six methods")) == votes


def test_line_ends_of_other_systems_and_empty_lines():
    text = "\n# votes: cats, version 1\r\ncat 1\tA\tB\ttie\r\n\n  \ncat 2\tB\tA\tright \n"
    assert read_votes(text) == [Vote("cat 1", "A", "B", "tie"), Vote("cat 2", "B", "A", "right")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "an empty text"),
        ("cat\tA\tB\tleft\n", "line 1 must be '# votes: NAME, version 1'"),
        ("# votes: cats, version 2\n", "version 2"),
        ("# votes: cats, version 1\n\ncat A B left\n", "line 3: expected scene"),
        ("# votes: cats, version 1\ncat\tA\tB\tleft\ncat\tA\tB\tup\n", "line 3: the choice must be left, right or tie"),
        ("# votes: cats, version 1\ncat\tA\tA\tleft\n", "line 2: 'A' stands on both sides"),
        ("# votes: cats, version 1\ncat\t\tA\tleft\n", "line 2: a field is empty"),
        (b"# votes", "got bytes"),
    ],
)
def test_unreadable_lines_are_refused_with_their_number(text, words):
    with pytest.raises(ValueError, match=words):
        read_votes(text)


@pytest.mark.parametrize(
    ("vote", "name"), [(Vote("a\tb", "A", "B", "left"), "cats"), (Vote("a", "A", "B", "left"), "")]
)
def test_what_could_not_be_read_again_is_not_written(vote, name):
    with pytest.raises(ValueError, match=r"vote 1: a field|name must be"):
        write_votes([vote], name)


# --- Kendall's tau ---


def test_tau_by_hand():
    """Four methods, six pairs: one swap of neighbors turns one pair, the reverse turns all."""
    assert kendall_tau([1, 2, 3, 4], [10, 30, 20, 40]) == pytest.approx(4 / 6)
    assert kendall_tau([1, 2, 3, 4], [4, 3, 2, 1]) == -1
    assert kendall_tau([1, 2, 3, 4], [0.1, 0.2, 30, 400]) == 1


def test_tau_with_a_tie():
    """Pairs: (1,2) tied in b; the other two alike. τ_b = 2 / √(3 · 2)."""
    assert kendall_tau([1, 2, 3], [5, 5, 6]) == pytest.approx(2 / math.sqrt(6))


def test_how_often_unrelated_rankings_of_six_agree():
    taus = torch.tensor([kendall_tau(range(6), order) for order in permutations(range(6))])
    assert (taus.abs() > 0.6 - 1e-6).double().mean().item() == pytest.approx(0.14, abs=0.005)  # as the docstring says


@pytest.mark.parametrize(("a", "b"), [([1, 2], [1, 2, 3]), ([1], [1]), ([1, 1], [1, 2]), ([1, math.nan], [1, 2])])
def test_what_is_no_ranking_is_refused(a, b):
    with pytest.raises(ValueError, match=r"scores"):
        kendall_tau(a, b)
