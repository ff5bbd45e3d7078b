"""Measures of chapter 14: photographs stay photographs, patches stay in their places, textures take one pass."""

from __future__ import annotations

import time
from dataclasses import replace
from statistics import mean

import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib import samples
from course_lib.evaluation import metrics, structure
from course_lib.losses.matting import EPS, matting_bands, matting_energy
from course_lib.losses.patches import nearest_patches
from course_lib.methods import deep_photo, gatys, patches, screened_poisson, texture_nets
from course_lib.pretrained.vgg import cached_network
from course_lib.runtime import Progress, seeded_generator
from course_lib.teaching.measures.measured import Measured

SKY = (120 / 255, 200 / 255, 1.0)  # its color in data/images/masks
MATCHED, DETAIL = "relu4_1", "relu2_1"  # layers whose patches are compared; no method here optimizes patches of DETAIL


def affine(photo: Tensor, *, seed: int) -> Measured:
    """The energy of a random affine recoloring, divided by its bound, and that of faint noise, divided by it.

    A recoloring V_c = a_c · I + b_c is a candidate in each of the (H − 2)(W − 2) windows, with no residual. So its
    energy is at most ε Σ_c ‖a_c‖² for each window. The noise has a standard deviation of 0.05.

    Source: Levin et al. 2008, Eq. 10; Luan et al. 2017, Section 3.1.
    """
    draw = seeded_generator(seed)
    matrix, shift = (torch.rand(*shape, generator=draw, dtype=torch.float64) - 0.5 for shape in ((3, 3), (3, 1, 1)))
    recolored = torch.einsum("dc,nchw->ndhw", matrix, photo.double()) + shift
    noisy = photo.double() + 0.05 * torch.randn(photo.shape, generator=draw, dtype=torch.float64)
    bands = matting_bands(photo)
    windows = (photo.shape[-2] - 2) * (photo.shape[-1] - 2)
    energy, other = (matting_energy(image, bands).item() for image in (recolored, noisy))
    bound = EPS * matrix.square().sum().item() * windows
    return Measured({"energy / bound": energy / bound, "noise / energy": other / energy}, {"recolored": recolored})


def poisson(photo: Tensor, painting: Tensor, *, steps: int, seed: int) -> Measured:
    """The error of the gradients, and the agreement of the edges, before and after the screened Poisson equation.

    The picture is that of Gatys et al. from noise; `gradient_error` says what the error is.

    Source: Mechrez et al. 2017, Section 3.
    """
    painted = gatys.stylize(
        photo, painting, replace(gatys.Config.fast(), scales=None, num_steps=steps, seed=seed)
    ).image
    solved = screened_poisson.stylize(photo, painted).image
    numbers = {}
    for name, image in (("before", painted), ("after", solved)):
        numbers[f"error {name}"] = gradient_error(image, photo)
        numbers[f"edges {name}"] = structure.edge_agreement(image, photo)
    return Measured(numbers, {"painted": painted, "solved": solved})


def gradient_error(image: Tensor, photo: Tensor) -> float:
    """Mean absolute difference of the luminance gradients of two pictures, over pixels and both directions."""
    difference = metrics.luma(image.double()) - metrics.luma(photo.double())
    return torch.cat([difference.diff(dim=axis).abs().flatten() for axis in (-2, -1)]).mean().item()


def photorealism(photo: Tensor, painting: Tensor, *, steps: int) -> Measured:
    """Edges and structure that stay after Luan et al., after the same objective without its last term, after Gatys.

    All take the light of another photograph, without masks. The two stages of Luan et al. have `steps` each, so Gatys
    et al. (from noise) have twice as many. SSIM compares luminance alone.

    Source: Luan et al. 2017, Section 5; Premamayudu et al. 2019, Section 5.
    """
    config = replace(deep_photo.Config.fast(), scales=None, num_steps=steps)
    plain = replace(gatys.Config.fast(), scales=None, num_steps=2 * steps)
    images = {
        "with the term": deep_photo.stylize(photo, painting, config).image,
        "without": deep_photo.stylize(photo, painting, replace(config, photo_weight=0.0)).image,
        "Gatys": gatys.stylize(photo, painting, plain).image,
    }
    numbers = {}
    for name, image in images.items():
        numbers[f"edges, {name}"] = structure.edge_agreement(image, photo)
        numbers[f"ssim, {name}"] = metrics.ssim(image, photo, luma=True)
    return Measured(numbers, images)


