"""Perceptual losses for super-resolution (Johnson, Alahi & Fei-Fei, ECCV 2016, Section 4.2).

A network f_W enlarges a small picture x. Two losses compare its output with the large original y:

    ℓ_pixel = mean (f_W(x) − y)²             highest PSNR, but blurred: the mean of all pictures that fit
    ℓ_feat  = mean (φ(f_W(x)) − φ(y))²       φ: relu2_2 of VGG-16; sharper, with a lower PSNR (Eq. 2)

The small picture x is made from y by a slight Gaussian blur and bicubic interpolation.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from course_lib import arguments, config_checks, losses, runtime
from course_lib.data.crops import training_photos
from course_lib.images import check_pictures, resample
from course_lib.losses.perceptual import PerceptualLoss
from course_lib.networks import layers, tiles
from course_lib.networks.super_resolution_net import FACTORS, SuperResolutionNet
from course_lib.pretrained.vgg import VGGFeatures
from course_lib.training import model_files
from course_lib.training.loop import Minimizer
from course_lib.training.run import showing, train_and_summarize

KIND = "super_resolution"
LOSSES = ("feature", "pixel")
SMALLEST = 5  # px, shortest side of a small picture
SCALES = (0.0, 0.5)  # of the training crops: the lower half of the range of `data.crops.Crops`, near full detail
_TILE = 192  # input pixels: side of the tiles of larger pictures


@dataclass(frozen=True)
class Config:
    """The paper's configuration; every field names its source."""

    factor: int = 4  # 4 or 8, Section 4.2
    loss: str = "feature"  # "feature" (ℓ_feat) or "pixel" (ℓ_pixel), Section 4.2
    num_steps: int = 200_000  # Section 4.2
    batch_size: int = 4  # Section 4.2
    image_size: int = 288  # of the large pictures, Section 4.2
    learning_rate: float = 1e-3  # Adam, Section 4.2
    cooldown: float = 0.0  # final fraction of the run, in which the learning rate falls to zero; not in the paper
    blur: float = 1.0  # σ in pixels before the reduction, Section 4.2
    layer: str = "relu2_2"  # Section 4.2
    shift: int = 0  # both pictures are cropped by 0 to this many px before the loss, see chapter 7; not in the paper
    pixel_weight: float = 0.0  # of ℓ_pixel in addition to ℓ_feat, an option of the authors' code; none in Section 4.2
    tv_weight: float = 0.0  # total variation, on the mean over pixels in [0, 1]; none in Section 4.2
    width: float = 1.0  # factor on 64 channels (supplement, Table 2)
    num_blocks: int = 4  # supplement, Table 2
    norm: str = "batch"  # Section 3.1
    upsampling: str = "transposed"  # Section 3.1
    skip: bool = False  # learn the difference from bicubic interpolation; not in the paper (Kim et al. 2016)
    arch: str = "vgg16"  # Section 4
    weights: str | Path | None = "default"  # of the loss network
    accumulate: int = 1  # parts in which a batch is computed, to save memory; ours
    precision: str = "auto"
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        config_checks.check(
            self,
            whole={
                "num_steps": 1, "batch_size": 1, "image_size": 8, "num_blocks": 0,
                "accumulate": 1, "seed": 0, "shift": 0,
            },
            positive=("learning_rate", "width"),
            nonnegative=("blur", "pixel_weight", "tv_weight", "cooldown"),
            choices={
                "factor": FACTORS, "loss": LOSSES, "skip": (False, True),
                "norm": layers.NORMS, "upsampling": layers.UPSAMPLINGS, "arch": ("vgg16", "vgg19"),
            },
        )  # fmt: skip
        if not isinstance(self.layer, str):
            raise ValueError(f"layer must be the name of a layer, got {self.layer!r}")
        if self.image_size % self.factor or self.image_size < SMALLEST * self.factor:
            raise ValueError(
                f"image_size must be a multiple of the factor {self.factor} and at least {SMALLEST * self.factor} "
                f"(the network needs small pictures of at least {SMALLEST} px), got {self.image_size}"
            )

    @classmethod
    def released(cls) -> Config:
        """The defaults of the authors' code (fast-neural-style, ``-task upsample``): instance norm."""
        return cls(norm="instance")

    @classmethod
    def fast(cls) -> Config:
        """Our fastest settings: a network that adds detail to bicubic interpolation, no normalization, small crops."""
        return cls(
            num_steps=3000, batch_size=4, image_size=128, cooldown=0.5, blur=0.0,
            pixel_weight=30.0, shift=3,
            width=0.5, norm="none", upsampling="resize", skip=True,
        )  # fmt: skip

    @classmethod
    def quick(cls) -> Config:
        """About a minute on a CPU."""
        return replace(cls.fast(), num_steps=150, image_size=96)


