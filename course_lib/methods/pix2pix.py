"""Image-to-image translation with conditional adversarial networks (Isola, Zhu, Zhou & Efros, CVPR 2017): pix2pix.

From pairs (x, y), here ``real_A`` and ``real_B``, a generator G learns to make y from x. A discriminator D gets a pair
and learns to tell whether its second picture is real:

    L_cGAN(G, D) = E log D(x, y) + E log(1 − D(x, G(x, z)))            Eq. 1; the noise z is dropout
    L_L1(G)      = E ‖y − G(x, z)‖₁                                    Eq. 3
    G*           = arg min_G max_D  L_cGAN(G, D) + λ L_L1(G)           Eq. 4, λ = 100

L1 alone favors the median of all pictures that fit x, which is blurred; the discriminator learns to reject blurred
pictures. Wang 2019 trains a generator from sketches to photographs in this way (`Config` holds its Table 1).
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from course_lib import config_checks, runtime
from course_lib.data.checked import checked
from course_lib.data.pairs import Jitter
from course_lib.images import center_crop, check_pictures, resize
from course_lib.losses import adversarial
from course_lib.networks import layers
from course_lib.networks.patchgan import PATCHES, PatchGAN
from course_lib.networks.unet import UNet
from course_lib.optimize.start import check_memory
from course_lib.training import model_files, players
from course_lib.training.image_pool import ImagePool
from course_lib.training.optimizers import adam
from course_lib.training.players import frozen, update
from course_lib.training.run import showing, train_and_summarize

KIND = "pix2pix"
TEST_MODES = ("batch_statistics", "running")
PADDINGS = ("reflect", "replicate")
_BYTES_PER_PIXEL, _BYTES_PER_PIXEL_AND_WIDTH = 60, 560  # peak of a pass on a CPU
_SHAPE = ("image_size", "width", "skips", "norm")  # equal fields: the weights of one generator fit the other


@dataclass(frozen=True)
class Config:
    """The paper's configuration, also used by Wang (2019, Table 1); every field names its source."""

    num_epochs: int = 200  # Appendix 6.2, façades
    batch_size: int = 1  # Appendix 6.2, façades; Wang, Table 1
    image_size: int = 256  # Appendix 6.2; Wang, Table 1 (crop size); a power of two
    load_size: int | None = 286  # Appendix 6.2; Wang, Table 1 (load size). None: pairs are used as they are
    mirror: bool = True  # Appendix 6.2
    aspect_ratio: float = 1.0  # Wang, Table 1: width / height of what `translate` returns
    gan_weight: float = 1.0  # Eq. 4; Wang, Table 1; 0: no discriminator
    l1_weight: float = 100.0  # λ, Appendix 6.2; Wang, Table 1; for pictures in [−1, 1]; 0: no L1 term
    conditional: bool = True  # whether the discriminator gets x: Eq. 1, or not: Eq. 2
    objective: str = "non-saturating"  # Section 3.3; "least-squares" or "minimax"
    learning_rate: float = 2e-4  # Adam, Section 3.3; Wang, Table 1
    beta1: float = 0.5  # Section 3.3
    cooldown: float = 0.0  # final fraction of the run, in which the learning rate falls to zero; not in the paper
    patch: int = 70  # the discriminator's receptive field in pixels, Section 4.4
    width: float = 1.0  # factor on 64 channels, Appendix 6.1
    skips: bool = True  # Section 3.2.1
    dropout: tuple[int, ...] = (1, 2, 3)  # decoder layers, counted from the innermost, Appendix 6.1
    norm: str = "batch"  # Section 3.3
    init_std: float = 0.02  # weights from N(0, 0.02²), Appendix 6.2
    pool_size: int = 0  # earlier fakes kept to be shown to the discriminator again; none in the paper
    precision: str = "auto"
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        config_checks.check(
            self,
            whole={"num_epochs": 1, "batch_size": 1, "image_size": 4, "pool_size": 0, "seed": 0},
            positive=("learning_rate", "width", "init_std", "aspect_ratio"),
            nonnegative=("gan_weight", "l1_weight", "beta1", "cooldown"),
            choices={
                "objective": adversarial.OBJECTIVES, "patch": tuple(PATCHES), "norm": layers.NORMS,
                "conditional": (True, False), "skips": (True, False), "mirror": (True, False),
            },
        )  # fmt: skip
        config_checks.check_wholes(self, "dropout", "decoder layers, numbers from 1 to 8", most=8, growing=False)
        if self.cooldown > 1 or self.beta1 >= 1:
            raise ValueError(f"cooldown must be at most 1 and beta1 below 1, got {self.cooldown} and {self.beta1}")
        if self.load_size is not None:
            config_checks.check(self, whole={"load_size": 1})
        if self.image_size & (self.image_size - 1):
            raise ValueError(f"image_size must be a power of two (the U-Net halves it), got {self.image_size}")
        if self.load_size is not None and self.load_size < self.image_size:
            raise ValueError(f"load_size must be at least image_size ({self.image_size}), got {self.load_size}")
        if self.gan_weight == self.l1_weight == 0:
            raise ValueError("gan_weight and l1_weight are both 0: there is nothing to learn from")

    @classmethod
    def released(cls) -> Config:
        """The defaults of the authors' PyTorch code: the rate falls in the second half, dropout one layer later."""
        return cls(cooldown=0.5, dropout=(2, 3, 4))

    @classmethod
    def fast(cls) -> Config:
        """Our fastest settings on a CPU: small pictures, few channels, batches of four, instance norm."""
        return cls(
            num_epochs=1, batch_size=4, image_size=128, load_size=None, mirror=False, cooldown=0.5,
            width=0.25, norm="instance", dropout=(1, 2),
        )  # fmt: skip

    @classmethod
    def quick(cls) -> Config:
        """A minute on a CPU, at 64 px."""
        return replace(cls.fast(), image_size=64, patch=16, learning_rate=1e-3)


