"""A measure of chapter 16: pictures that win a metric against a better one."""

from __future__ import annotations

from torch import Tensor

from course_lib.evaluation.metrics import gram_distance, lpips, psnr, ssim
from course_lib.methods import gatys, johnson
from course_lib.teaching.measures import disturbances
from course_lib.teaching.measures.measured import Measured

SHIFT = 3  # pixels


def ugly_pictures(photo: Tensor, painting: Tensor, *, painter: str, steps: int, seed: int) -> Measured:
    """For each of four metrics, a picture that everybody would reject, and a better one that scores worse.

    PSNR: a strong blur against a shift by 3 px. SSIM of the luminance: stains of color against JPEG at quality 50.
    LPIPS: a washed-out picture against the shift. Gram distance: a texture from noise, without the photograph, against
    the photograph as a network painted it.

    Args:
        painter: name of the network for this painting.
        steps: of the texture.
        seed: of the stains and of the texture's noise.

    Sources: Zhang et al. 2018, Section 1; Nilsson & Akenine-Möller 2020; Kettunen et al. 2019; Gatys et al. 2015.
    """
    task = gatys.Config(content_weight=0.0, start="noise", num_steps=steps, seed=seed)
    images = {
        "photograph": photo,
        "shifted": disturbances.shift(photo, SHIFT),
        "blurred": disturbances.blur(photo, 2.0),
        "compressed": disturbances.compress(photo, 50),
        "stained": disturbances.stain(photo, 0.2, seed),
        "washed out": disturbances.fade(photo),
        "painted": johnson.stylize(photo, johnson.load(painter)).image,
        "texture": gatys.stylize(photo, painting, task).image,
    }
    numbers = {f"PSNR, {name}": psnr(images[name], photo) for name in ("blurred", "shifted")}
    numbers |= {f"SSIM, {name}": ssim(images[name], photo, luma=True) for name in ("stained", "compressed")}
    numbers |= {f"LPIPS, {name}": lpips(images[name], photo) for name in ("blurred", "washed out", "shifted")}
    for name in ("texture", "painted"):
        numbers[f"Gram, {name}"] = sum(gram_distance(images[name], painting).values()) / 5
    return Measured(numbers, images)
