"""Paints the pictures of the gallery: python -m scripts.gallery [--shard 0/2] [NAME …]

Each picture is what one command of the command line gives; the command stands on the page beside its picture. A run is
stored as ``data/results/gallery_NAME``, and one that is stored already is left alone unless it is named.
"""

import argparse
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from course_lib import __main__ as command_line
from course_lib import samples
from course_lib.cli import stylize_by_optimization
from course_lib.cli.stylize_in_one_pass import LONGEST
from course_lib.images import resize
from course_lib.methods import adain, gatys
from course_lib.teaching import records

ROOT = Path(__file__).resolve().parents[1]
SIZE = 768  # the long side, in pixels


@dataclass(frozen=True)
class Piece:
    """One picture: a photograph and a painting of the package."""

    content: str
    style: str
    transform: str | None = None  # of a picture that was painted in one pass; None: optimized

    @property
    def name(self) -> str:
        return f"{self.content}_{self.style}"

    @property
    def record(self) -> str:
        return f"gallery_{self.name}"

    def command(self, size: int = SIZE) -> str:
        """The command that paints it, from the repository's root."""
        files = [samples.sample_path(name).relative_to(ROOT).as_posix() for name in (self.content, self.style)]
        how = f"--method adain --transform {self.transform}" if self.transform else "--start noise"
        return f"python -m course_lib stylize {' '.join(files)} -o {self.content}.webp --size {size} {how}"


PIECES = tuple(
    Piece(*pair.split())
    for pair in (
        "neuschwanstein cafe_terrace",
        "eilean_donan great_wave",
        "schwerin_palace composition_viii",
        "mont_saint_michel village_street_auvers",
        "chenonceau church_at_auvers",
        "golden_temple harvest",
        "scarlet_macaw composition_viii",
        "rocamadour ejiri",
        "bison road_to_tarascon",
        "jaguar night_cafe",
        "pagoda poppies",
        "horse summertime",
        # in one pass
        "pagoda village_street_auvers swap+adain",
        "chenonceau great_wave swap+adain",
        "owl composition_viii adain",
        "golden_temple pere_tanguy swap+adain",
        "mysore_palace langlois_bridge swap+adain",
        "cat night_cafe wct",
        "neuschwanstein harvest swap+adain",
        "giraffe village_street_auvers swap+adain",
        "dahlia librarian swap+adain",
        "bison church_at_auvers adain",
        "schwerin_palace cafe_terrace swap+adain",
        "petra summertime adain",
    )
)


def settings(command: str) -> tuple[gatys.Config, int]:
    """What the command line makes of a command: the method's settings and the long side in pixels."""
    options = command_line.parsed(shlex.split(command)[3:])
    return stylize_by_optimization.configuration(options), options.size


def paint(piece: Piece) -> None:
    """Do what the command does, in this process, and store what it paints."""
    command = piece.command()
    config, size = settings(command) if piece.transform is None else ({"transform": piece.transform}, SIZE)
    with records.run(piece.record, profile="laptop", seed=0, config=config, command=command) as run:
        photo, painting = samples.sample_image(piece.content, size), samples.sample_image(piece.style)
        if isinstance(config, gatys.Config):
            result: gatys.Result | adain.Result = gatys.stylize(photo, painting, config)
        else:
            result = adain.stylize(photo, resize(painting, min(LONGEST, max(painting.shape[-2:]))), **config)
        run.images["painted"] = result.image
        run.values = {"content": piece.content, "style": piece.style, "seconds": result.history["seconds"][-1]}
    print(f"{run.minutes:5.1f} min {piece.name}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="paint these again, for example eilean_donan_great_wave")
    parser.add_argument("--shard", default="0/1", help="i/n: only every n-th picture from the i-th")
    options = parser.parse_args(arguments)
    shard, shards = map(int, options.shard.split("/"))
    if unknown := {*options.names} - {piece.name for piece in PIECES}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(piece.name for piece in PIECES)}")
    for piece in PIECES[shard::shards]:
        stored = (records.folder_of(piece.record, "laptop") / "record.json").exists()
        if piece.name in options.names or not (options.names or stored):
            paint(piece)
    return 0


if __name__ == "__main__":
    sys.exit(main())
