"""The three GAN objectives: values and gradients derived by hand, and the optimum of each."""

import math

import pytest
import torch

from course_lib.losses.adversarial import OBJECTIVES, fake_loss, generator_loss, real_loss

LOGITS = torch.tensor([-9.0, -1.0, 0.0, 0.5, 3.0], dtype=torch.double)


def slope(loss, logits, objective):
    """The derivative of a loss with respect to each logit, without the factor 1/count of the mean."""
    logits = logits.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(loss(logits, objective) * logits.numel(), logits)
    return gradient


def sigmoid(a):
    return 1 / (1 + math.exp(-a))


# --- by hand ---


def test_the_default_is_the_non_saturating_objective():
    for loss in (real_loss, fake_loss, generator_loss):
        assert loss(LOGITS) == loss(LOGITS, "non-saturating")
    assert OBJECTIVES[0] == "non-saturating"


@pytest.mark.parametrize("objective", ["minimax", "non-saturating"])
def test_the_discriminators_loss_is_the_cross_entropy(objective):
    """−log σ(a) for a real picture, −log(1 − σ(a)) for a fake: the negative of Eq. 1."""
    for a in LOGITS:
        assert real_loss(a, objective).item() == pytest.approx(-math.log(sigmoid(a)))
        assert fake_loss(a, objective).item() == pytest.approx(-math.log(1 - sigmoid(a)))


def test_the_generators_loss_of_each_objective():
    for a in LOGITS:
        assert generator_loss(a, "minimax").item() == pytest.approx(math.log(1 - sigmoid(a)))
        assert generator_loss(a, "non-saturating").item() == pytest.approx(-math.log(sigmoid(a)))
        assert generator_loss(a, "least-squares").item() == pytest.approx((a.item() - 1) ** 2)


def test_least_squares_has_target_one_for_real_and_zero_for_fake():
    assert real_loss(torch.tensor([1.0, 3.0]), "least-squares").item() == 2  # (0 + 4) / 2
    assert fake_loss(torch.tensor([0.0, 2.0]), "least-squares").item() == 2  # (0 + 4) / 2


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("loss", [real_loss, fake_loss, generator_loss])
def test_a_loss_is_the_mean_over_all_logits_of_any_shape(loss, objective):
    each = torch.stack([loss(a, objective) for a in LOGITS])
    assert loss(LOGITS, objective).item() == pytest.approx(each.mean().item())
    assert loss(LOGITS.view(1, 1, 5, 1), objective).item() == pytest.approx(each.mean().item())


# --- gradients ---


def test_the_gradients_of_the_three_objectives():
    """d/da log(1 − σ) = −σ; d/da (−log σ) = −(1 − σ); d/da (a − 1)² = 2 (a − 1)."""
    probability = torch.sigmoid(LOGITS)
    torch.testing.assert_close(slope(generator_loss, LOGITS, "minimax"), -probability)
    torch.testing.assert_close(slope(generator_loss, LOGITS, "non-saturating"), probability - 1)
    torch.testing.assert_close(slope(generator_loss, LOGITS, "least-squares"), 2 * (LOGITS - 1))


def test_only_the_minimax_gradient_vanishes_when_fakes_are_rejected():
    rejected = torch.tensor([-20.0])
    assert -1e-8 < slope(generator_loss, rejected, "minimax").item() < 0
    assert slope(generator_loss, rejected, "non-saturating").item() == pytest.approx(-1)
    assert slope(generator_loss, rejected, "least-squares").item() == -42


def test_both_logarithmic_gradients_agree_at_logit_zero():
    undecided = torch.zeros(1)
    assert slope(generator_loss, undecided, "minimax").item() == -0.5
    assert slope(generator_loss, undecided, "non-saturating").item() == -0.5


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_generators_gradient_increases_the_logit(objective):
    assert (slope(generator_loss, LOGITS[:-1], objective) < 0).all()  # up to the logit 1


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("logit", [-1e4, -200.0, 200.0, 1e4])
def test_no_logit_is_too_large(objective, logit):
    a = torch.tensor(logit)
    for loss in (real_loss, fake_loss, generator_loss):
        assert loss(a, objective).isfinite()
        assert slope(loss, a, objective).isfinite()


# --- the optimum ---


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(("p", "q"), [(0.5, 0.25), (0.2, 0.6), (0.3, 0.3)])
def test_the_optimal_discriminator_is_p_over_p_plus_q(objective, p, q):
    """At the best logit the gradient of p·real + q·fake is zero: σ(a), or a for least squares, is p / (p + q)."""
    best = p / (p + q)
    a = torch.tensor([best if objective == "least-squares" else math.log(p / q)], dtype=torch.double)
    total = p * slope(real_loss, a, objective) + q * slope(fake_loss, a, objective)
    assert total.item() == pytest.approx(0, abs=1e-12)
    higher = p * slope(real_loss, a + 0.1, objective) + q * slope(fake_loss, a + 0.1, objective)
    assert higher.item() > 0  # a minimum


@pytest.mark.parametrize("objective", ["minimax", "non-saturating"])
def test_the_value_of_the_game_is_minus_log_4_at_logit_zero(objective):
    undecided = torch.zeros(7)
    value = -(real_loss(undecided, objective) + fake_loss(undecided, objective))
    assert value.item() == pytest.approx(-math.log(4))


@pytest.mark.parametrize("loss", [real_loss, fake_loss, generator_loss])
def test_an_unknown_objective_is_refused_with_a_list_of_the_known_ones(loss):
    with pytest.raises(ValueError, match="'hinge'; use one of non-saturating, least-squares, minimax"):
        loss(LOGITS, "hinge")


@pytest.mark.parametrize("logits", [None, [0.0], 0.5, torch.tensor([1, 2]), torch.zeros(0)])
def test_what_are_no_logits_is_refused(logits):
    for function in (real_loss, fake_loss, generator_loss):
        with pytest.raises(ValueError, match="expected the logits of a discriminator, a tensor of floats, got "):
            function(logits)
