"""Unpaired translation with attention and learned normalization: U-GAT-IT (Kim, Kim, Kang & Lee, ICLR 2020).

As in CycleGAN there are two generators and no pairs. Two classifiers are new, one inside each generator, η, and one
inside each discriminator; their weights say which feature maps tell the domains apart (`networks.class_attention`).

    L_gan      = E (D(y) − 1)² + E D(G(x))²              Eqs. 2 and 6, least squares: D's patches, D's classifier
    L_cycle    = E ‖x − G_BA(G_AB(x))‖₁                  Eq. 3
    L_identity = E ‖y − G_AB(y)‖₁                        Eq. 4
    L_cam      = −E log η(x) − E log(1 − η(y))           Eq. 5: is it of the domain to translate from?
    L          = L_gan + 10 L_cycle + 10 L_identity + 1000 L_cam     Eq. 7

x is of A and y of B; the same again the other way round. Each domain has a local and a global discriminator. Decoders
normalize by AdaLIN, whose ρ moves back into [0, 1] after each step (`networks.adalin`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib import arguments, config_checks, runtime
from course_lib.data.unpaired import UnpairedImages
from course_lib.images import check_pictures
from course_lib.losses import adversarial
from course_lib.networks import layers
from course_lib.networks.adalin import NORMS, clip_rhos
from course_lib.networks.class_attention import Only
from course_lib.networks.patchgan import PATCHES
from course_lib.networks.ugatit import GLOBAL, LOCAL, AttentionDiscriminator, AttentionGenerator, smallest_picture
from course_lib.optimize.start import check_memory
from course_lib.training import collapse, model_files, players
from course_lib.training.optimizers import adam
from course_lib.training.players import frozen, update
from course_lib.training.run import showing, train_and_summarize

KIND = "ugatit"
DIRECTIONS = ("AB", "BA")
OBJECTIVE = "least-squares"  # Eqs. 2 and 6
_BYTES_PER_PIXEL, _BYTES_PER_PIXEL_AND_WIDTH = 20, 1080  # peak of a pass on a CPU
_SHAPE = ("width", "num_blocks", "halvings", "light", "norm")  # equal fields: the weights of one model fit the other


@dataclass(frozen=True)
class Config:
    """The paper's configuration; every field names its source ("code": the authors')."""

    num_steps: int = 1_000_000  # Appendix B
    batch_size: int = 1  # Appendix B
    image_size: int = 256  # Appendix B; side of what the networks see
    load_size: int | None = 286  # Appendix B. None: pictures are resized to image_size
    mirror: bool = True  # Appendix B
    gan_weight: float = 1.0  # λ1, Eq. 7
    cycle_weight: float = 10.0  # λ2, Eq. 7, for pictures in [−1, 1]
    identity_weight: float = 10.0  # λ3, Eq. 7, for pictures in [−1, 1]
    cam_weight: float = 1000.0  # λ4, Eq. 7
    learning_rate: float = 1e-4  # Adam, Appendix B
    beta1: float = 0.5  # Appendix B
    weight_decay: float = 1e-4  # Appendix B
    cooldown: float = 0.5  # final fraction of the run, in which the learning rate falls to zero, Appendix B
    light: bool = False  # code: γ and β from the mean of each feature map, for any size
    num_blocks: int = 4  # residual blocks before the attention, and as many with AdaLIN after it; code
    halvings: int = 2  # of the generators, Appendix B
    width: float = 1.0  # factor on 64 channels, Appendix B
    norm: str = "adalin"  # "instance": AdaIN, ρ = 1; "layer": ρ = 0 (Section 3.3)
    global_patch: int = GLOBAL  # receptive field of the global discriminators in pixels, Appendix B: 7 layers
    local_patch: int = LOCAL  # of the local ones, Appendix B: 5 layers
    init_std: float = 0.02  # weights from N(0, 0.02²), Appendix B
    precision: str = "auto"
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        patches = tuple(PATCHES)[1:]
        config_checks.check(
            self,
            whole={"num_steps": 1, "batch_size": 1, "image_size": 8, "num_blocks": 0, "halvings": 0, "seed": 0},
            positive=("gan_weight", "learning_rate", "width", "init_std"),
            nonnegative=("cycle_weight", "identity_weight", "cam_weight", "beta1", "weight_decay"),
            fractions=("cooldown",),
            choices={
                "mirror": (True, False), "light": (True, False), "norm": NORMS,
                "global_patch": patches, "local_patch": patches,
            },
        )  # fmt: skip
        if self.beta1 >= 1:
            raise ValueError(f"beta1 must be below 1, got {self.beta1}")
        if self.load_size is not None:
            config_checks.check(self, whole={"load_size": self.image_size})
        elif self.mirror:
            raise ValueError("mirror=True needs a load_size: without one, pictures are only resized")
        step = 2 ** arguments.whole("halvings", self.halvings, 0, 2)
        if not self.light and self.image_size % step:
            raise ValueError(f"image_size must be a multiple of {step}, unless light=True, got {self.image_size}")
        for name in ("global_patch", "local_patch"):
            if self.image_size < (least := smallest_picture(getattr(self, name))):
                raise ValueError(
                    f"{name} = {getattr(self, name)} needs an image_size of at least {least}, got {self.image_size}; "
                    "choose a smaller patch"
                )

    @classmethod
    def light_version(cls) -> Config:
        """The authors' light version: γ and β come from the mean of each feature map, for pictures of any size."""
        return cls(light=True)

    @classmethod
    def fast(cls) -> Config:
        """Our fastest settings on a CPU: small pictures, few channels, light; and the classifiers weigh less.

        Three narrow layers of weights from N(0, 0.02²) make a γ near 0. Blocks that are multiplied by it get no
        gradients, and weight decay alone moves their ρ; so the weights start larger here.
        """
        return cls(
            num_steps=5000, batch_size=2, image_size=64, load_size=None, mirror=False, cam_weight=10.0, light=True,
            num_blocks=2, halvings=1, width=0.375, global_patch=70, local_patch=34, learning_rate=4e-4, init_std=0.08,
        )  # fmt: skip

    @classmethod
    def quick(cls) -> Config:
        """Under half a minute on a CPU, at 32 px: colors and light, no details."""
        return replace(
            cls.fast(), num_steps=120, image_size=32, num_blocks=1, halvings=2, width=0.125,
            global_patch=34, local_patch=16, learning_rate=1e-3,
        )  # fmt: skip


