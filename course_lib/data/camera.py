"""Made-up clips whose motion is known: a camera moves over a photo, and cut-out pictures move in front of it.

Every layer (the photo, then each sprite, the nearest last) is seen through a similarity. With a position of the frame
written as one complex number z = x + iy, frame t shows at z what the layer has at a_t z + b_t. What frame t shows at z
was therefore in frame s at z' = (a_t z + b_t − b_s) / a_s, and z' − z is the flow: exact, between any two frames.

A pixel is the mean of a grid of points, so nothing flickers that does not have to. It counts as visible in another
frame if all its points show one layer, and so do all pixels there that a bilinear interpolation reads.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from course_lib import arguments, flow, runtime
from course_lib.data.augment import item_generator
from course_lib.flow import Motion
from course_lib.image_checks import check_pictures, check_tensor
from course_lib.images import resample
from course_lib.samples import sample_image

PATHS = ("still", "pan", "zoom", "turn", "handheld")
_POINTS = 3  # a pixel is the mean of at least so many points on each side
_LONGEST = 100_000  # frames
_AT_ONCE = 2**20  # points; a few hundred megabytes
_SPEED = 0.015  # widths of the frame that the camera of "pan" moves from frame to frame


def _finite(value: object) -> bool:
    return arguments.is_number(arguments.plain(value)) and math.isfinite(arguments.plain(value))


@dataclass(frozen=True)
class Path:
    """How something moves. It is at `at` in the middle of the clip.

    Args:
        at: (x, y) in [0, 1]: of the photo for the camera, of the frame for a sprite.
        pan: (x, y) in pixels of the frame, from frame to frame. A camera that pans to the right moves what it sees to
            the left.
        zoom: factor from frame to frame; above 1, what is seen becomes larger.
        turn: degrees from frame to frame by which what is seen turns, clockwise.
        sway: (x, y) in pixels: how far it swings to both sides.
        period: frames that one swing takes; up and down it swings at 1.7 times this speed.

    Raises:
        ValueError: numbers out of range.
    """

    at: tuple[float, float] = (0.5, 0.5)
    pan: tuple[float, float] = (0.0, 0.0)
    zoom: float = 1.0
    turn: float = 0.0
    sway: tuple[float, float] = (0.0, 0.0)
    period: float = 48.0

    def __post_init__(self) -> None:
        for name in ("at", "pan", "sway"):
            pair = getattr(self, name)
            if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(map(_finite, pair)):
                raise ValueError(f"{name} must be two numbers (x, y), got {pair!r}")
        arguments.positive("zoom", self.zoom)
        arguments.positive("period", self.period)
        if not _finite(self.turn):
            raise ValueError(f"turn must be a finite number of degrees, got {self.turn!r}")

    def shift(self, time: float) -> complex:
        """How far it is from `at`, in pixels of the frame; `time` in frames from the middle of the clip."""
        angle = 2 * math.pi * time / self.period
        x = self.pan[0] * time + self.sway[0] * math.sin(angle)
        return complex(x, self.pan[1] * time + self.sway[1] * math.sin(1.7 * angle))

    def stretch(self, time: float) -> complex:
        """zoom^time · e^{i turn time}: what it is multiplied by."""
        return cmath.rect(self.zoom**time, math.radians(self.turn) * time)


@dataclass(frozen=True)
class Sprite:
    """A picture that is cut out and moves in front of the photo.

    Args:
        picture: (1, 3, h, w) in [0, 1].
        mask: (1, 1, h, w) in [0, 1]; it is there from 0.5 on. Its edge is sharp.
        size: its height / the frame's, in the middle of the clip.
        path: of its middle, over the photo: a sprite that stands still moves with the photo.

    Raises:
        ImageError: not one picture.
        ValueError: a mask of another shape, or a size that is not above 0.
    """

    picture: Tensor
    mask: Tensor
    size: float = 0.4
    path: Path = Path()

    def __post_init__(self) -> None:
        check_pictures(self.picture, "the sprite", single=True)
        shape = (1, 1, *self.picture.shape[-2:])
        if not isinstance(self.mask, Tensor) or tuple(self.mask.shape) != shape:
            raise ValueError(
                f"the sprite's mask must be a tensor {shape}, one channel of the size of its picture, "
                f"got {tuple(self.mask.shape) if isinstance(self.mask, Tensor) else type(self.mask).__name__}"
            )
        arguments.positive("size", self.size)


@dataclass(frozen=True, eq=False)
class _Layer:
    picture: Tensor  # (1, 3, h, w)
    mask: Tensor | None  # (1, 1, h, w) in [0, 1]; None: everywhere
    places: tuple[tuple[complex, complex], ...]  # (a, b) of each frame: z of the frame → a z + b of the picture


@dataclass(frozen=True, eq=False)
class Clip:
    """A clip whose motion is known; `clip` makes it. It is also an iterable of its frames, (1, 3, H, W) each.

    Attributes:
        size: (H, W) in pixels.
        light: brightness of each frame, 1 where nothing flickers.
        noise: standard deviation that a camera's sensor adds to each value.
        seed: of the noise.
    """

    layers: tuple[_Layer, ...]
    size: tuple[int, int]
    light: tuple[float, ...]
    noise: float = 0.0
    seed: int = 0

    def __len__(self) -> int:
        return len(self.light)

    def __iter__(self) -> Iterator[Tensor]:
        return (self.frame(t) for t in range(len(self)))

    @cached_property
    def frames(self) -> Tensor:
        """All frames, (T, 3, H, W) float32 in [0, 1]."""
        return torch.cat([*self])

    def frame(self, t: int) -> Tensor:
        """Frame t, (1, 3, H, W) float32 in [0, 1]."""
        t = self._number("t", t)
        frame = torch.cat([self._colors(t, points) for points in self._bands()], -2) * self.light[t]
        if self.noise > 0:
            frame = frame + self.noise * torch.randn(frame.shape, generator=item_generator(self.seed, t))
        return frame.clamp(0, 1)

    def motion(self, t: int, s: int) -> Motion:
        """The exact motion from frame t back to frame s: flow (1, 2, H, W) in pixels, visible (1, 1, H, W) in {0, 1}.

        Changes of light and noise do not count: what a frame shows is visible also where it became brighter.

        Raises:
            ValueError: the clip has no such frame.
        """
        t, s = self._number("t", t), self._number("s", s)
        z, here, there = _grid(*self.size), self._shares(t), self._shares(s)
        own = here.argmax(0)
        moved = torch.zeros_like(z)
        for k, layer in enumerate(self.layers):
            a, b = layer.places[s]
            moved = torch.where(own == k, (_apply(layer.places[t], z) - b) / a - z, moved)
        way = torch.stack((moved.real, moved.imag))[None].float()
        seen = flow.warp(there[None], way)[0].gather(0, own[None])  # of the pixel's own layer, (1, H, W)
        whole = here.amax(0, keepdim=True)
        return Motion(way, flow.inside(way) * (torch.minimum(seen, whole) > 0.999)[None].float())

    @cached_property
    def _density(self) -> int:
        largest = max(abs(a) for layer in self.layers for a, _ in layer.places)
        return max(_POINTS, math.ceil(largest))

    def _bands(self) -> Iterator[Tensor]:
        """The points at which a frame is read, complex (h·n, W·n), from above, so many rows of pixels at a time."""
        n, (height, width) = self._density, self.size
        rows = max(1, _AT_ONCE // (width * n * n))
        for top in range(0, height, rows):
            z = _grid(min(rows, height - top) * n, width * n) + complex(0.5, top * n + 0.5)
            yield z / n - complex(0.5, 0.5)

    def _colors(self, t: int, points: Tensor) -> Tensor:
        """The pixels of a band, (1, 3, h, W)."""
        number = self._top(t, points)
        color = self.layers[0].picture.new_zeros(1, 3, *number.shape)
        for k, layer in enumerate(self.layers):
            color = torch.where(number == k, _read(layer.picture, _apply(layer.places[t], points), "bicubic"), color)
        return functional.avg_pool2d(color, self._density)

    def _top(self, t: int, points: Tensor) -> Tensor:
        """The nearest layer at each point."""
        number = torch.zeros(points.shape, dtype=torch.int64)
        for k, layer in enumerate(self.layers[1:], 1):
            assert layer.mask is not None
            number[_covers(layer.mask, _apply(layer.places[t], points))] = k
        return number

    def _shares(self, t: int) -> Tensor:
        """Which part of each pixel shows each layer, (L, H, W)."""
        bands = []
        for points in self._bands():
            one_hot = functional.one_hot(self._top(t, points), len(self.layers)).movedim(-1, 0).float()
            bands.append(functional.avg_pool2d(one_hot, self._density))
        return torch.cat(bands, -2)

    def _number(self, name: str, value: int) -> int:
        return arguments.whole(name, value, 0, len(self) - 1)


def clip(
    photo: str | Tensor = "mont_saint_michel",
    path: str | Path = "pan",
    sprites: int | Sequence[Sprite] = (),
    *,
    length: int = 24,
    size: tuple[int, int] = (96, 128),
    view: float = 0.6,
    flicker: float = 0.0,
    noise: float = 0.0,
    seed: int = 0,
) -> Clip:
    """A camera's way over a photo.

    Args:
        photo: the name of one of the project's pictures, or (1, 3, h, w) in [0, 1].
        path: of the camera: a `Path`, or one of `PATHS`, whose speed goes with the size and fits into the photo.
        sprites: what moves in front of it, the nearest last; a number from 0 to 3 takes pictures of the project.
        length: frames.
        size: (H, W) of a frame in pixels.
        view: which part of the photo's tighter side a frame shows in the middle of the clip, up to 1.
        flicker: standard deviation of the brightness from frame to frame.
        noise: standard deviation of the sensor's noise, for each value and frame.
        seed: of flicker and noise.

    Raises:
        ImageError: an unknown name, or not one picture.
        ValueError: numbers out of range, an unknown path, or a camera that leaves the photo.

    >>> made = clip(path=Path(pan=(2, 1)), length=3, size=(24, 32))
    >>> motion = made.motion(2, 0)  # what frame 2 shows was farther to the right and farther down
    >>> motion.flow[0, :, 0, 0].tolist(), tuple(made.frames.shape)
    ([4.0, 2.0], (3, 3, 24, 32))
    """
    length, (height, width) = arguments.whole("length", length, 1, _LONGEST), _checked_size(size)
    if arguments.fraction("view", view) == 0:
        raise ValueError(f"view must be above 0 and at most 1, got {view!r}")
    flicker, noise = arguments.fraction("flicker", flicker), arguments.fraction("noise", noise)
    picture = sample_image(photo) if isinstance(photo, str) else photo
    check_pictures(picture, "the photo", single=True)
    camera = path if isinstance(path, Path) else _preset(path, length, width, view)
    cast = _cast(sprites, height, width)
    times = [t - (length - 1) / 2 for t in range(length)]
    nearest = max(camera.zoom**time for time in times)  # how much larger than in the middle it is seen at most

    scale = view * min(picture.shape[-1] / width, picture.shape[-2] / height)
    picture = _reduced(picture.detach().float().cpu(), nearest / scale)
    scale = view * min(picture.shape[-1] / width, picture.shape[-2] / height)  # photo's pixels in one of the frame
    middle = complex(width - 1, height - 1) / 2
    at = _place(camera.at, picture)
    seen = [(scale / camera.stretch(time), at + scale * camera.shift(time)) for time in times]
    ground = _Layer(picture, None, tuple((a, b - a * middle) for a, b in seen))
    _check_inside(ground, height, width)
    layers = [ground]
    for sprite in cast:
        larger = nearest * max(sprite.path.zoom**time for time in times)
        of_frame = sprite.size * height  # px, its height
        color, mask = (_reduced(one.float().cpu(), larger * of_frame / sprite.picture.shape[-2])
                       for one in (sprite.picture, sprite.mask))  # fmt: skip
        start = at + scale * (complex(sprite.path.at[0] * width - 0.5, sprite.path.at[1] * height - 0.5) - middle)
        own = color.shape[-2] / (of_frame * scale)  # sprite's pixels in one of the photo
        center, places = _place((0.5, 0.5), color), []
        for time, (a, b) in zip(times, ground.places, strict=True):
            turned = own / sprite.path.stretch(time)
            places.append((turned * a, turned * (b - start - scale * sprite.path.shift(time)) + center))
        layers.append(_Layer(color, mask, tuple(places)))
    drawn = torch.randn(length, generator=runtime.seeded_generator(arguments.seed(seed))).clamp(-2, 2)
    light = tuple((1 + flicker * drawn).clamp_min(0).tolist())
    return Clip(tuple(layers), (height, width), light, float(noise), arguments.seed(seed))


def ellipse(picture: Tensor) -> Tensor:
    """A mask for a sprite without one: 1 in the largest ellipse, (1, 1, h, w).

    >>> ellipse(torch.zeros(1, 3, 4, 4))[0, 0].int().tolist()
    [[0, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 1], [0, 1, 1, 0]]
    """
    check_tensor(picture, "the sprite")
    height, width = picture.shape[-2:]
    y = (torch.arange(height) + 0.5) / height - 0.5
    x = (torch.arange(width) + 0.5) / width - 0.5
    return (y[:, None].square() + x.square() <= 0.25)[None, None].float()


def _preset(name: str, length: int, width: int, view: float) -> Path:
    half = max(length - 1, 1) / 2
    room = 0.9 * (1 - view) / view / 2 * width  # px of the frame, to each side, in the photo's tighter direction
    ways = {
        "still": Path(),
        "pan": Path(pan=(min(_SPEED * width, room / half), min(_SPEED * width / 4, room / half / 4))),
        "zoom": Path(zoom=min(1.01, (1 + 0.9 * (1 / view - 1)) ** (1 / half))),
        "turn": Path(turn=min(0.5, 60 * (1 - view) / half / 2)),
        "handheld": Path(sway=(min(0.04 * width, room), min(0.02 * width, room / 2)), period=17.0),
    }
    return ways[arguments.choice("path", name, PATHS)]


def _cast(sprites: int | Sequence[Sprite], height: int, width: int) -> tuple[Sprite, ...]:
    if isinstance(sprites, list | tuple):
        if strange := [each for each in sprites if not isinstance(each, Sprite)]:
            raise ValueError(f"sprites must be a number or a list of camera.Sprite(…), got {strange[0]!r:.60} in it")
        return tuple(sprites)
    return _samples(arguments.whole("sprites", sprites, 0, 3), height, width)


def _samples(count: int, height: int, width: int) -> tuple[Sprite, ...]:
    """Pictures of the project, cut out: a person by her mask, others as ellipses."""
    person = sample_image("astronaut", 384)
    painted = sample_image("astronaut_mask", 384)  # orange where she is, gray elsewhere
    orange = (painted[:, :1] - painted[:, 2:] > 0.3).float()
    flower, cat = sample_image("dahlia", 256), sample_image("cat", 256)
    return (
        Sprite(person, orange, 0.6, Path(at=(0.4, 0.74), sway=(0.22 * width, 0.0))),
        Sprite(flower, ellipse(flower), 0.3, Path(at=(0.6, 0.35), sway=(-0.2 * width, 0.1 * height), period=40.0)),
        Sprite(cat, ellipse(cat), 0.3, Path(at=(0.5, 0.7), sway=(-0.25 * width, 0.0), period=60.0)),
    )[:count]


def _checked_size(size: tuple[int, int]) -> tuple[int, int]:
    if not isinstance(size, tuple | list) or len(size) != 2:
        raise ValueError(f"size must be (H, W) in pixels, got {size!r}")
    return arguments.whole("size", size[0], 1), arguments.whole("size", size[1], 1)


def _check_inside(ground: _Layer, height: int, width: int) -> None:
    """Refuse a camera that leaves the photo."""
    rows, columns = ground.picture.shape[-2:]
    for t, (a, b) in enumerate(ground.places):
        for x in (-0.5, width - 0.5):
            for y in (-0.5, height - 0.5):
                z = a * complex(x, y) + b
                if not (-0.51 <= z.real <= columns - 0.49 and -0.51 <= z.imag <= rows - 0.49):
                    raise ValueError(
                        f"the camera leaves the photo at frame {t} of {len(ground.places)}; take fewer frames, a "
                        "slower path, another `at`, or a smaller view"
                    )


def _reduced(picture: Tensor, factor: float) -> Tensor:
    """`picture`, smaller by `factor` where that is below 1: no more pixels than the largest view needs."""
    if factor >= 1:
        return picture
    height, width = (max(1, round(side * factor)) for side in picture.shape[-2:])
    return resample(picture, height, width)


def _place(at: tuple[float, float], picture: Tensor) -> complex:
    return complex(at[0] * picture.shape[-1] - 0.5, at[1] * picture.shape[-2] - 0.5)


def _grid(height: int, width: int) -> Tensor:
    """x + iy of every pixel, complex128 (H, W)."""
    y = torch.arange(height, dtype=torch.float64)[:, None].expand(height, width)
    return torch.complex(torch.arange(width, dtype=torch.float64).expand(height, width), y)


def _apply(place: tuple[complex, complex], z: Tensor) -> Tensor:
    return place[0] * z + place[1]


def _read(picture: Tensor, z: Tensor, mode: str) -> Tensor:
    """The picture (1, C, h, w) at the positions z, complex (H, W): (1, C, H, W)."""
    height, width = picture.shape[-2:]
    grid = torch.stack(((2 * z.real + 1) / width - 1, (2 * z.imag + 1) / height - 1), -1)[None].float()
    return functional.grid_sample(picture, grid, mode=mode, padding_mode="border", align_corners=False)


def _covers(mask: Tensor, z: Tensor) -> Tensor:
    """Where the mask is at least 0.5, and not outside of it, bool (H, W)."""
    height, width = mask.shape[-2:]
    within = (z.real >= -0.5) & (z.real <= width - 0.5) & (z.imag >= -0.5) & (z.imag <= height - 0.5)
    return within & (_read(mask, z, "bilinear")[0, 0] >= 0.5)
