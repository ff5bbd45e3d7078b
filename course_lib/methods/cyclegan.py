"""Unpaired image-to-image translation with cycle-consistent adversarial networks (Zhu et al., ICCV 2017): CycleGAN.

There are pictures of two domains, A and B, and no pairs. Two generators learn together, one for each direction, and two
discriminators, one for each domain:

    L_GAN(G_AB, D_B) = E (D_B(G_AB(a)) − 1)²                                Eq. 1, as in Section 4: least squares
    L_cyc            = E ‖G_BA(G_AB(a)) − a‖₁ + E ‖G_AB(G_BA(b)) − b‖₁      Eq. 2: there and back
    L                = L_GAN(G_AB, D_B) + L_GAN(G_BA, D_A) + λ L_cyc        Eq. 3, λ = 10
    L_identity       = E ‖G_AB(b) − b‖₁ + E ‖G_BA(a) − a‖₁                  Section 5.2, for paintings → photographs

The paper's G is `G_AB` here, its F is `G_BA`, its D_Y is `D_B`, which judges pictures of B. A discriminator only says
whether a picture looks like its domain, not whether it shows the same scene. The cycle demands that the scene can be
recovered; it does not demand that it stays visible (Chu, Zhmoginov & Sandler 2017: CycleGAN hides it).

DualGAN (Yi et al., ICCV 2017) is the same idea from another group: U-Nets instead of residual blocks, the Wasserstein
objective, λ = 500.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_lib import config_checks, runtime
from course_lib.data.unpaired import UnpairedImages
from course_lib.images import check_pictures
from course_lib.losses import adversarial
from course_lib.networks import layers
from course_lib.networks.patchgan import PATCHES, PatchGAN
from course_lib.networks.resnet_generator import ResnetGenerator
from course_lib.optimize.start import check_memory
from course_lib.training import collapse, model_files, players
from course_lib.training.image_pool import ImagePool
from course_lib.training.optimizers import adam
from course_lib.training.players import frozen, update
from course_lib.training.run import showing, train_and_summarize

KIND = "cyclegan"
CYCLES = ("both", "forward", "backward")
DIRECTIONS = ("AB", "BA")
_BYTES_PER_PIXEL, _BYTES_PER_PIXEL_AND_WIDTH = 110, 530  # peak of a pass on a CPU
_SHAPE = ("width", "num_blocks", "upsampling")  # equal fields: the weights of one model fit the other


@dataclass(frozen=True)
class Config:
    """The paper's configuration; every field names its source."""

    num_epochs: int = 200  # Section 4: 100, and 100 more in which the rate falls
    batch_size: int = 1  # Section 4
    image_size: int = 256  # Section 7.1 (128 and 256); side of what the networks see
    load_size: int | None = 286  # the released code; the paper does not say. None: pictures are resized to image_size
    mirror: bool = True  # the released code
    gan_weight: float = 1.0  # Eq. 3; 0: no discriminators ("cycle alone" in Table 4)
    cycle_weight: float = 10.0  # λ, Section 4; for pictures in [−1, 1]; 0: "GAN alone"
    cycles: str = "both"  # "forward": only A → B → A; "backward": only B → A → B (Table 4)
    identity_weight: float = 0.0  # a factor on cycle_weight; 0.5 for paintings → photographs (Section 5.2)
    objective: str = "least-squares"  # Section 4
    pool_size: int = 50  # Section 4: earlier fakes that the discriminators see again
    learning_rate: float = 2e-4  # Adam, Section 4
    beta1: float = 0.5  # the released code; the paper does not say
    cooldown: float = 0.5  # final fraction of the run, in which the learning rate falls to zero, Section 4
    num_blocks: int = 9  # residual blocks, Section 7.2: 9 for 256 px, 6 for 128 px
    width: float = 1.0  # factor on 64 channels, Section 7.2
    upsampling: str = "transposed"  # Section 7.2: convolutions of stride ½
    patch: int = 70  # the discriminators' receptive field in pixels, Section 4
    init_std: float = 0.02  # weights from N(0, 0.02²), Section 7.1
    precision: str = "auto"
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        config_checks.check(
            self,
            whole={"num_epochs": 1, "batch_size": 1, "image_size": 24, "pool_size": 0, "num_blocks": 0, "seed": 0},
            positive=("learning_rate", "width", "init_std"),
            nonnegative=("gan_weight", "cycle_weight", "identity_weight", "beta1", "cooldown"),
            choices={
                "objective": adversarial.OBJECTIVES, "patch": tuple(PATCHES), "cycles": CYCLES,
                "upsampling": layers.UPSAMPLINGS, "mirror": (True, False),
            },
        )  # fmt: skip
        if self.cooldown > 1 or self.beta1 >= 1:
            raise ValueError(f"cooldown must be at most 1 and beta1 below 1, got {self.cooldown} and {self.beta1}")
        if self.load_size is not None:
            config_checks.check(self, whole={"load_size": 1})
            if self.load_size < self.image_size:
                raise ValueError(f"load_size must be at least image_size ({self.image_size}), got {self.load_size}")
        elif self.mirror:
            raise ValueError("mirror=True needs a load_size: without one, pictures are only resized")
        if self.gan_weight == self.cycle_weight == 0:
            raise ValueError("gan_weight and cycle_weight are both 0: there is nothing to learn from")

    @classmethod
    def released(cls) -> Config:
        """The defaults of the authors' code: the identity loss is part of every run, at half the weight of a cycle."""
        return cls(identity_weight=0.5)

    @classmethod
    def fast(cls) -> Config:
        """Our fastest settings on a CPU: small pictures, few channels, batches of four, no transposed convolutions."""
        return cls(
            num_epochs=10, batch_size=4, image_size=64, load_size=None, mirror=False, identity_weight=0.5,
            num_blocks=4, width=0.375, upsampling="resize", patch=34,
        )  # fmt: skip

    @classmethod
    def quick(cls) -> Config:
        """A minute on a CPU, at 32 px: colors and light, no details."""
        return replace(cls.fast(), num_epochs=2, image_size=32, num_blocks=3, width=0.25, patch=16, learning_rate=1e-3)


