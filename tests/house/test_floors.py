"""The floor plan: a room imports from lower floors only, and the lower floors know no notebook."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "course_lib"
BOOK = Path(__file__).resolve().parents[2] / "book"
FLOORS = [
    {
        "arguments",
        "config_checks",
        "image_checks",
        "images",
        "picture_files",
        "picture_notes",
        "deep_files",
        "pixels",
        "colors",
        "masks",
        "painted_masks",
        "grabcut",
        "samples",
        "runtime",
        "atomic",
        "paths",
        "cuda_graphs",
        "flow",
    },
    {"pretrained", "training", "optimize"},
    {"networks", "losses", "data", "painting"},
    {"methods", "evaluation"},
    {"teaching"},
    {"cli", "__main__"},
]
TEACHING = 4  # the first floor that knows of notebooks
SHOWING = {"matplotlib", "IPython", "ipywidgets", "tqdm"}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def floor_of(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def imported(path: Path) -> set[str]:
    """Full names of everything a module imports, `course_lib.losses` and `course_lib.losses.gram_matrix` alike."""
    names: set[str] = set()
    package = ("course_lib", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(package[: len(package) - node.level + 1]) + "." if node.level else ""
            base = (above + (node.module or "")).rstrip(".")
            names |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    own = path.relative_to(PACKAGE).with_suffix("").parts
    floor = floor_of(own[0])
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "course_lib" and len(parts) > 1 and parts[1] in set().union(*FLOORS):
            assert floor_of(parts[1]) <= floor, f"{'/'.join(own)} (floor {floor}) imports {name} from above"
        if parts[:2] == ["course_lib", "methods"] and own[0] == "methods" and own[-1] != "__init__" and len(parts) > 2:
            assert parts[2] == own[-1], f"methods do not import each other: {own[-1]} imports {name}"
        if floor < TEACHING:
            assert parts[0] not in SHOWING, f"{'/'.join(own)} (floor {floor}) imports {name}"


def test_no_two_rooms_import_each_other() -> None:
    """Rooms of one floor may use each other, in one direction only."""
    known = set().union(*FLOORS)
    arrows: dict[str, set[str]] = {room: set() for room in known}
    for path in MODULES:
        own = path.relative_to(PACKAGE).with_suffix("").parts[0]
        names = (name.split(".") for name in imported(path))
        arrows[own] |= {parts[1] for parts in names if parts[0] == "course_lib" and len(parts) > 1} & known - {own}
    while free := [room for room, used in arrows.items() if not used & arrows.keys()]:
        for room in free:
            del arrows[room]
    assert not arrows, f"these rooms import each other in a circle: {arrows}"


def test_every_folder_says_what_lives_there() -> None:
    for folder in {path.parent for path in MODULES} - {PACKAGE}:
        text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
        assert len(text.splitlines()) >= 3, f"{folder.name}/__init__.py: say what lives there and what must not"


def test_every_room_has_a_floor_and_a_name() -> None:
    rooms = {path.relative_to(PACKAGE).with_suffix("").parts[0] for path in MODULES}
    assert rooms <= set().union(*FLOORS), f"rooms without a floor: {sorted(rooms - set().union(*FLOORS))}"
    assert not {path.stem for path in MODULES} & {"utils", "common", "helpers", "misc"}


def test_the_page_of_the_library_shows_every_public_module() -> None:
    """The pages book/api*.md; a module that only its own folder uses is left out here, with a reason."""
    inner = {
        "pretrained.catalog": "a table",
        "pretrained.formats": "read by weights alone",
        "pretrained.package_index": "used by weights alone",
        "pretrained.download": "used by package_index and mirror alone",
    }
    shown = set(
        re.findall(
            r"automodule:: course_lib\.([\w.]+)",
            "".join(page.read_text(encoding="utf-8") for page in BOOK.glob("api*.md")),
        )
    )
    rooms = {".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__") for path in MODULES}
    in_folders = {room for room in rooms if room.count(".") == 1 and f"{room}." not in " ".join(rooms)}
    wanted = {room for room in in_folders if room.split(".")[0] not in ("cli",)} - inner.keys()
    wanted |= FLOORS[0] | {"data.facades.dataset"}
    assert wanted <= shown, f"book/api.md lacks {sorted(wanted - shown)}"
    assert shown <= rooms, f"book/api.md names what is not there: {sorted(shown - rooms)}"