@dataclass(frozen=True)
class Model:
    """What `train` returns and `load` reads."""

    network: nn.ModuleDict  # the generators "AB" and "BA"
    config: Config
    facts: dict[str, Any]  # of the training run: "photos", "history", "collapsed", "seconds", "device", …
    stopped: str | None = None  # why the training ended early, or None
    discriminators: nn.ModuleDict | None = None  # "global_A", "local_A", …; not stored in model files


@dataclass(frozen=True)
class Result:
    """What `translate` returns."""

    image: Tensor  # (N, 3, H, W) in [0, 1], float32, on the CPU
    history: dict[str, list[float]]  # "seconds": duration of the pass


def build(config: Config) -> nn.ModuleDict:
    """The two untrained generators of a configuration, "AB" and "BA"; weights are drawn from ``config.seed``."""
    with runtime.seeded(config.seed, torch.device("cpu")):
        networks = {
            name: AttentionGenerator(
                config.num_blocks, width=config.width, light=config.light, image_size=config.image_size,
                norm=config.norm, halvings=config.halvings,
            )
            for name in DIRECTIONS
        }  # fmt: skip
        for network in networks.values():
            layers.initialize(network, config.init_std)
        return nn.ModuleDict(networks)


def build_discriminators(config: Config) -> nn.ModuleDict:
    """The four untrained discriminators, "global_A", "local_A", …; weights are drawn from ``config.seed + 1``."""
    patches = {"global": config.global_patch, "local": config.local_patch}
    with runtime.seeded(config.seed + 1, torch.device("cpu")):
        return nn.ModuleDict({
            f"{reach}_{domain}": AttentionDiscriminator(patch, width=config.width, init_std=config.init_std)
            for domain in "AB"
            for reach, patch in patches.items()
        })  # fmt: skip


class Players(players.Players):
    """Two generators with one Adam, four discriminators with another; `training.loop.fit` trains them."""

    def __init__(
        self, config: Config, G: nn.ModuleDict, D: nn.ModuleDict, precision: torch.dtype = torch.float32
    ) -> None:
        betas, decay = (config.beta1, 0.999), config.weight_decay
        optimizers = {
            name: adam(network, config.learning_rate, betas, weight_decay=decay)
            for name, network in {"D": D, "G": G}.items()
        }
        names = ["D_A", "D_B", *(f"{name}_{way}" for name in ("G", "cycle", "identity", "cam") for way in DIRECTIONS)]
        super().__init__({"G": G, "D": D}, optimizers, names, precision=precision)
        self.config, self.G, self.D = config, G, D

    def scores(self, domain: str, image: Tensor) -> list[Tensor]:
        """What a domain's discriminators say: logits of patches, logits of the classifier; the global one first."""
        judged = [self.D[f"{reach}_{domain}"](image) for reach in ("global", "local")]
        return [logits.float() for each in judged for logits in (each.output, each.logits)]

    def step(self, batch: Tensor, step: int = 0) -> tuple[Tensor, Tensor | None]:
        """`train_step` on a batch (N, 2, 3, H, W) in [0, 1]; returns the losses and the fakes of B."""
        losses, fake_B = train_step(self, *batch.unbind(1))
        return self.stack(losses), fake_B.detach()


