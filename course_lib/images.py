"""Pictures: a file on disk <-> a tensor of shape (N, 3, H, W), float32, values in [0, 1], channels R, G, B.

The rest of the library works on such tensors; only this module reads and writes picture files. Colors are taken as the
file stores them, in sRGB: gamma is not undone, and color profiles are not applied.
"""

from __future__ import annotations

import operator
import os
import re
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional as F

from course_lib.atomic import atomic_write
from course_lib.image_checks import ImageError, check_tensor
from course_lib.image_checks import check_pictures as check_pictures  # part of this module's interface

MAX_PIXELS = 80_000_000  # 0.96 GB as float32 RGB, and below the size at which Pillow warns
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
HALF_LEVEL = 0.5 / 255  # an overshoot this small rounds to the same 8-bit value
Size = int | tuple[int, int]  # pixels of one side, or (H, W)


def load_image(path: str | Path, size: Size | None = None, *, side: str = "long") -> Tensor:
    """Read a picture file as a color tensor, rotated as its EXIF data says; of an animation, the first frame.

    Args:
        path: a picture file, as str or Path.
        size: None keeps the size; otherwise the picture is resized as by `resize(image, size, side=side)`.
        side: "long" or "short": which side becomes `size`.

    Returns:
        Tensor (1, 3, H, W), float32, in [0, 1].

    Raises:
        ImageError: the path does not exist or is a folder; the file is empty, not a picture, truncated, or too large.
    """
    source = _existing_file(path)
    Image.init()
    try:  # EPS is left out because it is a program: Pillow would run Ghostscript on it
        with Image.open(source, formats=[name for name in Image.OPEN if name != "EPS"]) as pil:
            _check_pixels("the file announces", pil.height, pil.width)
            image = from_pil(pil)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        digits = re.search(r"\d+", str(error))  # Pillow raises before it reveals width and height
        count = f"{int(digits[0]):,}" if digits else "too many"
        raise ImageError(f"{path}: {_too_large('the file announces ' + count)}") from None
    except UnidentifiedImageError:
        with open(source, "rb") as file:
            start = file.read(20)
        raise ImageError(
            f"{path} is not a picture in a known format, whatever its name says: it begins with {start!r}. "
            "If that is text, a web page was saved in its place; otherwise export it as PNG or JPEG."
        ) from None
    except Exception as error:  # decoders raise anything from OSError to struct.error on damaged data
        raise ImageError(
            f"{path} could not be read to its end ({error}). It is cut short, damaged or protected: "
            "download or copy it again, or export it anew as PNG or JPEG."
        ) from error
    return image if size is None else resize(image, size, side=side)


def from_pil(pil: Image.Image) -> Tensor:
    """Convert a PIL picture of any mode. Transparent pixels are blended with white: c*a + (1 - a) with opacity a.

    Args:
        pil: an open `PIL.Image.Image`, at least 1 x 1; 16-bit gray keeps its precision.

    Returns:
        Tensor (1, 3, H, W), float32, in [0, 1].

    Raises:
        ImageError: not a PIL picture, an empty one, or gray values beyond 8 bits on an unknown scale.

    >>> from_pil(Image.new("L", (2, 1), 255)).tolist()
    [[[[1.0, 1.0]], [[1.0, 1.0]], [[1.0, 1.0]]]]
    """
    if not isinstance(pil, Image.Image):
        raise ImageError(f"Expected a PIL picture, got {type(pil).__name__}; load_image reads files.")
    if 0 in pil.size:
        raise ImageError(f"This picture is {pil.width} x {pil.height}; it needs at least 1 x 1 pixels.")
    pil.load()
    with suppress(Exception):  # if the EXIF data is damaged, only the rotation is lost
        pil = ImageOps.exif_transpose(pil)
    if pil.mode.startswith("I") or pil.mode == "F":
        return _deep_gray(pil)
    if pil.mode == "La":  # Pillow converts premultiplied gray only to LA
        pil = pil.convert("LA")
    if pil.mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in pil.info:
        color, alpha = _pixels(pil.convert("RGBA")).split([3, 1], dim=1)  # (1, 3, H, W), (1, 1, H, W)
        return color * alpha + (1 - alpha)
    return _pixels(pil.convert("RGB"))