@dataclass(frozen=True)
class Model:
    """What `train` returns and `load` reads."""

    network: nn.ModuleDict  # the generators "AB" and "BA"
    config: Config
    facts: dict[str, Any]  # of the training run: "photos", "history", "collapsed", "seconds", "device", …
    stopped: str | None = None  # why the training ended early, or None
    discriminators: nn.ModuleDict | None = None  # "A" and "B", as trained; not stored in model files


@dataclass(frozen=True)
class Result:
    """What `translate` returns."""

    image: Tensor  # (N, 3, H, W) in [0, 1], float32, on the CPU
    history: dict[str, list[float]]  # "seconds": duration of the pass


def build(config: Config) -> nn.ModuleDict:
    """The two untrained generators of a configuration, "AB" and "BA"; weights are drawn from ``config.seed``."""
    with runtime.seeded(config.seed, torch.device("cpu")):
        networks = {
            name: ResnetGenerator(config.num_blocks, width=config.width, upsampling=config.upsampling)
            for name in DIRECTIONS
        }
        for network in networks.values():
            layers.initialize(network, config.init_std)
        return nn.ModuleDict(networks)


def build_discriminators(config: Config) -> nn.ModuleDict:
    """The two untrained discriminators, "A" and "B"; weights are drawn from ``config.seed + 1``."""
    with runtime.seeded(config.seed + 1, torch.device("cpu")):
        networks = {
            name: PatchGAN(config.patch, pictures=1, width=config.width, norm=layers.PLAIN) for name in ("A", "B")
        }
        for network in networks.values():
            layers.initialize(network, config.init_std)
        return nn.ModuleDict(networks)


class Players(players.Players):
    """Two generators with one Adam, two discriminators with another; `training.loop.fit` trains them."""

    def __init__(
        self, config: Config, G: nn.ModuleDict, D: nn.ModuleDict | None, precision: torch.dtype = torch.float32
    ) -> None:
        betas = (config.beta1, 0.999)
        networks = {"G": G} if D is None else {"G": G, "D": D}
        optimizers = {name: adam(networks[name], config.learning_rate, betas) for name in networks}
        shape = (3, config.image_size, config.image_size)
        self.pools = {f"pool_{domain}": ImagePool(0 if D is None else config.pool_size, shape) for domain in "AB"}
        super().__init__(networks, optimizers, _names(config), pools=self.pools, precision=precision)
        self.config, self.G, self.D = config, G, D

    def step(self, batch: Tensor, step: int = 0) -> tuple[Tensor, Tensor | None]:
        """`train_step` on a batch (N, 2, 3, H, W) in [0, 1]; returns the losses and the fakes of B."""
        losses, fake_B = train_step(self, *batch.unbind(1))
        return self.stack(losses), fake_B.detach()