def train_step(players: Players, real_A: Tensor, real_B: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """One gradient step on all discriminators, then one on both generators, whose ρ are clipped (Eq. 7).

    Args:
        players: the six networks and their optimizers.
        real_A, real_B: (N, 3, H, W) in [0, 1]; they show different scenes.

    Returns:
        The weighted losses by name: ``"D_A"``, ``"D_B"``; for each generator, ``"G_AB"`` (adversarial), ``"cycle_AB"``
        (A → B → A), ``"identity_AB"`` (B → B), ``"cam_AB"`` (its classifier), and those of ``BA``; and fake_B,
        (N, 3, H, W) in [0, 1].
    """
    config, G, D = players.config, players.G, players.D
    losses: dict[str, Tensor] = {}
    real = {"A": real_A, "B": real_B}
    with players.autocast():
        made = {"A": G["BA"](real_B), "B": G["AB"](real_A)}
        for domain, fake in made.items():
            on_real, on_fake = players.scores(domain, real[domain]), players.scores(domain, fake.output.detach())
            judged = [adversarial.real_loss(score, OBJECTIVE) for score in on_real]
            judged += [adversarial.fake_loss(score, OBJECTIVE) for score in on_fake]
            losses[f"D_{domain}"] = config.gan_weight * _sum(judged)
    update(players.optimizers["D"], losses["D_A"] + losses["D_B"])
    with frozen(D), players.autocast():
        for way, source, target in (("AB", "A", "B"), ("BA", "B", "A")):
            there, same = made[target], G[way](real[target])  # x → G(x), and y → G(y), which should be y
            again = G[target + source](there.output).output
            adversary = [adversarial.generator_loss(s, OBJECTIVE) for s in players.scores(target, there.output)]
            cam = adversarial.real_loss(there.logits.float()) + adversarial.fake_loss(same.logits.float())
            losses[f"G_{way}"] = config.gan_weight * _sum(adversary)
            losses[f"cycle_{way}"] = 2 * config.cycle_weight * _l1(again, real[source])  # the paper's span [−1, 1]
            losses[f"identity_{way}"] = 2 * config.identity_weight * _l1(same.output, real[target])
            losses[f"cam_{way}"] = config.cam_weight * cam
    update(players.optimizers["G"], _sum(loss for name, loss in losses.items() if name not in ("D_A", "D_B")))
    clip_rhos(G)
    return losses, made["B"].output


def _sum(losses: Iterable[Tensor]) -> Tensor:
    return torch.stack([*losses]).sum()


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
    """Train two generators, A → B and B → A, from two sets of pictures without pairs (Kim et al. 2020, Eq. 7).

    Args:
        images_A, images_B: of each domain: a folder, pictures (1, 3, H, W) in [0, 1] of any size, or a batch of them.
            An epoch shows every picture of the larger domain once (`data.unpaired.UnpairedImages`).
        config: defaults to the paper's: 671 million parameters, and days on a GPU of 2019.
        start: a trained model of the same shape to start from, with its discriminators if it has them.
        callback: called after each step with a `runtime.Progress` whose image is the current translation A → B of
            `preview`, or the first fake of the batch if there is no `preview`.
        checkpoint: a file; if it exists, the run resumes from it (`training.loop.fit`).
        resume: False: start over; the first new checkpoint replaces an existing one.
        preview: (N, 3, H, W) in [0, 1], pictures of A for the callback; they are not used for training.

    Returns:
        The trained generators and discriminators, on the CPU.

    Raises:
        ValueError: no pictures, pictures of another range, a `start` of another shape.
        CheckpointError: the checkpoint is damaged, in use, or of another run, or it could not be written there.

    >>> a, b = torch.rand(4, 3, 32, 32), torch.rand(3, 3, 40, 32)
    >>> model = train(a, b, replace(Config.quick(), num_steps=2, width=0.05))
    >>> len(model.facts["history"]["cam_AB"]), tuple(translate(torch.rand(1, 3, 33, 64), model).image.shape)
    (2, (1, 3, 33, 64))
    """
    config = config_checks.given(config, Config, callback=callback)
    if preview is not None:
        check_pictures(preview, "the preview")
    data = UnpairedImages(
        images_A, images_B, size=config.image_size, load_size=config.load_size, mirror=config.mirror, seed=config.seed
    )
    device = runtime.pick_device(config.device)
    G, D = build(config), build_discriminators(config)
    if start is not None:
        config_checks.check_kind("start", start, Model)
        config_checks.check_same(start.config, config, (*_SHAPE, *([] if config.light else ["image_size"])))
        G.load_state_dict(start.network.state_dict())
        if start.discriminators is not None:
            config_checks.check_same(start.config, config, ("global_patch", "local_patch"))
            D.load_state_dict(start.discriminators.state_dict())
    for network in (G, D):
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    learner = Players(config, G, D, runtime.pick_precision(config.precision, device))
    if callback is not None and preview is not None:
        unfinished = Model(G, config, {})
        settings: dict[str, Any] = {"device": str(device), "precision": config.precision}
        callback = showing(lambda: translate(preview, unfinished, **settings).image, callback)
    run = train_and_summarize(
        learner, data, config, start=start, callback=callback, checkpoint=checkpoint, resume=resume,
        fingerprint={"discriminators go on": start is not None and start.discriminators is not None},
        sights=collapse.both_ways(Only(G["AB"], "output"), Only(G["BA"], "output"), data),
    )  # fmt: skip
    return Model(G.cpu().eval(), config, run.facts, run.stopped, D.cpu().eval())


def translate(
    images: Tensor, model: Model, *, direction: str = "AB", device: str | int | torch.device = "auto",
    precision: str = "auto",
) -> Result:  # fmt: skip
    """Translate pictures from A to B, or from B to A.

    Args:
        images: (N, 3, H, W) in [0, 1], of any size from 8 px up with a light generator; otherwise of the size that the
            generators learned.
        model: from `train` or `load`.
        direction: ``"AB"`` or ``"BA"``.
        device: "auto", or where to compute.
        precision: "auto", "float32" or "bfloat16", of the convolutions.

    Returns:
        The pictures in the size of `images`; each is independent of the others.

    Raises:
        ValueError: wrong shape or range, another size than the generators take, an unknown direction.
        MemoryError: the pictures do not fit into the memory; names the largest that fit.
    """
    began = time.perf_counter()
    translated = _passed("output", images, model, direction, device, precision)
    return Result(translated, {"seconds": [time.perf_counter() - began]})


def attention(
    images: Tensor, model: Model, *, direction: str = "AB", device: str | int | torch.device = "auto",
    precision: str = "auto",
) -> Tensor:  # fmt: skip
    """Where a generator looks: a heat map for each picture, the sum of its attended feature maps.

    Args:
        images, model, direction, device, precision: as for `translate`.

    Returns:
        (N, 1, H, W) on the CPU, enlarged from the size of the feature maps, a quarter in the paper; in each map the
        smallest number is 0, the largest 1. A map without differences is 0 everywhere.

    Raises:
        ValueError, MemoryError: as for `translate`.
    """
    heat = _passed("heat", images, model, direction, device, precision).float()
    heat = F.interpolate(heat, scale_factor=2**model.config.halvings, mode="bilinear")
    heat = heat[..., : images.shape[2], : images.shape[3]]
    low, high = heat.amin((2, 3), keepdim=True), heat.amax((2, 3), keepdim=True)
    return torch.where(high > low, (heat - low) / (high - low), 0.0)


def _passed(
    part: str, images: Tensor, model: Model, direction: str, device: str | int | torch.device, precision: str
) -> Tensor:
    """One part of what a generator computes for each picture, after everything has been checked."""
    config_checks.check_kind("model", model, Model)
    check_pictures(images)
    direction = arguments.choice("direction", direction, DIRECTIONS)
    width, (height, length) = model.config.width, images.shape[-2:]
    check_memory(lambda h, w: _memory_needed(h, w, width), height, length, runtime.pick_device(device))
    with runtime.inference(
        Only(model.network[direction], part), device=device, precision=precision, repeats=True
    ) as run:
        return torch.cat([run(image) for image in images.split(1)])


def _memory_needed(height: int, width: int, channels: float) -> int:
    """Bytes for a pass over one picture, measured in float32: the layers at full size count."""
    return round(height * width * (_BYTES_PER_PIXEL + _BYTES_PER_PIXEL_AND_WIDTH * channels))


def save(model: Model, path: str | Path, *, half: bool = False) -> None:
    """Write both generators and the configuration to one safetensors file, atomically.

    Args:
        path: of the file.
        half: store float16 weights, for half the size.
    """
    model_files.save(path, KIND, config_checks.check_kind("model", model, Model), half=half)


def load(path: str | Path) -> Model:
    """Read a model: a file, or the name of one that comes with the package (``"plaster_brick"``).

    Raises:
        ModelError: there is no such model, or the file is damaged, not a model file, or of another method.
    """
    return Model(*model_files.load(path, KIND, Config, build))
