"""Pictures: a file on disk <-> a tensor of shape (N, 3, H, W), float32, values in [0, 1], channels R, G, B.

The rest of the library works on such tensors; only this module reads and writes picture files. Colors are in sRGB:
those of a file with another color profile are converted (`course_lib.pixels`), and gamma is not undone.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, PngImagePlugin, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional as F

from course_lib import arguments, deep_files
from course_lib.atomic import atomic_write
from course_lib.image_checks import ImageError, check_tensor
from course_lib.image_checks import check_pictures as check_pictures  # part of this module's interface
from course_lib.picture_files import (
    DEEP,
    FORMATS,
    as_path,
    check_writable,
    existing_file,
    is_heif,
    no_picture,
    with_heif,
)
from course_lib.picture_files import did_you_mean as did_you_mean
from course_lib.picture_notes import options_for
from course_lib.pixels import OPAQUE_FROM, decode, fill_transparent, levels_of, srgb_profile

MAX_PIXELS = 80_000_000  # 0.96 GB as float32 RGB, and below the size at which Pillow warns
Size = int | tuple[int, int]  # pixels of one side, or (H, W)


def load_image(path: str | Path, size: Size | None = None, *, side: str = "long") -> Tensor:
    """Read a picture file as a color tensor, rotated as its EXIF data says; of an animation, the first frame.

    Args:
        path: a picture file, as str or Path; ``~`` stands for the home folder.
        size: None keeps the size; otherwise the picture is resized as by `resize(image, size, side=side)`.
        side: "long" or "short": which side becomes `size`.

    Returns:
        Tensor (1, 3, H, W), float32, in [0, 1], in sRGB. Transparent pixels are blended with white, as in `from_pil`.

    Raises:
        ImageError: the path does not exist or is a folder; the file is empty, not a picture, truncated, or too large.
    """
    image = _on_white(*_read(path))
    return image if size is None else resize(image, size, side=side)


def load_with_alpha(path: str | Path, size: Size | None = None, *, side: str = "long") -> tuple[Tensor, Tensor | None]:
    """Read a picture file as `load_image` does, but return colors and opacity separately: nothing is blended with
    white.

    Args:
        path, size, side: as for `load_image`.

    Returns:
        Color (1, 3, H, W) and opacity (1, 1, H, W), both float32, in [0, 1]; the opacity is None if every pixel is
        opaque, and the color is then that of `load_image`. Pixels that are fully transparent get the color of the
        visible ones next to them (`course_lib.pixels.fill_transparent`): no fringe of another color surrounds the
        object.

    Raises:
        ImageError: as for `load_image`.
    """
    color, alpha = _read(path)
    if alpha is None or bool((alpha == 1).all()):
        return color if size is None else resize(color, size, side=side), None
    if size is not None:
        height, width = resized_shape(color, size, side)
        both = _bicubic(torch.cat((color * alpha, alpha), 1), height, width)  # clamped last: both overshoot alike
        color = (both[:, :3] / both[:, 3:].clamp_min(OPAQUE_FROM)).clamp(0, 1)  # a mean over what is visible
        alpha = both[:, 3:].clamp(0, 1)
    return fill_transparent(color, alpha), alpha


def from_pil(pil: Image.Image) -> Tensor:
    """Convert a PIL picture of any mode. Transparent pixels are blended with white: c*a + (1 - a) with opacity a.

    Args:
        pil: an open `PIL.Image.Image`, at least 1 x 1; 16-bit gray keeps its precision, and a color profile in
            ``pil.info`` is converted to sRGB.

    Returns:
        Tensor (1, 3, H, W), float32, in [0, 1].

    Raises:
        ImageError: not a PIL picture, an empty one, or gray values beyond 8 bits on an unknown scale.

    >>> from_pil(Image.new("L", (2, 1), 255)).tolist()
    [[[[1.0, 1.0]], [[1.0, 1.0]], [[1.0, 1.0]]]]
    """
    return _on_white(*decode(pil))


def to_pil(image: Tensor, *, alpha: Tensor | None = None) -> Image.Image:
    """Convert one picture to 8-bit RGB or RGBA; each value is rounded to the nearest of the 256 levels.

    Args:
        image: Tensor (1, 3, H, W) or (3, H, W), floating point, in [0, 1], on any device.
        alpha: the opacity, (1, 1, H, W) or (1, H, W), as `load_with_alpha` returns it; None: opaque.

    Returns:
        `PIL.Image.Image` of mode "RGB", with `alpha` "RGBA", and size (W, H).

    Raises:
        ImageError: a wrong type, shape, dtype or range, or values that are not finite.

    >>> to_pil(torch.full((3, 4, 6), 0.5)).getpixel((0, 0))
    (128, 128, 128)
    """
    single = isinstance(image, Tensor) and image.ndim == 3 and len(image) == 3
    check_tensor(image[None] if single else image)
    if image.ndim == 4 and len(image) != 1:
        raise ImageError(f"This tensor holds {len(image)} pictures; pass one of them, for example image[0].")
    pil = Image.fromarray(levels_of(image))
    if alpha is not None:
        if not isinstance(alpha, Tensor) or alpha.numel() != image.numel() // 3 or alpha.shape[-2:] != image.shape[-2:]:
            got = tuple(alpha.shape) if isinstance(alpha, Tensor) else type(alpha).__name__
            height, width = image.shape[-2:]
            raise ImageError(f"alpha must be a tensor (1, 1, {height}, {width}) for this picture, got {got}.")
        pil.putalpha(Image.fromarray(levels_of(alpha)[..., 0]))
    return pil


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
    if max(map(abs, torch.stack(image.detach().aminmax()).tolist())) > 10:  # an optimizer may overshoot, but not so far
        raise ImageError("Values are far outside [0, 1]; divide a picture on the scale 0..255 by 255 first.")
    return resample(image, *resized_shape(image, size, side))


def resized_shape(image: Tensor, size: Size, side: str = "long") -> tuple[int, int]:
    """(H, W) of what `resize` would make of a picture (N, C, H, W).

    Raises:
        ImageError: a size below 1 or above the limit, or an unknown `side`.

    >>> resized_shape(torch.zeros(1, 3, 20, 40), 10)
    (5, 10)
    """
    if side not in ("long", "short"):
        raise ImageError(f'side is "long" or "short", got {side!r}.')
    height, width = _height_width(size)
    if not isinstance(size, (tuple, list)):
        reference = (max if side == "long" else min)(image.shape[2:])
        height, width = (max(1, round(n * height / reference)) for n in image.shape[2:])
    _check_pixels("resizing would make", height, width)
    return height, width


def resample(image: Tensor, height: int, width: int) -> Tensor:
    """Compute `resize` without its checks, which would make the host wait for a GPU.

    Args:
        image: Tensor (N, 3, H, W), floating point, in [0, 1].

    Returns:
        Tensor (N, 3, height, width) in [0, 1], same dtype and device.
    """
    work = image.float() if image.element_size() < 4 else image  # not every device has a half-precision kernel
    return _bicubic(work, height, width).clamp(0, 1).to(image.dtype)


def _bicubic(image: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(image, size=(height, width), mode="bicubic", antialias=True)


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


def save_image(
    image: Tensor, path: str | Path, *, quality: int = 95, alpha: Tensor | None = None, bits: int = 8,
    note: str | None = None,
) -> None:  # fmt: skip
    """Write one picture atomically: an existing file is replaced only once the new one is complete.

    The file says that its colors are in sRGB: PNG in a chunk of that name, the others with a small profile.

    Args:
        image: Tensor (1, 3, H, W) or (3, H, W), floating point, in [0, 1], on any device.
        path: the file to write; its suffix decides the format: .png and .tif, .tiff (exact to `bits`), .jpg, .jpeg,
            .webp.
        quality: 1 to 100, for JPEG and WebP.
        alpha: the opacity, (1, 1, H, W) in [0, 1], as `load_with_alpha` returns it. PNG, TIFF and WebP keep it; JPEG
            cannot, so the picture is then blended with white.
        bits: 8, or 16 in PNG and TIFF: of each color.
        note: a text that the file carries along (`course_lib.picture_notes.read_note` reads it).

    Raises:
        ImageError: as for `to_pil`; an unknown suffix, a picture too large for its format, 16 bits in a format that has
            8, or a file that cannot be written.
    """
    kind = FORMATS.get(as_path(path).suffix.lower())
    if bits not in (8, 16) or (bits == 16 and kind not in DEEP):
        raise ImageError(f"{path}: {bits} bits cannot be written there; use bits=8, or 16 in .png, .tif or .tiff.")
    if alpha is not None and kind == "JPEG":
        to_pil(image, alpha=alpha)  # raises an error if the two do not fit together
        image, alpha = _on_white(image.detach().float().cpu(), alpha.detach().float().cpu()), None
    pil = to_pil(image, alpha=alpha)  # checks both
    target = check_writable(path, (pil.height, pil.width))
    try:
        with atomic_write(target) as file:
            if bits == 8 and kind not in (None, "TIFF"):
                pil.save(file, **_options(kind, quality, note))
            else:
                levels = np.asarray(pil) if bits == 8 else _deep_levels(image, alpha)
                if kind == "PNG":
                    deep_files.write_png(file, levels, note)
                else:
                    deep_files.write_tiff(file, levels, srgb_profile(), note)
    except Exception as error:  # encoders raise more than OSError
        reason, advice = str(error), "Check the quality (1 to 100), or choose another format."
        if isinstance(error, OSError) and error.strerror:  # of the system, not of an encoder
            reason, advice = error.strerror, "Make room in the folder, check its permissions, or choose another one."
        raise ImageError(
            f"{path} could not be written ({reason}); a picture already there is intact. {advice}"
        ) from error


def _options(kind: str | None, quality: int, note: str | None) -> dict[str, Any]:
    """What Pillow's `save` gets for a format."""
    options: dict[str, Any] = {"format": kind, "quality": quality}
    if kind is not None and note is not None:
        options |= options_for(kind, note)
    if kind == "PNG":
        options.setdefault("pnginfo", PngImagePlugin.PngInfo()).add(b"sRGB", b"\0")  # perceptual
    else:
        options["icc_profile"] = srgb_profile()
    if kind == "JPEG":
        options["subsampling"] = 0  # 4:2:0 would spread thin colored strokes over two pixels
    return options