def to_pil(image: Tensor) -> Image.Image:
    """Convert one picture to 8-bit RGB; each value is rounded to the nearest of the 256 levels.

    Args:
        image: Tensor (1, 3, H, W) or (3, H, W), floating point, in [0, 1], on any device.

    Returns:
        `PIL.Image.Image` of mode "RGB" and size (W, H).

    Raises:
        ImageError: a wrong type, shape, dtype or range, or values that are not finite.

    >>> to_pil(torch.full((3, 4, 6), 0.5)).getpixel((0, 0))
    (128, 128, 128)
    """
    check_tensor(image[None] if isinstance(image, Tensor) and image.ndim == 3 else image)
    if image.ndim == 4 and len(image) != 1:
        raise ImageError(f"This tensor holds {len(image)} pictures; pass one of them, for example image[0].")
    image = image.detach().float().cpu()
    if bad := int((~image.isfinite()).sum()):
        raise ImageError(
            f"{bad:,} of {image.numel():,} values are NaN or infinite, so there is no picture. "
            "Find the step that diverged; a smaller learning rate or smaller weights usually cure it."
        )
    low, high = image.min().item(), image.max().item()
    if low < -HALF_LEVEL or high > 1 + HALF_LEVEL:
        raise ImageError(
            f"Values run from {low:.3g} to {high:.3g}, expected [0, 1]. Divide by 255 if the scale is "
            "0..255, use (x + 1) / 2 if it is [-1, 1], or image.clamp(0, 1) if the values only overshoot."
        )
    levels = image.reshape(image.shape[-3:]).mul(255).round().clamp(0, 255)  # (3, H, W)
    return Image.fromarray(levels.to(torch.uint8).permute(1, 2, 0).contiguous().numpy())


def resize(image: Tensor, size: Size, *, side: str = "long") -> Tensor:
    """Resize with antialiased bicubic interpolation, clamped to [0, 1].

    Args:
        image: Tensor (N, 3, H, W), floating point, in [0, 1].
        size: an int for one side, while the other follows the aspect ratio (at least 1 pixel); or exactly (H, W).
        side: "long" or "short": which side becomes `size`; ignored if `size` is (H, W).

    Returns:
        Tensor (N, 3, H', W') in [0, 1], same dtype and device; gradients flow through.

    Raises:
        ImageError: a wrong shape or dtype, values on the scale 0..255, or a size below 1 or above the limit.

    >>> resize(torch.zeros(1, 3, 20, 40), 10).shape
    torch.Size([1, 3, 5, 10])
    """
    check_tensor(image)
    if image.detach().abs().max() > 10:  # an optimizer may overshoot [0, 1], but not this far
        raise ImageError("Values are far outside [0, 1]; divide a picture on the scale 0..255 by 255 first.")
    if side not in ("long", "short"):
        raise ImageError(f'side is "long" or "short", got {side!r}.')
    height, width = _height_width(size)
    if not isinstance(size, (tuple, list)):
        reference = (max if side == "long" else min)(image.shape[2:])
        height, width = (max(1, round(n * height / reference)) for n in image.shape[2:])
    _check_pixels("resizing would make", height, width)
    return resample(image, height, width)


def resample(image: Tensor, height: int, width: int) -> Tensor:
    """Compute `resize` without its checks, which would make the host wait for a GPU.

    Args:
        image: Tensor (N, 3, H, W), floating point, in [0, 1].

    Returns:
        Tensor (N, 3, height, width) in [0, 1], same dtype and device.
    """
    work = image.float() if image.element_size() < 4 else image  # not every device has a half-precision kernel
    resized = F.interpolate(work, size=(height, width), mode="bicubic", antialias=True)
    return resized.clamp(0, 1).to(image.dtype)


def center_crop(image: Tensor, size: Size) -> Tensor:
    """Crop the middle of a picture; if a margin is odd, its extra pixel is at the bottom or the right.

    Args:
        image: Tensor (N, 3, H, W), floating point.
        size: an int for a square, or (H, W); no larger than the picture.

    Returns:
        Tensor (N, 3, H', W'), contiguous.

    Raises:
        ImageError: a wrong shape or dtype, a size below 1, or a crop larger than the picture.
    """
    check_tensor(image)
    height, width = _height_width(size)
    top, left = (image.shape[2] - height) // 2, (image.shape[3] - width) // 2
    if top < 0 or left < 0:
        raise ImageError(
            f"A crop {height} high and {width} wide does not fit into a picture {image.shape[2]} high and "
            f'{image.shape[3]} wide. Crop less, or enlarge it first: resize(image, size, side="short").'
        )
    return image[:, :, top : top + height, left : left + width].contiguous()


def save_image(image: Tensor, path: str | Path, *, quality: int = 95) -> None:
    """Write one picture atomically: an existing file is replaced only once the new one is complete.

    Args:
        image: Tensor (1, 3, H, W) or (3, H, W), floating point, in [0, 1], on any device.
        path: the file to write; its suffix decides the format: .png (exact to 8 bits), .jpg, .jpeg, .webp.
        quality: 1 to 100, for JPEG and WebP.

    Raises:
        ImageError: as for `to_pil`, or an unknown suffix, or a file that cannot be written.
    """
    pil, target = to_pil(image), check_writable(path)
    options: dict[str, Any] = {"format": FORMATS[_as_path(path).suffix.lower()], "quality": quality}
    if options["format"] == "JPEG":
        options["subsampling"] = 0  # 4:2:0 would spread thin colored strokes over two pixels
    try:
        with atomic_write(target) as file:
            pil.save(file, **options)
    except Exception as error:  # encoders raise more than OSError
        raise ImageError(
            f"{path} could not be written ({error}); a picture already there is intact. Check free space, "
            "permissions, quality (1 to 100) and the picture's size, or choose another name or format."
        ) from error