def _names(config: Config) -> list[str]:
    """The losses in use, in the order of a history."""
    used = {
        "G_AB": config.gan_weight, "G_BA": config.gan_weight,
        "cycle_A": config.cycle_weight * (config.cycles != "backward"),
        "cycle_B": config.cycle_weight * (config.cycles != "forward"),
        "identity_A": config.identity_weight * config.cycle_weight,
        "identity_B": config.identity_weight * config.cycle_weight,
        "D_A": config.gan_weight, "D_B": config.gan_weight,
    }  # fmt: skip
    return [name for name, weight in used.items() if weight > 0]


def train_step(players: Players, real_A: Tensor, real_B: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """One gradient step on both generators, then one on both discriminators (Eq. 3).

    Args:
        players: the four networks and their optimizers.
        real_A, real_B: (N, 3, H, W) in [0, 1]; they show different scenes.

    Returns:
        The weighted losses by name, those in use: ``"G_AB"``, ``"G_BA"`` (the generators' adversarial losses),
        ``"cycle_A"``, ``"cycle_B"``, ``"identity_A"``, ``"identity_B"``, ``"D_A"``, ``"D_B"``; and fake_B,
        (N, 3, H, W) in [0, 1].
    """
    config, G, D = players.config, players.G, players.D
    weights = {"cycle": 2 * config.cycle_weight, "identity": 2 * config.cycle_weight * config.identity_weight}
    losses: dict[str, Tensor] = {}
    real = {"A": real_A, "B": real_B}
    with players.autocast():
        fake = {"B": G["AB"](real_A), "A": G["BA"](real_B)}
        for domain, other in ("AB", "BA"):
            way, back = domain + other, other + domain
            if D is not None:
                with frozen(D):
                    logits = D[other](fake[other]).float()
                losses[f"G_{way}"] = config.gan_weight * adversarial.generator_loss(logits, config.objective)
            if f"cycle_{domain}" in players.names:
                losses[f"cycle_{domain}"] = weights["cycle"] * _l1(G[back](fake[other]), real[domain])
            if f"identity_{domain}" in players.names:
                losses[f"identity_{domain}"] = weights["identity"] * _l1(G[back](real[domain]), real[domain])
    update(players.optimizers["G"], torch.stack(list(losses.values())).sum())
    if D is not None:
        for domain in "AB":
            with players.autocast():
                earlier = players.pools[f"pool_{domain}"](fake[domain])
                on_real, on_fake = D[domain](real[domain]).float(), D[domain](earlier).float()
            both = adversarial.real_loss(on_real, config.objective) + adversarial.fake_loss(on_fake, config.objective)
            losses[f"D_{domain}"] = both / 2  # halved: D learns more slowly than G (Section 7.1)
        update(players.optimizers["D"], losses["D_A"] + losses["D_B"])
    return losses, fake["B"]


def _l1(image: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference; `train_step` doubles it, since the paper's pictures span [−1, 1]."""
    return (image.float() - target).abs().mean()


@runtime.with_gradients()
def train(
    images_A: Any,
    images_B: Any,
    config: Config | None = None,
    *,
    start: Model | None = None,
    callback: runtime.Callback | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = True,
    preview: Tensor | None = None,
) -> Model:
    """Train two generators, A → B and B → A, from two sets of pictures without pairs (Zhu et al. 2017, Eq. 3).

    Args:
        images_A, images_B: of each domain: a folder, pictures (1, 3, H, W) in [0, 1] of any size, or a batch of them.
            An epoch shows every picture of the larger domain once (`data.unpaired.UnpairedImages`).
        config: defaults to the paper's: a day on a GPU of 2017.
        start: a trained model of the same shape to start from, with its discriminators if it has them.
        callback: called after each step with a `runtime.Progress` whose image is the current translation A → B of
            `preview`, or the first fake of the batch if there is no `preview`.
        checkpoint: a file; if it exists, the run resumes from it (`training.loop.fit`).
        resume: False: start over; the first new checkpoint replaces an existing one.
        preview: (N, 3, H, W) in [0, 1], pictures of A for the callback; they are not used for training.

    Returns:
        The trained generators and discriminators, on the CPU.

    Raises:
        ValueError: no pictures, fewer than a batch, pictures of another range, a `start` of another shape.
        CheckpointError: the checkpoint is damaged, in use, or of another run, or it could not be written there.

    >>> a, b = torch.rand(4, 3, 32, 32), torch.rand(3, 3, 40, 32)
    >>> model = train(a, b, replace(Config.quick(), num_epochs=2, width=0.05, num_blocks=1))
    >>> len(model.facts["history"]["cycle_A"]), tuple(translate(torch.rand(1, 3, 33, 64), model).image.shape)
    (2, (1, 3, 33, 64))
    """
    config = config_checks.given(config, Config, callback=callback)
    if preview is not None:
        check_pictures(preview, "the preview")
    data = UnpairedImages(
        images_A, images_B, size=config.image_size, load_size=config.load_size, mirror=config.mirror, seed=config.seed
    )
    device = runtime.pick_device(config.device)
    num_steps = config.num_epochs * len(data) // config.batch_size
    if num_steps == 0:
        raise ValueError(f"{len(data)} pictures do not fill a batch of {config.batch_size}")
    G, D = build(config), build_discriminators(config) if config.gan_weight > 0 else None
    if start is not None:
        config_checks.check_kind("start", start, Model)
        config_checks.check_same(start.config, config, _SHAPE)
        G.load_state_dict(start.network.state_dict())
        if D is not None and start.discriminators is not None:
            config_checks.check_same(start.config, config, ("patch",))
            D.load_state_dict(start.discriminators.state_dict())
    for network in (G, D):
        if network is not None:
            network.to(device, memory_format=_layout(config, config.precision, device))  # type: ignore[call-overload]
    learner = Players(config, G, D, runtime.pick_precision(config.precision, device))
    if callback is not None and preview is not None:
        unfinished = Model(G, config, {})
        settings: dict[str, Any] = {"device": str(device), "precision": config.precision}
        callback = showing(lambda: translate(preview, unfinished, **settings).image, callback)
    run = train_and_summarize(
        learner, data, config, num_steps=num_steps, start=start, callback=callback, checkpoint=checkpoint,
        resume=resume,
        fingerprint={"discriminators go on": start is not None and start.discriminators is not None},
        sights=collapse.both_ways(G["AB"], G["BA"], data),
    )  # fmt: skip
    return Model(G.cpu().eval(), config, run.facts, run.stopped, D.cpu().eval() if D is not None else None)


def translate(
    images: Tensor, model: Model, *, direction: str = "AB", device: str = "auto", precision: str = "auto"
) -> Result:
    """Translate pictures from A to B, or from B to A.

    Args:
        images: (N, 3, H, W) in [0, 1], of any size from 8 px up. Details come out at the size, in pixels, that the
            generators learned.
        model: from `train` or `load`.
        direction: ``"AB"`` or ``"BA"``.
        device: "auto", or where to compute.
        precision: "auto", "float32" or "bfloat16", of the convolutions.

    Returns:
        The pictures in the size of `images`; each is independent of the others.

    Raises:
        ValueError: wrong shape or range, an unknown direction.
        MemoryError: the pictures do not fit into the memory; names the largest that fit.
    """
    config_checks.check_kind("model", model, Model)
    check_pictures(images)
    if direction not in DIRECTIONS:
        raise ValueError(f'direction must be "AB" or "BA", got {direction!r}')
    began = time.perf_counter()
    width, where = model.config.width, runtime.pick_device(device)
    height, length = images.shape[-2:]
    check_memory(lambda h, w: _memory_needed(h, w, width), height, length, where)
    network, layout = model.network[direction], _layout(model.config, precision, where)
    with runtime.inference(network, device=device, precision=precision, layout=layout, repeats=True) as run:
        translated = [run(image) for image in images.split(1)]
    return Result(torch.cat(translated), {"seconds": [time.perf_counter() - began]})


def _memory_needed(height: int, width: int, channels: float) -> int:
    """Bytes for a pass over one picture, measured in float32: the layers at full size count."""
    return round(height * width * (_BYTES_PER_PIXEL + _BYTES_PER_PIXEL_AND_WIDTH * channels))


def _layout(config: Config, precision: str | torch.dtype, device: torch.device) -> torch.memory_format:
    """Of the networks' memory: in float32 a CPU convolves maps of 16×16 and fewer positions faster in contiguous."""
    small = config.image_size <= 64 and device.type == "cpu"
    in_float32 = runtime.pick_precision(precision, device) == torch.float32
    return torch.contiguous_format if small and in_float32 else torch.channels_last


def save(model: Model, path: str | Path, *, half: bool = False) -> None:
    """Write both generators and the configuration to one safetensors file, atomically.

    Args:
        path: of the file.
        half: store float16 weights, for half the size.
    """
    model_files.save(path, KIND, config_checks.check_kind("model", model, Model), half=half)


def load(path: str | Path) -> Model:
    """Read a model: a file, or the name of one that comes with the package (``"clear_dusk"``).

    Raises:
        ModelError: there is no such model, or the file is damaged, not a model file, or of another method.
    """
    return Model(*model_files.load(path, KIND, Config, build))