def _deep_levels(image: Tensor, alpha: Tensor | None) -> np.ndarray:
    """The 16-bit levels (H, W, 3), or (H, W, 4) with the opacity."""
    levels = levels_of(image, 16)
    return levels if alpha is None else np.concatenate((levels, levels_of(alpha, 16)), -1)


def _on_white(color: Tensor, alpha: Tensor | None) -> Tensor:
    return color if alpha is None else color * alpha + (1 - alpha)


def _read(path: str | Path) -> tuple[Tensor, Tensor | None]:
    """Color and opacity of a file, as by `course_lib.pixels.decode`."""
    source = existing_file(path)
    Image.init()
    start = b""
    try:
        with open(source, "rb") as file, warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")  # Pillow's words about damage; what is lost fails below
            start = file.read(20)
            file.seek(0)
            if is_heif(start):
                with_heif()
            # EPS is left out because it is a program: Pillow would run Ghostscript on it. The open file instead of its
            # name: by name, Pillow maps some TIFF files into memory, and scrambles those that EXIF data turns.
            with Image.open(file, formats=[name for name in Image.OPEN if name != "EPS"]) as pil:
                _check_pixels("the file announces", pil.height, pil.width)
                return decode(pil)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        digits = re.search(r"\d+", str(error))  # Pillow raises before it reveals width and height
        count = f"{int(digits[0]):,}" if digits else "too many"
        raise ImageError(f"{path}: {_too_large('the file announces ' + count)}") from None
    except UnidentifiedImageError:
        raise ImageError(no_picture(path, start)) from None
    except PermissionError:
        raise ImageError(f"You may not read {path}: its permissions forbid it.") from None
    except Exception as error:  # decoders raise anything from OSError to struct.error on damaged data
        raise ImageError(
            f"{path} could not be read completely ({error}). It is cut short, damaged or protected: "
            "download or copy it again, or export it again as PNG or JPEG."
        ) from error


def _too_large(what: str) -> str:
    return f"{what} pixels, the limit is {MAX_PIXELS:,}; stopped to protect memory. Make it smaller first."


def _check_pixels(what: str, height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise ImageError(_too_large(f"{what} {width:,} x {height:,} = {width * height:,}"))


def _height_width(size: Size) -> tuple[int, int]:
    sides = list(size) if isinstance(size, (tuple, list)) else [size, size]
    try:
        height, width = (arguments.whole("size", side, 1) for side in sides)
    except ValueError:
        raise ImageError(f"size is a whole number from 1 up, or a pair (H, W) of them, got {size!r}.") from None
    return height, width