def check_writable(path: str | Path) -> Path:
    """Check before hours of work that `save_image` will be able to write a file.

    Args:
        path: the file to write.

    Returns:
        The file itself, with symbolic links resolved.

    Raises:
        ImageError: an unknown suffix, a folder, a missing folder, or a read-only file.
    """
    given = _as_path(path)
    if given.suffix.lower() not in FORMATS:
        raise ImageError(f"{path}: unknown suffix {given.suffix!r}; use one of {', '.join(FORMATS)}.")
    target = Path(os.path.realpath(given))  # a link stays, and the file it points to is replaced
    if target.is_dir():
        raise ImageError(f"{path} is a folder; give the name of a file in it.")
    if not target.parent.is_dir():
        raise ImageError(f"{path}: the folder {target.parent} does not exist. Create it, or choose another.")
    if not os.access(target.parent, os.W_OK):
        raise ImageError(f"{path}: the folder {target.parent} is read-only. Choose another.")
    if target.exists() and not (os.access(target, os.W_OK) and target.stat().st_mode & 0o222):
        raise ImageError(f"{path} is read-only and stays as it is. Choose another name, or make it writable.")
    return target


def did_you_mean(name: str, names: list[str]) -> str:
    """A question for the end of an error message, ``" Did you mean 'great_wave'?"``; empty if no name is similar."""
    spelled = {n.lower(): n for n in names}
    close = [repr(spelled[n]) for n in get_close_matches(name.lower(), list(spelled))]
    return f" Did you mean {' or '.join(close)}?" if close else ""


def _as_path(path: object) -> Path:
    if isinstance(path, (str, Path)):
        return Path(os.path.expanduser(path))
    raise ImageError(f"A path is str or Path, got {type(path).__name__}; from_pil takes open PIL pictures.")


def _existing_file(path: str | Path) -> Path:
    source = _as_path(path)
    if source.is_dir():
        names = sorted(p.name for p in source.iterdir() if p.suffix.lower() in FORMATS)
        example = f", for example {names[0]!r}" if names else ""
        raise ImageError(f"{path} is a folder with {len(names)} pictures{example}. Pass one picture.")
    if not source.exists():
        if not source.parent.is_dir():
            raise ImageError(f"{path} does not exist, nor does its folder {source.parent}. Check the path.")
        near = did_you_mean(source.name, [p.name for p in source.parent.iterdir()]) or " No name there is similar."
        raise ImageError(f"{path} does not exist.{near} For the project's own, use sample_image(name).")
    if not source.is_file() or source.stat().st_size == 0:
        raise ImageError(f"{path} is empty (0 bytes) or no regular file. Download or copy it again.")
    return source


def _too_large(what: str) -> str:
    return f"{what} pixels, the limit is {MAX_PIXELS:,}; stopped to protect memory. Make it smaller first."


def _check_pixels(what: str, height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise ImageError(_too_large(f"{what} {width:,} x {height:,} = {width * height:,}"))


def _pixels(pil: Image.Image) -> Tensor:
    array = np.array(pil, dtype=np.float32)  # (H, W, C), 0..255
    return torch.from_numpy(array).permute(2, 0, 1)[None].contiguous().div(255)


def _deep_gray(pil: Image.Image) -> Tensor:
    array = np.array(pil).astype(np.float64)  # (H, W)
    top = 1 if pil.mode == "F" else 65535
    if not (array.min() >= 0 and array.max() <= top):  # written this way, the condition also refuses NaN
        raise ImageError(
            f"Gray values ({pil.mode}) run from {array.min():g} to {array.max():g}, expected 0 to {top}. "
            "Scale them to that range, or export the picture as an 8-bit or 16-bit PNG."
        )
    clear = array == pil.info.get("transparency")  # in 16-bit gray, one value may stand for "transparent"
    gray = torch.from_numpy(np.where(clear, 1, array / top).astype(np.float32))
    return gray.expand(1, 3, -1, -1).contiguous()


def _height_width(size: Size) -> tuple[int, int]:
    sides = list(size) if isinstance(size, (tuple, list)) else [size, size]
    whole = all(hasattr(n, "__index__") and not isinstance(n, bool) for n in sides)
    if len(sides) != 2 or not whole or min(sides) < 1:
        raise ImageError(f"size is a whole number from 1 up, or a pair (H, W) of them, got {size!r}.")
    return operator.index(sides[0]), operator.index(sides[1])
