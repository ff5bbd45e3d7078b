"""The floor plan: a room imports from lower floors only, and the lower floors know no notebook."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "course_lib"
GROUND = {
    "files",
    "images",
    "datasets",
    "weights",
    "runtime",
    "network_catalog",
    "network_formats",
    "package_index",
    "settings",
    "processes",
    "cuda_graphs",
    "pairs",
    "facades",
    "facade_painter",
    "pencil",
}
FLOORS = [
    GROUND,
    {"features", "losses", "layers", "lbfgs", "adversarial"},
    {
        "networks",
        "perceptual",
        "descent",
        "training",
        "apprentice",
        "checkpoints",
        "model_files",
        "tiles",
        "metrics",
        "image_pool",
        "segmenter",
    },
    {"methods"},
    {
        "figures",
        "microscope",
        "interactive",
        "widgets",
        "records",
        "claims",
        "checks",
        "assignments",
        "grading",
        "commands",
        "__main__",
    },
]
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
        if floor < 4:
            assert parts[0] not in SHOWING, f"{'/'.join(own)} (floor {floor}) imports {name}"


def test_every_room_has_a_floor_and_a_name() -> None:
    rooms = {path.relative_to(PACKAGE).with_suffix("").parts[0] for path in MODULES}
    assert rooms <= set().union(*FLOORS), f"rooms without a floor: {sorted(rooms - set().union(*FLOORS))}"
    assert not {path.stem for path in MODULES} & {"utils", "common", "helpers", "misc"}
