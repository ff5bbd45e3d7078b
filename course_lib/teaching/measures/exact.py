"""Two identities, which hold at any size (a gradient, a rescaled network), and the range that pixels leave."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib.methods import gatys
from course_lib.optimize.image import optimize_image
from course_lib.pretrained import weights
from course_lib.pretrained.vgg import VGGFeatures, layer_names
from course_lib.teaching.measures.measured import Measured


def style_gradient(*, seed: int, size: int) -> Measured:
    """Equation 6 of Gatys et al. against automatic differentiation of Equations 3 and 4, in double precision.

    ∂E/∂F = 1/(N²M²) (Fᵀ(G − A))ᵀ where F > 0, else 0: the gradient with respect to the values before the ReLU.

    Args:
        seed: of the random features.
        size: the number of filters N; there are M = N² positions.
    """
    draw = torch.Generator().manual_seed(seed)
    before = torch.randn(size, size * size, generator=draw, dtype=torch.float64, requires_grad=True)  # (N, M)
    target = torch.randn(size, size * size, generator=draw, dtype=torch.float64).relu()
    features, scale = before.relu(), before.numel() ** 2
    gram, goal = features @ features.T, target @ target.T  # Eq. 3
    ((gram - goal).square().sum() / (4 * scale)).backward()  # Eq. 4
    formula = (features.T @ (gram - goal)).T / scale * (features > 0)  # Eq. 6
    assert before.grad is not None
    return Measured(
        {"largest difference": _apart(formula, before.grad), "largest gradient": before.grad.abs().max().item()}
    )


def rescaling(photo: Tensor) -> Measured:
    """VGG-16 with every filter scaled to a mean activation of one on `photo` (Gatys et al. 2016, Section 2).

    The next layer's weights are multiplied by the same factors, so that up to these factors no feature may change. Max
    pooling, double precision. A filter that does not respond to `photo` anywhere keeps a mean of zero.
    """
    state = {name: value.double() for name, value in weights.load("vgg16_torchvision").state_dict.items()}
    network = VGGFeatures("vgg16", ("relu5_3",), pooling="max")  # for its mean, standard deviation and names
    x = ((photo - network.mean.cpu()) / network.std.cpu()).double()
    names = [name for name in layer_names("vgg16") if name.startswith(("conv", "pool"))]
    keys = sorted({key.rsplit(".", 1)[0] for key in state}, key=lambda key: int(key.rsplit(".", 1)[-1]))
    plain, scaled = x, x
    before: Tensor | None = None  # (C,): the factors of the layer below
    means, count = [], 0
    apart = 0.0
    for name in names:
        if name.startswith("pool"):
            plain, scaled = F.max_pool2d(plain, 2), F.max_pool2d(scaled, 2)
            continue
        weight, bias = (state[f"{keys[count]}.{part}"] for part in ("weight", "bias"))
        count += 1
        plain = F.conv2d(plain, weight, bias, padding=1).relu()
        factors = plain.mean((0, 2, 3)).clamp(min=1e-6)  # (C,)
        inner = weight if before is None else weight * before.view(1, -1, 1, 1)
        scaled = F.conv2d(scaled, inner / factors.view(-1, 1, 1, 1), bias / factors, padding=1).relu()
        means.append(scaled.mean().item())
        apart = max(apart, _apart(scaled * factors.view(1, -1, 1, 1), plain))
        before = factors
    return Measured({"largest difference": apart, "smallest mean": min(means), "largest mean": max(means)})


def unbounded(photo: Tensor, painting: Tensor, *, steps: int, seed: int) -> Measured:
    """Share of a picture's numbers outside [0, 1] after L-BFGS without bounds, and with a projection at every step.

    Source: Wang 2019, Section 4.2.
    """
    shares = {}
    for name, project in (("without bounds", False), ("with projection", True)):
        config = gatys.Config(num_steps=steps, seed=seed, project=project)
        mover = gatys.optimizer(gatys.first_image(photo, painting, config), config)
        optimize_image(mover, gatys.objective(photo, painting, config), num_steps=steps)
        shares[name] = ((mover.x < 0) | (mover.x > 1)).double().mean().item()
    return Measured(shares)


def _apart(a: Tensor, b: Tensor) -> float:
    return ((a - b).abs().max() / b.abs().max()).item()
