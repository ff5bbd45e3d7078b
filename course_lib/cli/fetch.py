"""``fetch``: download pretrained networks into the cache, or list them."""

from __future__ import annotations

import argparse
from typing import Any

from course_lib.cli.arguments import add_command, size_of
from course_lib.cli.terminal import bar as progress_bar
from course_lib.cli.terminal import report

DEFAULT_NETWORKS = ("vgg19_normalized", "vgg16_torchvision")


def add(commands: Any) -> None:
    """Declare the command and its arguments."""
    fetch = add_command(commands, "fetch", run, "download pretrained networks into the cache and verify them")
    fetch.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"networks to fetch (default: {' and '.join(DEFAULT_NETWORKS)})",
    )
    fetch.add_argument("--list", action="store_true", help="list the networks and download nothing")
    fetch.add_argument("--refresh", action="store_true", help="download again, even if the file is in the cache")


def run(options: argparse.Namespace) -> None:
    """Download pretrained networks, or list them."""
    if options.list:
        _print_catalog()
        return
    from course_lib.pretrained import weights

    for name in options.names or DEFAULT_NETWORKS:
        with progress_bar(desc=name, unit="B", unit_scale=True, leave=False) as bar:

            def show(done: int, total: int, bar: Any = bar) -> None:
                bar.total = total
                bar.update(done - bar.n)

            path = weights.fetch(name, progress=show, refresh=options.refresh)
        report(f"{name}: {path}", name=name, file=path, bytes=path.stat().st_size)


def _print_catalog() -> None:
    from course_lib.pretrained import weights
    from course_lib.pretrained.catalog import mirror_address
    from course_lib.pretrained.download import without_password

    folder, mirror = weights.cache_folder(), without_password(mirror_address())
    report(f"Cache folder: {folder}\nMirror: {mirror}", asked=True, cache=folder, mirror=mirror)
    for entry in weights.catalog().values():
        report(
            f"\n{entry.name}  ({size_of(entry.size)}, {'cached' if entry.cached else 'not cached'})\n"
            f"  {entry.description}\n  from: {entry.origin}\n  license: {entry.license}",
            asked=True, name=entry.name, bytes=entry.size, cached=entry.cached, description=entry.description,
            origin=entry.origin, license=entry.license,
        )  # fmt: skip