@dataclass(frozen=True)
class Model:
    """What `train` returns and `load` reads."""

    network: SuperResolutionNet
    config: Config
    facts: dict[str, Any]  # of the training run: "photos", "history", "seconds", "device", …
    stopped: str | None = None  # why the training ended early, or None


@dataclass(frozen=True)
class Result:
    """What `upscale` returns."""

    image: Tensor  # (N, 3, f·H, f·W) in [0, 1], float32, on the CPU
    history: dict[str, list[float]]  # "seconds": duration of the pass


def build(config: Config) -> SuperResolutionNet:
    """The untrained network of a configuration; its weights are drawn from ``config.seed``."""
    with runtime.seeded(config.seed, torch.device("cpu")):
        return SuperResolutionNet(
            config.factor, width=config.width, num_blocks=config.num_blocks, norm=config.norm,
            upsampling=config.upsampling, skip=config.skip,
        )  # fmt: skip


def reduce(image: Tensor, factor: int, blur: float = 0.0) -> Tensor:
    """Reduce a picture: a Gaussian blur (Section 4.2), then bicubic interpolation.

    Args:
        image: (N, 3, H, W) in [0, 1]; H and W multiples of `factor`.
        factor: f, how many times smaller.
        blur: σ of the Gaussian in pixels of `image`; 0: no blur.

    Returns:
        (N, 3, H/f, W/f), in [0, 1], of the same dtype.

    Raises:
        ValueError: a size that is not a multiple of `factor`, or a blur too wide for the picture.
        ImageError: not pictures in [0, 1].

    >>> small = reduce(torch.full((1, 3, 16, 24), 0.25), 4, blur=1.0)
    >>> tuple(small.shape), bool((small - 0.25).abs().max() < 1e-6)
    ((1, 3, 4, 6), True)
    """
    check_pictures(image, "the large picture")
    return _reduced(image, arguments.whole("factor", factor, 1), arguments.nonnegative("blur", blur))


