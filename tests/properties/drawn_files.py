"""What people give to the command line, drawn by chance: picture files of every kind, sound and damaged, and paths.

Also the settings of the small networks that the commands run on.
"""

import os
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from PIL import Image, ImageCms

TINY = {"width": 0.1, "num_blocks": 1, "weights": None, "device": "cpu", "precision": "float32"}
MODES = {
    "PNG": ("1", "L", "LA", "P", "P with a hole", "RGB", "RGBA", "I;16"),
    "JPEG": ("L", "RGB", "CMYK"),
    "WEBP": ("RGB", "RGBA"),
    "GIF": ("L", "P", "P with a hole", "animated"),
    "BMP": ("1", "L", "P", "RGB"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F", "F up to 255"),
}
SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp", "TIFF": ".tiff"}
WRITTEN = {
    ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF",
}  # suffix → format of a result  # fmt: skip
DAMAGES = ("cut short", "no bytes", "text", "flipped bytes", "random bytes", "a web page")
PROFILES = {"": None, "broken": b"no profile", "srgb": b"", "lab": b""}
for _space, _name in (("sRGB", "srgb"), ("LAB", "lab")):
    PROFILES[_name] = ImageCms.ImageCmsProfile(ImageCms.createProfile(_space)).tobytes()
NAMES = (
    "photo", "my photo", "täxt ½ 山", ".hidden", "new\nline", "100%", "a[1]", "-dash", "it's", "a.b", "n" * 200,
    "UPPER",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Drawn:
    """A picture file: what it shows, how it is stored, and how it is damaged."""

    mode: str
    format: str
    size: tuple[int, int]  # (width, height) as stored
    damage: str  # "" or one of DAMAGES
    place: float  # of the damage, from 0 (beginning) to 1 (end)
    profile: str
    turned: bool  # by EXIF data, a quarter
    flat: bool  # few colors, as a label map
    name: str  # with suffix

    @property
    def sound(self) -> bool:
        """Whether it can be read."""
        return not self.damage and self.mode != "F up to 255"

    @property
    def shown(self) -> tuple[int, int]:
        """(width, height) as a viewer shows it."""
        return self.size[::-1] if self.turned else self.size

    def write(self, path: Path) -> None:
        """Make the file, and the folders above it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self._damaged(self._encoded()))

    def _encoded(self) -> bytes:
        width, height = self.size
        levels = np.random.default_rng(width * 100 + height).integers(0, 256, (height, width, 4), dtype=np.uint8)
        if self.flat:
            levels = levels // 128 * 255
        pil, options = Image.fromarray(levels), {}
        if self.mode == "I;16":
            pil = Image.fromarray(levels[..., 0].astype(np.uint16) * 257)
        elif self.mode.startswith("F"):
            top = 1 if self.mode == "F up to 255" else 255
            pil = Image.fromarray(np.maximum(levels[..., 0], 2).astype(np.float32) / top)
        elif self.mode == "animated":
            pil, options = pil.convert("P"), {"save_all": True, "append_images": [Image.new("P", self.size)]}
        elif self.mode == "P with a hole":
            pil, options = pil.convert("RGB").convert("P"), {"transparency": 0}
        else:
            pil = pil.convert("RGB").convert(self.mode) if self.mode not in ("LA", "RGBA") else pil.convert(self.mode)
        if self.turned:
            options["exif"] = Image.Exif()
            options["exif"][0x0112] = 6  # Orientation
        if self.profile:
            options["icc_profile"] = PROFILES[self.profile]
        stream = BytesIO()
        pil.save(stream, self.format, **options)
        return stream.getvalue()

    def _damaged(self, data: bytes) -> bytes:
        at = int(self.place * (len(data) - 1))
        if self.damage == "cut short":
            return data[: max(1, at)]
        if self.damage == "flipped bytes":
            return data[:at] + bytes(255 - byte for byte in data[at : at + 4]) + data[at + 4 :]
        noise = np.random.default_rng(at).bytes(300)
        others = {"no bytes": b"", "text": b"not a picture", "random bytes": noise, "a web page": b"<!DOCTYPE html>\n"}
        return others.get(self.damage, data)


def sides(least):
    """The sides of small pictures, mostly from `least` px up; odd ones too."""
    return st.one_of(st.integers(least, 40), st.sampled_from((least, least + 1, 33, 64)))


@st.composite
def pictures(draw, least=1, sound=False):
    """A `Drawn`, which can be read if it is to be `sound`, with sides of mostly at least `least` px."""
    format = draw(st.sampled_from(sorted(MODES)))
    damage = "" if sound else draw(st.sampled_from(("", *DAMAGES)))
    modes = MODES[format][:-1] if sound and format == "TIFF" else MODES[format]
    tagged = format in ("PNG", "JPEG", "WEBP", "TIFF")
    right = SUFFIXES[format]
    suffix = draw(st.sampled_from((right, right, right.upper(), *[".jpg", ""] * (not sound))))
    odd = not sound and draw(st.booleans())
    size = st.sampled_from(((1, 1), (70, 3), (3, 70), (64, 1))) if odd else st.tuples(sides(least), sides(least))
    return Drawn(
        mode=draw(st.sampled_from(modes)), format=format, size=draw(size), damage=damage,
        place=draw(st.floats(0, 1)) if damage else 0.0,
        profile=draw(st.sampled_from(("", "", *PROFILES))) if tagged else "", turned=tagged and draw(st.booleans()),
        flat=draw(st.booleans()), name=draw(st.sampled_from(NAMES)) + suffix,
    )  # fmt: skip


def mostly_sound(least):
    """A `Drawn`, which cannot be read in one of six draws or so."""
    return st.sampled_from((True, True, True, False)).flatmap(lambda sound: pictures(least, sound=sound))


# --- the words that stand for pictures ---

FINE_WORDS = ("file", "relative", "home", "nested", "link", "folder", "folders", "pattern", "two files")
WORDS = (*FINE_WORDS, "dangling link", "missing", "empty", "device", "fifo", "endless")


@dataclass(frozen=True)
class Request:
    """Words of the command line for some pictures, and what they should lead to."""

    words: list[str]
    taken: dict[Drawn, str]  # the pictures that the words mean → their names below an output folder
    folder: bool  # the words mean several pictures, so that `-o` names a folder
    sure: bool  # the words are fine


def lay_out(kind: str, drawn: list[Drawn], root: Path) -> Request:
    """Write pictures into `root`, and name them in one way of `WORDS`; the first one alone unless `kind` says other."""
    one = drawn[0]
    plain = root / one.name
    if kind in ("folder", "folders", "pattern", "two files"):
        place = root / "photos"
        paths = [place / ("" if k % 2 == 0 or kind != "folders" else "sub") / each.name for k, each in enumerate(drawn)]
        for path, each in zip(paths, drawn, strict=True):
            each.write(path)
        if kind != "pattern":
            (place / "notes.txt").write_text("no picture")
        (place / "._photo.png").write_bytes(b"what macOS leaves")
        by_name = dict(zip(paths, drawn, strict=True))  # of one name: the last
        if kind == "two files":
            taken = {each: path.name for path, each in by_name.items()}
            return Request([str(path) for path in by_name], taken, len(by_name) > 1, True)
        if kind == "pattern":
            taken = {each: path.name for path, each in by_name.items() if not path.name.startswith(".")}
            return Request([f"{place}/*"], taken, len(taken) > 1, bool(taken))
        known = (*SUFFIXES.values(), *WRITTEN)
        taken = {
            each: str(path.relative_to(place))
            for path, each in by_name.items()
            if path.suffix.lower() in known and not path.name.startswith(".")
        }
        words = [str(place), "--recursive"] if kind == "folders" else [str(place)]
        return Request(words, taken, True, bool(taken))
    if kind == "nested":
        plain = root / "a" / "b c" / one.name
    one.write(plain)
    words = {
        "relative": one.name, "home": f"~/{one.name}", "missing": f"{plain}.gone", "empty": "",
        "device": "/dev/null", "endless": "/dev/zero",
    }  # fmt: skip
    if kind in ("link", "dangling link"):
        link = root / f"link{plain.suffix}"
        link.symlink_to(plain if kind == "link" else root / "gone")
        words |= {kind: str(link)}
        return Request([str(link)], {one: link.name}, False, kind == "link")
    if kind == "fifo":
        os.mkfifo(root / "fifo.png")
        return Request([str(root / "fifo.png")], {}, False, False)
    sure = kind in ("file", "nested", "home") or (kind == "relative" and not one.name.startswith("-"))
    return Request([words.get(kind, str(plain))], {one: plain.name}, False, sure)