def fusion(masked: tuple[str, str], *, size: int, steps: int, seed: int) -> Measured:
    """Gram matrices, patches, and both: misplaced patches, details of the painting, edges of the photograph.

    A 3×3 patch of relu4_1 is misplaced if it shows sky and its nearest patch in the painting does not, or the other way
    round (the middle of the patch decides). Details are the mean correlation of the 3×3 patches of relu2_1 with their
    nearest patch in the painting. All three start from the same mixture of noise and photograph.

    Args:
        masked: names of a photograph and a painting, both with a painted mask.
        size: long side of both in pixels.
        steps: of each of the three pictures.
        seed: of the noise.

    Source: Zhao et al. 2019, Section 1.
    """
    photo, painting = (samples.sample_image(name, size) for name in masked)
    ways = {
        "global": replace(patches.Config.fusion(), patch_weight=0.0),
        "local": replace(patches.Config.fusion(), style_weight=0.0),
        "both": patches.Config.fusion(),
    }
    sky, painted_sky = (_sky(name, size) for name in masked)
    goal = _features(painting)
    images, numbers = {}, {}
    for name, config in ways.items():
        config = replace(config, precondition=0.4, start="mixed", scales=None, num_steps=steps, seed=seed)
        images[name] = image = patches.stylize(photo, painting, config).image
        found = _features(image)
        nearest = nearest_patches(found[MATCHED], goal[MATCHED], stride=1).position + 1  # the middle of the patch
        theirs = painted_sky[nearest[..., 0], nearest[..., 1]]
        numbers[f"misplaced, {name}"] = (theirs != sky[1:-1, 1:-1]).double().mean().item()
        numbers[f"details, {name}"] = correlation(found[DETAIL], goal[DETAIL])
        numbers[f"edges, {name}"] = structure.edge_agreement(image, photo)
    return Measured(numbers, images)


def texture(texture: tuple[str, str], *, size: int, steps: int, seed: int) -> Measured:
    """One pass of a texture network beside an optimization from noise: Gram distances to the painting, and seconds.

    The distance is the mean over five layers of `metrics.gram_distance`. Seconds are those of computing, in which
    nothing else on the machine counts; an optimization takes 500 steps, as everywhere in this book.

    Args:
        texture: names of a network that comes with the package, and of its painting.
        size: side of the textures in pixels.
        steps: of the optimization whose distance is taken.
        seed: of the noise.

    Source: Ulyanov et al. 2016, abstract and Section 4.
    """
    model = texture_nets.load(texture[0])
    painting = samples.sample_image(texture[1], model.config.style_size)
    texture_nets.generate(1, model, size=size, seed=seed)  # the first one warms up
    began = time.process_time()
    made = texture_nets.generate(1, model, size=size, seed=seed).image
    once = time.process_time() - began
    marks: list[float] = []

    def watch(_: Progress) -> None:
        marks.append(time.process_time())

    noise = torch.rand(1, 3, size, size, generator=seeded_generator(seed))
    config = replace(gatys.Config.fast(), scales=None, num_steps=steps, seed=seed)
    grown = gatys.stylize(None, painting, config, initial=noise, callback=watch).image
    step = (marks[-1] - marks[0]) / (len(marks) - 1)
    images = {"one pass": made, "optimized": grown, "noise": noise}
    numbers = {name: mean(metrics.gram_distance(image, painting).values()) for name, image in images.items()}
    return Measured({**numbers, "optimization to pass": 500 * step / once}, images)


def correlation(features: Tensor, style: Tensor, *, stride: int = 2) -> float:
    """Mean, over the 3×3 patches of a picture's features, of the normalized correlation with the nearest of the style.

    Args:
        features: (1, C, h, w) of the picture.
        style: (1, C, h', w') of the painting; its patches lie at every `stride`-th position.
    """
    found = nearest_patches(features, style, stride=stride).position.flatten(0, 1)
    rows = F.unfold(features, 3)[0].T  # (P, 9 C)
    nearest = F.unfold(style, 3)[0].T[found[:, 0] * (style.shape[3] - 2) + found[:, 1]]
    return F.cosine_similarity(rows.double(), nearest.double()).mean().item()


def _sky(name: str, size: int) -> Tensor:
    """Whether more than half of each position of `MATCHED` shows sky, (h, w) bool, from the painted mask."""
    mask = samples.sample_image(f"{name}_mask", size)
    sky = ((mask - mask.new_tensor(SKY).view(1, 3, 1, 1)).abs().amax(1) < 0.2).float()
    return F.avg_pool2d(sky, 8)[0] > 0.5


def _features(image: Tensor) -> dict[str, Tensor]:
    """Features as VGG was trained, with max pooling, in float32."""
    network = cached_network("vgg19", (DETAIL, MATCHED), "max", "default", torch.float32, torch.device("cpu"))
    with torch.no_grad():
        return network(image)
