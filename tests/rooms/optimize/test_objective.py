"""The objective as a list of named, weighted terms."""

import pytest
import torch

from course_lib.losses.perceptual import PerceptualLoss
from course_lib.losses.style import total_variation_gradient, total_variation_loss
from course_lib.optimize.image import Adam, optimize_image
from course_lib.optimize.lbfgs import LBFGS
from course_lib.optimize.objective import Objective, Term
from course_lib.pretrained.vgg import VGGFeatures

TARGET = torch.tensor([0.2, 0.5, 0.9]).view(1, 3, 1, 1)


def squares(weight=1.0, name="distance", **options):
    return Term(name, weight, lambda x: (x - TARGET).square().sum(), **options)


def perceptual():
    network = VGGFeatures("vgg19", ["relu1_1", "relu2_1"], weights=None)
    loss = PerceptualLoss(network, content={"relu2_1": 1.0}, style={"relu1_1": 50.0})
    loss.set_content(torch.full((1, 3, 16, 16), 0.5))
    loss.set_style([torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(2))])
    return loss


def test_a_term_by_hand():
    """2 · Σ (x − t)² at x = t + 0.1, six values: 2 · 6 · 0.01; its gradient 4 · 0.1."""
    x = (TARGET + 0.1).expand(1, 3, 1, 2).clone()
    terms, gradient = squares(2.0).with_gradient(x)
    torch.testing.assert_close(terms, torch.tensor([0.12]))
    torch.testing.assert_close(gradient, torch.full_like(x, 0.4))
    assert not terms.requires_grad


@pytest.mark.parametrize("switched_off", [torch.no_grad, torch.inference_mode])
def test_gradients_where_the_caller_has_switched_them_off(switched_off):
    """Both by autograd: a term without a closed form, and every term alone. At x = t + 0.1: 2 · 0.1 each, weighted."""
    with switched_off():
        x = TARGET + 0.1  # in inference mode, a tensor that autograd refuses
        terms, gradient = squares(2.0).with_gradient(x)
        alone = Objective([squares(2.0), squares(1.0, "again")]).dissect(x)
    assert terms.item() == pytest.approx(0.06, rel=1e-4)
    torch.testing.assert_close(gradient, torch.full((1, 3, 1, 1), 0.4))
    assert alone["distance"][0] == pytest.approx(0.06, rel=1e-4)
    torch.testing.assert_close(alone["again"][1], torch.full((1, 3, 1, 1), 0.2))


def test_a_closed_form_is_used_and_weighted():
    asked = []

    def gradient(x):
        asked.append(x)
        return torch.ones_like(x)

    terms, slope = squares(3.0, gradient=gradient).with_gradient(torch.zeros(1, 3, 2, 2))
    assert len(asked) == 1
    assert torch.equal(slope, torch.full((1, 3, 2, 2), 3.0))
    assert terms.item() == pytest.approx(3 * 4 * TARGET.square().sum().item())


def test_the_closed_form_of_total_variation_is_its_gradient(picture):
    x = picture(12, 10, 3).double()
    exact = Term("tv", 2.0, total_variation_loss).with_gradient(x)
    closed = Term("tv", 2.0, total_variation_loss, total_variation_gradient).with_gradient(x)
    torch.testing.assert_close(closed, exact)


def test_the_terms_of_the_parts_are_concatenated_in_order(picture):
    """Values and gradient agree with autograd, whether or not the parts have a closed form."""
    goal, x = Objective([perceptual(), squares(0.3), Term("tv", 2.0, total_variation_loss)]), picture(16, 16, 1)
    assert goal.names == ("content/relu2_1", "style/relu1_1", "distance", "tv")
    terms, gradient = goal.with_gradient(x)
    variable = x.clone().requires_grad_(True)
    torch.testing.assert_close(goal(variable), terms)
    (expected,) = torch.autograd.grad(goal(variable).sum(), variable)
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-7)
    separate = goal.dissect(x)
    assert list(separate) == list(goal.names)
    assert [value for value, _ in separate.values()] == pytest.approx(terms.tolist())
    torch.testing.assert_close(sum(part for _, part in separate.values()), expected, rtol=1e-4, atol=1e-7)


def test_names_must_be_unique_and_there_must_be_a_term():
    with pytest.raises(ValueError, match="distance more than once"):
        Objective([squares(), squares()])
    with pytest.raises(ValueError, match="at least one term"):
        Objective([])


@pytest.mark.parametrize("kind", ["lbfgs", "adam"])
def test_a_picture_is_optimized_under_a_list_of_terms(kind):
    """Two squared distances of weights 3 and 1: the minimum is the weighted mean (3·t + 1·0) / 4."""
    goal = Objective([squares(3.0), Term("dark", 1.0, lambda x: x.square().sum(), lambda x: 2 * x)])
    x = torch.full((1, 3, 2, 2), 0.5)
    optimizer = LBFGS(x) if kind == "lbfgs" else Adam(x, learning_rate=0.05)
    done = optimize_image(optimizer, goal, num_steps=30 if kind == "lbfgs" else 300)
    torch.testing.assert_close(done.image, (0.75 * TARGET).expand(1, 3, 2, 2), atol=2e-3, rtol=0)
    assert set(done.history) == {"total", "distance", "dark", "seconds"}
    assert done.stopped is None


def test_the_first_term_that_is_not_finite_is_named():
    goal = Objective([squares(), Term("broken", 1.0, lambda x: (x.sum() - x.sum()) / 0 * x.sum())])
    with pytest.warns(RuntimeWarning, match="broken was not finite at step 1"):
        done = optimize_image(LBFGS(torch.full((1, 3, 2, 2), 0.5)), goal, num_steps=3)
    assert done.image.eq(0.5).all()