@dataclass(frozen=True)
class Model:
    """What `train` returns and `load` reads."""

    network: UNet
    config: Config
    facts: dict[str, Any]  # of the training run: "photos", "history", "seconds", "device", …
    stopped: str | None = None  # why the training ended early, or None
    discriminator: PatchGAN | None = None  # as trained; not stored in model files


@dataclass(frozen=True)
class Result:
    """What `translate` returns."""

    image: Tensor  # (N, 3, H, W) in [0, 1], float32, on the CPU
    history: dict[str, list[float]]  # "seconds": duration of the pass


def build(config: Config) -> UNet:
    """The untrained generator of a configuration; its weights are drawn from ``config.seed``."""
    with runtime.seeded(config.seed, torch.device("cpu")):
        depth = config.image_size.bit_length() - 1  # down to 1 × 1
        network = UNet(depth=depth, width=config.width, skips=config.skips, dropout=config.dropout, norm=config.norm)
        layers.initialize(network, config.init_std)
        return network


def build_discriminator(config: Config) -> PatchGAN:
    """The untrained discriminator of a configuration; its weights are drawn from ``config.seed + 1``."""
    with runtime.seeded(config.seed + 1, torch.device("cpu")):
        network = PatchGAN(config.patch, pictures=1 + config.conditional, width=config.width, norm=config.norm)
        layers.initialize(network, config.init_std)
        return network


class Players(players.Players):
    """Generator and discriminator, each with its own Adam; `training.loop.fit` trains them by `train_step`."""

    def __init__(self, config: Config, G: UNet, D: PatchGAN | None, precision: torch.dtype = torch.float32) -> None:
        betas = (config.beta1, 0.999)
        networks = {"G": G} if D is None else {"G": G, "D": D}
        optimizers = {
            name: adam(networks[name], config.learning_rate, betas) for name in ("D", "G") if name in networks
        }
        losses = [*["D_real", "D_fake", "G_GAN"] * (D is not None), *["G_L1"] * (config.l1_weight > 0)]
        shape = (3 * (1 + config.conditional), config.image_size, config.image_size)
        self.pool = ImagePool(0 if D is None else config.pool_size, shape)
        super().__init__(networks, optimizers, losses, pools={"pool": self.pool}, precision=precision)
        self.config, self.G, self.D = config, G, D

    def step(self, batch: Tensor, step: int = 0) -> tuple[Tensor, Tensor | None]:
        """`train_step` on a batch (N, 2, 3, H, W) in [0, 1]; returns the losses and the fakes."""
        losses, fake_B = train_step(self, *batch.unbind(1))
        return self.stack(losses), fake_B.detach()