def _reduced(image: Tensor, factor: int, blur: float) -> Tensor:
    """`reduce` without its check of the values, for which a training step would wait for the device."""
    height, width = image.shape[-2:]
    if height % factor or width % factor:
        raise ValueError(
            f"a picture of {height}×{width} px cannot be reduced {factor} times; crop it to multiples of {factor}"
        )
    if blur > 0:
        radius = max(1, round(3 * blur))
        if radius >= min(height, width):
            raise ValueError(f"a blur of {blur} px needs a picture of more than {radius} px, got {height}×{width}")
        line = torch.exp(-0.5 * (torch.arange(-radius, radius + 1.0, device=image.device) / blur) ** 2)
        line = (line / line.sum()).to(image.dtype).expand(3, 1, 1, -1)
        padded = F.pad(image, [radius] * 4, mode="reflect")
        image = F.conv2d(F.conv2d(padded, line, groups=3), line.transpose(2, 3), groups=3)
    return resample(image, height // factor, width // factor)


@runtime.with_gradients()
def train(
    photos: str | Path | Sequence[Tensor] | Dataset[Tensor] | None = None,
    config: Config | None = None,
    *,
    start: Model | None = None,
    callback: runtime.Callback | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = True,
    preview: Tensor | None = None,
) -> Model:
    """Train a network that enlarges photographs (Johnson et al. 2016, Section 4.2).

    Args:
        photos: a folder, pictures (1, 3, H, W) in [0, 1], a map-style dataset of (3, H, W) in [0, 1], or None for the
            open photos that come with the package. Folders and pictures are cut by `data.crops.Crops`, with scales in
            the lower half of its range; the items of a dataset are checked when they are first used.
        config: defaults to the paper's.
        start: a trained model of the same shape to start from, for example one trained with ℓ_pixel before ℓ_feat.
        callback: called after each step with a `runtime.Progress` whose image is the network's output for `preview`,
            or for the first picture of the batch if there is no `preview`.
        checkpoint: a file; if it exists, the run resumes from it (`training.loop.fit`).
        resume: False: start over; the first new checkpoint replaces an existing one.
        preview: (1, 3, h, w) in [0, 1], a small picture that the callback sees enlarged; it is not used for training.

    Returns:
        The trained network, on the CPU.

    Raises:
        ValueError: wrong shapes, a `start` of another shape, a layer the network does not have.
        CheckpointError: the checkpoint is damaged, in use, or of another run, or it could not be written there.
        WeightsError: the loss network's weights can be neither found nor downloaded.

    >>> tiny = Config(num_steps=2, image_size=32, width=0.1, num_blocks=1, loss="pixel")
    >>> model = train([torch.rand(1, 3, 40, 40)], tiny)
    >>> tuple(upscale(torch.rand(1, 3, 9, 10), model).image.shape)
    (1, 3, 36, 40)
    """
    config = config_checks.given(config, Config, callback=callback)
    if preview is not None:
        check_pictures(preview, "the preview", single=True, least=SMALLEST, why="the network")
    device = runtime.pick_device(config.device)
    data = training_photos(photos, size=config.image_size, seed=config.seed, device=device, scales=SCALES)
    precision = runtime.pick_precision(config.precision, device)
    network = build(config)
    if start is not None:
        config_checks.check_kind("start", start, Model)
        config_checks.check_same(start.config, config, ("factor", "width", "num_blocks", "norm", "upsampling", "skip"))
        network.load_state_dict(start.network.state_dict())
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    perceptual, pixel_weight = None, config.pixel_weight if config.loss == "feature" else 1.0
    if config.loss == "feature":
        features = VGGFeatures(
            config.arch, [config.layer], pooling="max", weights=config.weights, precision=precision
        ).to(device)
        perceptual = PerceptualLoss(features, content={config.layer: 1.0}, convention=losses.JOHNSON)

    def step(net: nn.Module, large: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            small = _reduced(large, config.factor, config.blur)
        made = net(small.contiguous(memory_format=torch.channels_last))
        terms = []
        if perceptual is not None:
            # with a fixed pooling grid the network learns a cross-hatch pattern that the loss does not detect
            top, left = torch.randint(config.shift + 1, (2,)).tolist()
            perceptual.set_content(large[..., top:, left:])
            terms.append(perceptual(made[..., top:, left:])[0] / len(large))
        if pixel_weight > 0:
            terms.append(pixel_weight * (made - large).square().mean())
        if config.tv_weight > 0:
            terms.append(config.tv_weight * losses.total_variation_loss(made))
        return torch.stack(terms), made

    shares = {"feature": perceptual is not None, "pixel": pixel_weight > 0, "tv": config.tv_weight > 0}
    names = [name for name, used in shares.items() if used]
    learner = Minimizer(
        network, step, names, learning_rate=config.learning_rate, accumulate=config.accumulate, precision=precision,
        capturable=perceptual is None or config.shift == 0,  # the shift is drawn on the host
    )  # fmt: skip
    if callback is not None and preview is not None:
        small = preview

        def enlarged() -> Tensor:
            made = upscale(small, Model(network, config, {}), device=config.device, precision=config.precision)
            return made.image

        callback = showing(enlarged, callback)
    run = train_and_summarize(
        learner, data, config, start=start, callback=callback, checkpoint=checkpoint, resume=resume
    )
    source = "none" if perceptual is None else perceptual.network.source
    return Model(network.cpu().eval(), config, {**run.facts, "loss_network": source}, run.stopped)


def upscale(
    image: Tensor, model: Model, *, tile: int | None = None, device: str = "auto", precision: str = "auto",
    callback: runtime.Callback | None = None,
) -> Result:  # fmt: skip
    """Enlarge pictures by the model's factor.

    Args:
        image: (N, 3, H, W) in [0, 1], at least 5 px on each side.
        model: from `train` or `load`.
        tile: side of the tiles in input pixels; None: 192. It sets the memory that is needed; the result is the same
            up to rounding, whatever the tile (see `networks.tiles`).
        device: "auto", or where to compute.
        precision: "auto", "float32" or "bfloat16", of the convolutions.
        callback: hears after each tile how much is done (`networks.tile_work`); in one piece, nothing.

    Raises:
        ImageError: not pictures in [0, 1] of at least 5 px.
        ValueError: a tile that is not a whole number of pixels.
        MemoryError: even in tiles the result does not fit into the memory; names the largest picture that would.
    """
    config_checks.check_kind("model", model, Model)
    check_pictures(image, "the picture", least=SMALLEST, why="the network")
    side = _TILE if tile is None else arguments.whole("tile", tile, 1)
    began = time.perf_counter()
    with runtime.inference(model.network, device=device, precision=precision) as run:
        if max(image.shape[-2:]) <= side:
            enlarged = run(image)
        else:
            dtype = runtime.pick_precision(precision, runtime.pick_device(device))
            enlarged = tiles.by_tiles(model.network, image, tile=side, precision=dtype, callback=callback)
    return Result(enlarged.float().clamp_(0, 1), {"seconds": [time.perf_counter() - began]})


def save(model: Model, path: str | Path, *, half: bool = False) -> None:
    """Write the model and its configuration to one safetensors file, atomically.

    Args:
        path: of the file.
        half: store float16 weights, for half the size.
    """
    model_files.save(path, KIND, config_checks.check_kind("model", model, Model), half=half)


def load(path: str | Path) -> Model:
    """Read a model: a file, or the name of one that comes with the package (``"photo_x4_feature"``).

    Raises:
        ModelError: there is no such model, or the file is damaged, not a model file, or of another method.
    """
    return Model(*model_files.load(path, KIND, Config, build))
