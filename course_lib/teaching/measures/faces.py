"""A measure of chapter 14: are mouths and eyes painted where there are none?"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib.data.faces import PARTS, draw_face
from course_lib.losses.patches import nearest_patches
from course_lib.methods import patches
from course_lib.pretrained.vgg import cached_network
from course_lib.teaching.measures.measured import Measured

MATCHED, PIXELS = "relu3_1", 4  # a position stands for 4 × 4 pixels, so a mouth is several positions wide
WATCHED = tuple(PARTS.index(name) for name in ("mouth", "eyes"))


def faces(face: int, *, size: int, steps: int, seed: int) -> Measured:
    """Gram matrices, patches, and both, on a drawn face after the next one, painted: mouths and eyes in wrong places.

    All three start from the same mixture of noise and photograph. `misplaced` says what is counted.

    Args:
        face: which face is the photograph; the painting shows the next one.
        size: side of both in pixels.
        steps: of each of the three pictures.
        seed: of the noise.

    Source: Zhao et al. 2019, Section 1.
    """
    photo, painting = draw_face(face, size), draw_face(face + 1, size, manner="painting")
    ways = {
        "global": replace(patches.Config.fusion(), patch_weight=0.0),
        "local": replace(patches.Config.fusion(), style_weight=0.0),
        "both": patches.Config.fusion(),
    }
    images, numbers = {"photograph": photo.image, "painting": painting.image}, {}
    for name, config in ways.items():
        config = replace(config, precondition=0.4, start="mixed", scales=None, num_steps=steps, seed=seed)
        images[name] = image = patches.stylize(photo.image, painting.image, config).image
        for key, value in misplaced(image, photo.parts, painting.image, painting.parts).items():
            numbers[f"{key}, {name}"] = value
    return Measured(numbers, images)


def misplaced(image: Tensor, parts: Tensor, painting: Tensor, painted_parts: Tensor) -> dict[str, float]:
    """Shares of a picture's 3×3 patches of relu3_1 whose nearest patch in the painting belongs to another part.

    The middle of a patch decides which part it shows.

    Args:
        image: (1, 3, H, W) in [0, 1].
        parts: (H, W) indices into `PARTS`: what should be where.
        painting, painted_parts: the same for the painting.

    Returns:
        ``"misplaced"``, of all patches: the nearest one shows the mouth or an eye, and the patch lies in another part.
        ``"on skin"``, of the patches in the skin: the nearest one shows the mouth or an eye.
        ``"lost"``, of the patches in mouth and eyes: the nearest one shows another part.
    """
    network = cached_network("vgg19", (MATCHED,), "max", "default", torch.float32, torch.device("cpu"))
    with torch.no_grad():
        found, goal = (network(picture)[MATCHED] for picture in (image, painting))
    nearest = nearest_patches(found, goal, stride=1).position + 1  # the middle of the patch
    own = part_of_positions(parts)[1:-1, 1:-1]
    theirs = part_of_positions(painted_parts)[nearest[..., 0], nearest[..., 1]]
    watched, skin = torch.tensor(WATCHED), PARTS.index("skin")
    wrong = own != theirs
    shares = {
        "misplaced": wrong & torch.isin(theirs, watched),
        "on skin": torch.isin(theirs, watched)[own == skin],
        "lost": wrong[torch.isin(own, watched)],
    }
    return {name: share.double().mean().item() for name, share in shares.items()}


def part_of_positions(parts: Tensor) -> Tensor:
    """The part that most pixels of each position of `MATCHED` show, (H // 4, W // 4); of equal ones, the first.

    >>> part_of_positions(torch.tensor([[0, 0, 7, 7], [7, 7, 7, 7], [5, 5, 7, 7], [7, 7, 7, 7]])).tolist()
    [[7]]
    """
    shown = F.one_hot(parts, len(PARTS)).permute(2, 0, 1).float()  # (parts, H, W)
    return F.avg_pool2d(shown, PIXELS).argmax(0)