def train_step(players: Players, real_A: Tensor, real_B: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """One gradient step on D, then one on G (Section 3.3).

    Args:
        players: the two networks and their optimizers.
        real_A, real_B: (N, 3, H, W) in [0, 1].

    Returns:
        The losses by name, ``"D_real"``, ``"D_fake"``, ``"G_GAN"`` and ``"G_L1"``, those in use, and fake_B,
        (N, 3, H, W) in [0, 1].
    """
    config, G, D = players.config, players.G, players.D
    losses: dict[str, Tensor] = {}
    with players.autocast():
        fake_B = G(real_A)
    if D is not None:
        given = (real_A,) if config.conditional else ()
        with players.autocast():
            earlier = players.pool(torch.cat((*given, fake_B), 1)).split(3, 1)
            losses["D_real"] = adversarial.real_loss(D(*given, real_B).float(), config.objective)
            losses["D_fake"] = adversarial.fake_loss(D(*earlier).float(), config.objective)
        # halved: D learns more slowly than G (Section 3.3)
        update(players.optimizers["D"], (losses["D_real"] + losses["D_fake"]) / 2)
        with players.autocast(), frozen(D):
            logits = D(*given, fake_B).float()
            losses["G_GAN"] = config.gan_weight * adversarial.generator_loss(logits, config.objective)
    if config.l1_weight > 0:
        losses["G_L1"] = config.l1_weight * 2 * (fake_B - real_B).abs().mean()  # 2: the paper's pictures span [−1, 1]
    update(players.optimizers["G"], torch.stack([loss for name, loss in losses.items() if name[0] == "G"]).sum())
    return losses, fake_B


@runtime.with_gradients()
def train(
    pairs: Any,
    config: Config | None = None,
    *,
    start: Model | None = None,
    callback: runtime.Callback | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = True,
    preview: Tensor | None = None,
) -> Model:
    """Train a generator that translates A into B, from pairs (Isola et al. 2017, Eq. 4).

    Args:
        pairs: a map-style dataset of (2, 3, H, W) in [0, 1], A then B: `data.pairs.PairedImages`,
            `data.facades.Facades`, a list of tensors. Each pair is checked when it is first used.
        config: defaults to the paper's: an hour or two on a GPU of 2017, days on two CPU cores.
        start: a trained model of the same shape to start from, with its discriminator if it has one.
        callback: called after each step with a `runtime.Progress` whose image is the generator's current output for
            `preview`, or the first fake of the batch if there is no `preview`.
        checkpoint: a file; if it exists, the run resumes from it (`training.loop.fit`).
        resume: False: start over; the first new checkpoint replaces an existing one.
        preview: (N, 3, H, W) in [0, 1], pictures of A for the callback; they are not used for training.

    Returns:
        The trained generator and discriminator, on the CPU.

    Raises:
        ValueError: no pairs, fewer pairs than a batch, pairs of another shape or range, a `start` of another shape.
        CheckpointError: the checkpoint is damaged, in use, or of another run, or it could not be written there.

    >>> pairs = [torch.rand(2, 3, 20, 20) for _ in range(2)]
    >>> model = train(pairs, Config(num_epochs=2, image_size=32, load_size=36, width=0.1, patch=16))
    >>> len(model.facts["history"]["G_L1"]), tuple(translate(torch.rand(1, 3, 32, 64), model).image.shape)
    (4, (1, 3, 32, 64))
    """
    config = config_checks.given(config, Config, callback=callback)
    data: Any = checked(pairs, (2, 3), "pair", same_size=config.load_size is None)
    pairs = data
    if preview is not None:
        check_pictures(preview, "the preview")
    first = tuple(pairs[0].shape[-2:])
    device = runtime.pick_device(config.device)
    if config.load_size is not None:
        data = Jitter(
            pairs, load_size=config.load_size, size=config.image_size, mirror=config.mirror, seed=config.seed
        ).near(device)
    elif first != (config.image_size, config.image_size):
        size = config.image_size
        raise ValueError(f"with load_size=None pairs must be {size}×{size} px, got {first[0]}×{first[1]}")
    num_steps = config.num_epochs * len(pairs) // config.batch_size
    if num_steps == 0:
        raise ValueError(f"{len(pairs)} pairs do not fill a batch of {config.batch_size}")
    G, D = build(config), build_discriminator(config) if config.gan_weight > 0 else None
    if start is not None:
        config_checks.check_kind("start", start, Model)
        config_checks.check_same(start.config, config, _SHAPE)
        G.load_state_dict(start.network.state_dict())
        if D is not None and start.discriminator is not None:
            config_checks.check_same(start.config, config, ("patch", "conditional"))
            D.load_state_dict(start.discriminator.state_dict())
    for network in (G, D):
        if network is not None:
            network.to(device, memory_format=_layout(device))  # type: ignore[call-overload]
    learner = Players(config, G, D, runtime.pick_precision(config.precision, device))
    if callback is not None and preview is not None:
        unfinished = Model(G, config, {})
        settings: dict[str, Any] = {"device": str(device), "precision": config.precision}
        callback = showing(lambda: translate(preview, unfinished, **settings).image, callback)
    run = train_and_summarize(
        learner, data, config, num_steps=num_steps, start=start, callback=callback, checkpoint=checkpoint,
        resume=resume,
        fingerprint={"discriminator goes on": start is not None and start.discriminator is not None},
    )  # fmt: skip
    return Model(G.cpu().eval(), config, run.facts, run.stopped, D.cpu().eval() if D is not None else None)


def translate(
    images: Tensor, model: Model, *, test_mode: str = "batch_statistics", padding: str = "reflect", seed: int = 0,
    device: str = "auto", precision: str = "auto",
) -> Result:  # fmt: skip
    """Translate pictures from A to B.

    The generator takes sides that are multiples of its image_size. Other pictures are padded on all sides, translated
    and cropped again. It paints details at the size, in pixels, that it learned: in a picture of four times its
    image_size, windows look four times too small.

    Args:
        images: (N, 3, H, W) in [0, 1], of any size.
        model: from `train` or `load`.
        test_mode: ``"batch_statistics"``, as in the paper (Section 3.3): dropout stays on, and batch norm uses the
            statistics of a batch of the size used in training; ``"running"``, the usual evaluation mode: no dropout,
            and the statistics collected in training. Chapter 9 compares them.
        padding: ``"reflect"``: mirror the picture at its border; ``"replicate"``: repeat its outermost pixels, better
            for label maps, where mirrored rectangles would appear twice.
        seed: of the dropout, the same for every batch: with instance norm or a batch size of 1, the output for a
            picture does not depend on the other pictures.
        device: "auto", or where to compute.
        precision: "auto", "float32" or "bfloat16", of the convolutions.

    Returns:
        The pictures in the size of `images`; with an aspect_ratio other than 1, the width is multiplied by it.

    Raises:
        ValueError: wrong shape or range, an unknown test_mode or padding.
        MemoryError: the pictures do not fit into the memory; names the largest that fit.
    """
    config_checks.check_kind("model", model, Model)
    check_pictures(images)
    if test_mode not in TEST_MODES:
        raise ValueError(f"test_mode must be one of {', '.join(map(repr, TEST_MODES))}, got {test_mode!r}")
    if padding not in PADDINGS:
        raise ValueError(f"padding must be one of {', '.join(map(repr, PADDINGS))}, got {padding!r}")
    began, translated = time.perf_counter(), []
    together = model.config.batch_size if model.config.norm == "batch" else 1
    as_trained = layers.batch_statistics if test_mode == "batch_statistics" else nullcontext
    side, (height, width) = model.config.image_size, images.shape[-2:]
    count, channels = min(together, len(images)), model.config.width
    check_memory(lambda h, w: _memory_needed(h, w, side, channels, count), height, width, runtime.pick_device(device))
    layout = _layout(runtime.pick_device(device))
    inference = runtime.inference(model.network, device=device, precision=precision, layout=layout, repeats=True)
    with inference as run, as_trained(model.network):
        for batch in images.split(together):
            with runtime.seeded(seed, runtime.pick_device(device)):
                painted = run(_padded(batch, side, padding))
            translated.append(center_crop(painted, (height, width)))
    image = torch.cat(translated)
    if model.config.aspect_ratio != 1:
        image = resize(image, (image.shape[-2], max(1, round(image.shape[-1] * model.config.aspect_ratio))))
    return Result(image, {"seconds": [time.perf_counter() - began]})


def _padded(images: Tensor, multiple: int, padding: str) -> Tensor:
    """Pictures with margins of equal width, so that their sides are multiples of a number; `center_crop` undoes it."""
    rows, columns = (_with_margins(length, -length % multiple, padding) for length in images.shape[-2:])
    return images if len(rows) + len(columns) == sum(images.shape[-2:]) else images[..., rows, :][..., columns]


def _with_margins(length: int, more: int, padding: str) -> Tensor:
    """Row numbers 0 to length − 1, with `more` in all before and after them, mirrored at the ends or repeated."""
    index = torch.arange(-(more // 2), length + more - more // 2)
    if padding == "replicate":
        return index.clamp(0, length - 1)
    index = index.remainder(max(1, 2 * (length - 1)))  # a picture smaller than its margin is mirrored again and again
    return torch.minimum(index, (2 * (length - 1) - index).abs())


def _memory_needed(height: int, width: int, multiple: int, channels: float, count: int) -> int:
    """Bytes for a pass over `count` pictures, measured in float32: the layers at half and at full size count."""
    pixels = count * (height + -height % multiple) * (width + -width % multiple)
    return round(pixels * (_BYTES_PER_PIXEL + _BYTES_PER_PIXEL_AND_WIDTH * channels))


def _layout(device: torch.device) -> torch.memory_format:
    """Of the networks' memory: a CPU is slow at transposed convolutions, and at large filters, in channels-last."""
    return torch.contiguous_format if device.type == "cpu" else torch.channels_last


def save(model: Model, path: str | Path, *, half: bool = False) -> None:
    """Write the generator and its configuration to one safetensors file, atomically.

    Args:
        path: of the file.
        half: store float16 weights, for half the size.
    """
    model_files.save(path, KIND, config_checks.check_kind("model", model, Model), half=half)


def load(path: str | Path) -> Model:
    """Read a model: a file, or the name of one that comes with the package (``"facade_labels"``).

    Raises:
        ModelError: there is no such model, or the file is damaged, not a model file, or of another method.
    """
    return Model(*model_files.load(path, KIND, Config, build))
