"""Training steps of StarGAN, U-GAT-IT and AnimeGAN as the authors' programs and tutorials write them.

The same networks as ours in float32 and PyTorch's default layout; each discriminator is called for each set of
pictures; gradients of networks that do not learn are computed, too; every loss is read at every step. So a step draws
the same random numbers, in the same order, as ours, and from the same weights it has the same losses.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.plain_networks import plain
from course_lib.losses.cartoon import color_loss, content_l1, gram_l1, gray, smoothness
from course_lib.methods import animegan, stargan, ugatit
from course_lib.networks.class_attention import Attended, ClassAttention
from course_lib.pretrained.vgg import VGGFeatures


def read(losses: dict[str, Tensor]) -> dict[str, float]:
    """Every loss, read from the device one by one."""
    return {name: loss.item() for name, loss in losses.items()}


def descend(optimizer: torch.optim.Optimizer, loss: Tensor, *others: torch.optim.Optimizer) -> None:
    """Clear all gradients, also those that nothing uses, and take a step."""
    for each in (optimizer, *others):
        each.zero_grad()
    loss.backward()
    optimizer.step()


class StarGAN:
    """The authors' solver: D five times, G once."""

    def __init__(self, config: stargan.Config, device: torch.device) -> None:
        self.config = config
        self.G = plain(stargan.build(config)).to(device)
        self.D = plain(stargan.build_discriminator(config)).to(device)
        settings: dict[str, Any] = {"lr": config.learning_rate, "betas": (config.beta1, 0.999)}
        self.adam_G, self.adam_D = (torch.optim.Adam(each.parameters(), **settings) for each in (self.G, self.D))

    def step(self, pictures: Tensor, labels: Tensor, k: int) -> dict[str, float]:
        """One step on pictures (N, 3, S, S) of the domains (N,), number k; returns the losses by name."""
        c, losses = self.config, dict[str, Tensor]()
        goal = labels[torch.randperm(len(labels))]
        there, back = (F.one_hot(each, c.num_domains).float() for each in (goal, labels))
        on_real, classes = self.D(pictures)
        fake = self.G(pictures, there)
        on_fake, _ = self.D(fake.detach())
        losses |= {"D_real": -on_real.mean(), "D_fake": on_fake.mean()}
        losses["D_class"] = c.class_weight * F.cross_entropy(classes, labels)
        share = torch.rand(len(pictures), 1, 1, 1, device=pictures.device)
        points = (share * pictures + (1 - share) * fake).detach().requires_grad_()
        judged, _ = self.D(points.view_as(points))  # PyTorch cannot count the operations behind a leaf
        (slopes,) = torch.autograd.grad(judged, points, torch.ones_like(judged), create_graph=True)
        lengths = slopes.flatten(1).square().sum(1).sqrt() / 2  # of pictures in [−1, 1]
        losses["D_penalty"] = c.penalty * (lengths - 1).square().mean()
        descend(self.adam_D, sum(losses.values(), pictures.new_zeros(())), self.adam_G)
        if (k + 1) % c.steps_D == 0:
            fake = self.G(pictures, there)
            on_fake, classes = self.D(fake)
            of_G = {"G": -on_fake.mean(), "G_class": c.class_weight * F.cross_entropy(classes, goal)}
            of_G["reconstruction"] = c.rec_weight * F.l1_loss(2 * self.G(fake, back), 2 * pictures)
            descend(self.adam_G, sum(of_G.values(), pictures.new_zeros(())), self.adam_D)
            losses |= of_G
        return read(losses)


def both_normalized(x: Tensor, rho: Tensor, gamma: Tensor, beta: Tensor, eps: float = 1e-5) -> Tensor:
    """`networks.adalin.adalin` as in the authors' program: both feature maps are computed, then mixed."""

    def normalized(axes: tuple[int, ...]) -> Tensor:
        mean, variance = x.mean(axes, keepdim=True), x.var(axes, correction=0, keepdim=True)
        return (x - mean) / torch.sqrt(variance + eps)

    share = rho.view(1, -1, 1, 1)
    mixed = share * normalized((2, 3)) + (1 - share) * normalized((1, 2, 3))
    rows = [each.expand(len(x), -1) for each in (gamma, beta)]
    return mixed * rows[0][..., None, None] + rows[1][..., None, None]


def two_sets_of_maps(self: ClassAttention, x: Tensor) -> Attended:
    """`ClassAttention.forward` as in the authors' program: the maps times each classifier's weights, then merged."""
    by_mean, by_maximum = self.means.weight, self.maxima.weight
    pooled = F.adaptive_avg_pool2d(x, 1).flatten(1), F.adaptive_max_pool2d(x, 1).flatten(1)
    logits = torch.cat((F.linear(pooled[0], by_mean), F.linear(pooled[1], by_maximum)), 1)
    both = torch.cat((x * by_mean[..., None, None], x * by_maximum[..., None, None]), 1)
    output = self.activation(self.merge(both))
    return Attended(output, logits, output.sum(1, keepdim=True))


@contextmanager
def as_released() -> Iterator[None]:
    """Inside the ``with``, AdaLIN and attention are those of the authors' program."""
    with ExitStack() as stack:
        stack.enter_context(patch("course_lib.networks.adalin.adalin", both_normalized))
        stack.enter_context(patch.object(ClassAttention, "forward", two_sets_of_maps))
        yield


