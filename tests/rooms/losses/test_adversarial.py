"""Three objectives of two players: values and slopes derived by hand, and where each game comes to rest."""

import math

import pytest
import torch

from course_lib.losses.adversarial import OBJECTIVES, fake_loss, generator_loss, real_loss

LOGITS = torch.tensor([-9.0, -1.0, 0.0, 0.5, 3.0], dtype=torch.double)


def slope(loss, logits, objective):
    """The derivative of a loss in each logit, freed of the mean."""
    logits = logits.clone().requires_grad_(True)
    (found,) = torch.autograd.grad(loss(logits, objective) * logits.numel(), logits)
    return found


def sigmoid(a):
    return 1 / (1 + math.exp(-a))


# --- by hand ---


def test_the_default_is_the_non_saturating_objective():
    for loss in (real_loss, fake_loss, generator_loss):
        assert loss(LOGITS) == loss(LOGITS, "non-saturating")
    assert OBJECTIVES[0] == "non-saturating"


@pytest.mark.parametrize("objective", ["minimax", "non-saturating"])
def test_the_discriminator_pays_the_logarithm_of_its_error(objective):
    """−log σ(a) for a real picture, −log(1 − σ(a)) for a made one (Eq. 1 with its sign turned)."""
    for a in LOGITS:
        assert real_loss(a, objective).item() == pytest.approx(-math.log(sigmoid(a)))
        assert fake_loss(a, objective).item() == pytest.approx(-math.log(1 - sigmoid(a)))


def test_the_three_prices_of_the_generator():
    for a in LOGITS:
        assert generator_loss(a, "minimax").item() == pytest.approx(math.log(1 - sigmoid(a)))
        assert generator_loss(a, "non-saturating").item() == pytest.approx(-math.log(sigmoid(a)))
        assert generator_loss(a, "least-squares").item() == pytest.approx((a.item() - 1) ** 2)


def test_least_squares_aims_at_one_for_real_and_zero_for_made():
    assert real_loss(torch.tensor([1.0, 3.0]), "least-squares").item() == 2  # (0 + 4) / 2
    assert fake_loss(torch.tensor([0.0, 2.0]), "least-squares").item() == 2  # (0 + 4) / 2


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("loss", [real_loss, fake_loss, generator_loss])
def test_a_mean_over_all_logits_of_any_shape(loss, objective):
    each = torch.stack([loss(a, objective) for a in LOGITS])
    assert loss(LOGITS, objective).item() == pytest.approx(each.mean().item())
    assert loss(LOGITS.view(1, 1, 5, 1), objective).item() == pytest.approx(each.mean().item())


# --- slopes ---


def test_the_slopes_of_the_three_objectives():
    """d/da log(1 − σ) = −σ; d/da (−log σ) = −(1 − σ); d/da (a − 1)² = 2 (a − 1)."""
    made = torch.sigmoid(LOGITS)
    torch.testing.assert_close(slope(generator_loss, LOGITS, "minimax"), -made)
    torch.testing.assert_close(slope(generator_loss, LOGITS, "non-saturating"), made - 1)
    torch.testing.assert_close(slope(generator_loss, LOGITS, "least-squares"), 2 * (LOGITS - 1))


def test_against_a_sure_discriminator_only_the_minimax_slope_vanishes():
    sure = torch.tensor([-20.0])
    assert -1e-8 < slope(generator_loss, sure, "minimax").item() < 0
    assert slope(generator_loss, sure, "non-saturating").item() == pytest.approx(-1)
    assert slope(generator_loss, sure, "least-squares").item() == -42


def test_undecided_the_two_logarithms_push_alike():
    undecided = torch.zeros(1)
    assert slope(generator_loss, undecided, "minimax").item() == -0.5
    assert slope(generator_loss, undecided, "non-saturating").item() == -0.5


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_generator_wants_to_be_taken_for_real(objective):
    assert (slope(generator_loss, LOGITS[:-1], objective) < 0).all()  # up to the logit 1


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("logit", [-1e4, -200.0, 200.0, 1e4])
def test_no_logit_is_too_large(objective, logit):
    a = torch.tensor(logit)
    for loss in (real_loss, fake_loss, generator_loss):
        assert loss(a, objective).isfinite()
        assert slope(loss, a, objective).isfinite()


# --- where it rests ---


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(("p", "q"), [(0.5, 0.25), (0.2, 0.6), (0.3, 0.3)])
def test_the_best_answer_is_p_over_p_plus_q(objective, p, q):
    """At the best logit the slopes of p·real + q·made cancel: σ(a), or for least squares a, is p / (p + q)."""
    best = p / (p + q)
    a = torch.tensor([best if objective == "least-squares" else math.log(p / q)], dtype=torch.double)
    total = p * slope(real_loss, a, objective) + q * slope(fake_loss, a, objective)
    assert total.item() == pytest.approx(0, abs=1e-12)
    higher = p * slope(real_loss, a + 0.1, objective) + q * slope(fake_loss, a + 0.1, objective)
    assert higher.item() > 0  # a minimum


@pytest.mark.parametrize("objective", ["minimax", "non-saturating"])
def test_the_game_is_worth_minus_log_4_when_nobody_can_tell(objective):
    undecided = torch.zeros(7)
    value = -(real_loss(undecided, objective) + fake_loss(undecided, objective))
    assert value.item() == pytest.approx(-math.log(4))


@pytest.mark.parametrize("loss", [real_loss, fake_loss, generator_loss])
def test_an_unknown_objective_is_refused_with_those_that_exist(loss):
    with pytest.raises(ValueError, match="'hinge'; use one of non-saturating, least-squares, minimax"):
        loss(LOGITS, "hinge")