class UGATIT:
    """The authors' solver: both generators are run for the discriminators, and again for themselves."""

    def __init__(self, config: ugatit.Config, device: torch.device) -> None:
        self.config = config
        self.G, self.D = (
            plain(each).to(device) for each in (ugatit.build(config), ugatit.build_discriminators(config))
        )
        settings: dict[str, Any] = {
            "lr": config.learning_rate, "betas": (config.beta1, 0.999), "weight_decay": config.weight_decay
        }  # fmt: skip
        self.adam_G, self.adam_D = (torch.optim.Adam(each.parameters(), **settings) for each in (self.G, self.D))

    def judged(self, domain: str, pictures: Tensor, real: bool) -> Tensor:
        """The sum of four losses: patches and classifier of both discriminators."""
        total = pictures.new_zeros(())
        for reach in ("global", "local"):
            found = self.D[f"{reach}_{domain}"](pictures)
            for logits in (found.output, found.logits):
                total = total + F.mse_loss(logits, torch.ones_like(logits) if real else torch.zeros_like(logits))
        return total

    def step(self, batch: Tensor) -> dict[str, float]:
        """One step on a batch (N, 2, 3, H, W); returns the losses by name, with their weights."""
        with as_released():
            return self.taken(batch)

    def taken(self, batch: Tensor) -> dict[str, float]:
        c, losses = self.config, dict[str, Tensor]()
        real = dict(zip("AB", batch.unbind(1), strict=True))
        fakes = {"A": self.G["BA"](real["B"]).output, "B": self.G["AB"](real["A"]).output}
        for domain, fake in fakes.items():
            on_real, on_fake = self.judged(domain, real[domain], True), self.judged(domain, fake.detach(), False)
            losses[f"D_{domain}"] = c.gan_weight * (on_real + on_fake)
        descend(self.adam_D, losses["D_A"] + losses["D_B"], self.adam_G)
        of_G = dict[str, Tensor]()
        for a, b in ("AB", "BA"):
            there, same = self.G[a + b](real[a]), self.G[a + b](real[b])
            again = self.G[b + a](there.output)
            of_G[f"G_{a}{b}"] = c.gan_weight * self.judged(b, there.output, True)
            of_G[f"cycle_{a}{b}"] = c.cycle_weight * F.l1_loss(2 * again.output, 2 * real[a])
            of_G[f"identity_{a}{b}"] = c.identity_weight * F.l1_loss(2 * same.output, 2 * real[b])
            leads = [(there.logits, torch.ones_like(there.logits)), (same.logits, torch.zeros_like(same.logits))]
            classified = [F.binary_cross_entropy_with_logits(*each) for each in leads]
            of_G[f"cam_{a}{b}"] = c.cam_weight * (classified[0] + classified[1])
        descend(self.adam_G, sum(of_G.values(), batch.new_zeros(())), self.adam_D)
        for module in self.G.modules():
            if isinstance(rho := getattr(module, "rho", None), nn.Parameter):
                rho.data.clamp_(0, 1)
        return read(losses | of_G)


class AnimeGAN:
    """The authors' program after its first phase: D is called for each of the four sets."""

    def __init__(self, config: animegan.Config, device: torch.device) -> None:
        self.config = config
        self.G = plain(animegan.build(config)).to(device)
        self.D = plain(animegan.build_discriminator(config)).to(device)
        betas = (config.beta1, 0.999)
        self.adam_G = torch.optim.Adam(self.G.parameters(), config.learning_rate, betas)
        self.adam_D = torch.optim.Adam(self.D.parameters(), config.rate_D * config.learning_rate, betas)
        vgg = VGGFeatures("vgg19", [animegan.LAYER], pooling="max", weights=config.weights, winograd=False)
        self.vgg = vgg.to(device)

    def features(self, pictures: Tensor) -> Tensor:
        found: Tensor = self.config.feature_scale * self.vgg(pictures)[animegan.LAYER]
        return found

    def step(self, batch: Tensor) -> dict[str, float]:
        """One step on photos, cartoons and blurred cartoons, (N, 3, 3, H, W); returns the losses by name."""
        c, losses = self.config, dict[str, Tensor]()
        photo, cartoon, edges = batch.unbind(1)
        drawn = self.G(photo)
        shown = {
            "D_real": (1.0, cartoon), "D_fake": (1.0, drawn.detach()), "D_gray": (c.gray_weight, gray(cartoon)),
            "D_edges": (c.edge_weight, gray(edges)),
        }  # fmt: skip
        for name, (weight, pictures) in shown.items():
            logits = self.D(pictures)
            target = torch.ones_like(logits) if name == "D_real" else torch.zeros_like(logits)
            losses[name] = c.adv_weight * weight * F.mse_loss(logits, target)
        descend(self.adam_D, sum(losses.values(), batch.new_zeros(())), self.adam_G)
        logits = self.D(drawn)
        of_drawn = self.features(drawn)
        of_G = {
            "G": c.adv_weight * F.mse_loss(logits, torch.ones_like(logits)),
            "content": c.content_weight * content_l1(of_drawn, self.features(photo)),
            "style": c.style_weight * gram_l1(of_drawn, self.features(gray(cartoon))),
            "color": c.color_weight * color_loss(drawn, photo),
            "tv": c.tv_weight * smoothness(drawn),
        }
        descend(self.adam_G, sum(of_G.values(), batch.new_zeros(())), self.adam_D)
        return read(losses | of_G)
