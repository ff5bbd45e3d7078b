"""What the project says about itself in several places must agree."""

import ast
import dataclasses
import importlib
import inspect
import json
import pkgutil
import re
from pathlib import Path
from types import ModuleType

import pytest

import course_lib
from course_lib import methods
from course_lib.methods import gatys
from course_lib.pretrained import catalog

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
METHODS = [module.name for module in pkgutil.iter_modules(methods.__path__)]
VERBS = {"stylize", "translate", "generate", "upscale"}


def tool(name: str) -> ModuleType:
    """A script, as a module."""
    return importlib.import_module(f"scripts.{name}")


def cells(path: Path, tag: str) -> list[str]:
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in found if tag in cell["metadata"].get("tags", [])]


# --- address
def test_the_repository_address_agrees_everywhere() -> None:
    url = tool("repository").current()
    assert re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", url)
    for path in NOTEBOOKS:
        (bootstrap,) = cells(path, "bootstrap")
        assert url in bootstrap, f"{path.name}: its bootstrap cell installs from elsewhere than {url}"
    name = url.removeprefix("https://github.com/")
    for path in [ROOT / "README.md", *NOTEBOOKS]:
        text = path.read_text(encoding="utf-8")
        colab = re.findall(r"colab\.research\.google\.com/github/([\w.-]+/[\w.-]+)/", text)
        assert set(colab) <= {name}, f"{path.name} links to {set(colab) - {name}} on Colab"
    assert url in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert url in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert url == catalog.REPOSITORY, "the mirror of the pretrained networks is looked for elsewhere"


def test_rewriting_the_address_reaches_everything(tmp_path: Path) -> None:
    repository = tool("repository")
    old = repository.current()
    for path in repository.places():
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    repository.rewrite("https://github.com/somebody/a-fork", tmp_path)
    assert repository.current(tmp_path) == "https://github.com/somebody/a-fork"
    for path in repository.places(tmp_path):
        assert old.removeprefix("https://") not in path.read_text(encoding="utf-8"), path
    for path in tmp_path.rglob("*.ipynb"):
        json.loads(path.read_text(encoding="utf-8"))


# --- README
def test_the_readme_snippet_names_what_exists() -> None:
    """Its imports run, its calls have those parameters, its pictures exist (painting itself is chapter 3)."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    tree = ast.parse(snippet)
    imports = ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], [])
    names: dict[str, object] = {}
    exec(compile(imports, "README.md", "exec"), names)
    assigned = [node.targets[0] for node in ast.walk(tree) if isinstance(node, ast.Assign)]
    made = {name.id for target in assigned for name in ast.walk(target) if isinstance(name, ast.Name)}
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        function = eval(ast.unparse(call.func), names)
        arguments = [None] * len(call.args)
        inspect.signature(function).bind(*arguments, **{str(word.arg): None for word in call.keywords})
        if function is course_lib.sample_image:
            course_lib.sample_image(ast.literal_eval(call.args[0]), size=16)
    for attribute in (node for node in ast.walk(tree) if isinstance(node, ast.Attribute)):
        if isinstance(attribute.value, ast.Name) and attribute.value.id not in made:
            assert hasattr(names[attribute.value.id], attribute.attr)
    (result,) = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & {"image"}
    assert result in {field.name for field in dataclasses.fields(gatys.Result)}


def test_every_file_the_readme_links_to_exists() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (ROOT / target).exists(), f"README.md links to {target}"


# --- methods
@pytest.mark.parametrize("name", METHODS)
def test_every_method_says_the_same_words(name: str) -> None:
    method = importlib.import_module(f"course_lib.methods.{name}")
    places = (method.__name__, "course_lib.painting.run")  # methods that optimize a picture share their Result
    own = {key for key, value in vars(method).items() if getattr(value, "__module__", "") in places}
    learns = "train" in own
    words = {"Config", "Result", *({"Model", "save", "load"} if learns else ())}
    assert words <= own, f"{name} lacks {sorted(words - own)}"
    assert len(VERBS & own) == 1, f"{name} has {sorted(VERBS & own)}: exactly one of {sorted(VERBS)}"
    for word in words & {"Config", "Result", "Model"}:
        kind = getattr(method, word)
        assert dataclasses.is_dataclass(kind), f"{name}.{word} must be a dataclass"
        assert kind.__dataclass_params__.frozen, f"{name}.{word} must be frozen"
    for config in (method.Config(), method.Config.fast(), method.Config.quick()):
        assert type(config) is method.Config
        for field in dataclasses.fields(config):
            assert field.default is not dataclasses.MISSING, f"{name}.Config.{field.name} has no default"
    assert {"image", "history"} <= {field.name for field in dataclasses.fields(method.Result)}
    (verb,) = VERBS & own
    for function in (verb, *({"train", "save", "load"} & own)):
        assert inspect.getdoc(getattr(method, function)), f"{name}.{function} explains nothing"
    if learns:
        assert {"network", "config", "facts"} <= {field.name for field in dataclasses.fields(method.Model)}
        assert {"config", "callback", "checkpoint"} <= set(inspect.signature(method.train).parameters)
        assert "model" in inspect.signature(getattr(method, verb)).parameters
        assert list(inspect.signature(method.save).parameters)[:2] == ["model", "path"]
        assert list(inspect.signature(method.load).parameters)[:1] == ["path"]


@pytest.mark.parametrize("name", METHODS)
def test_every_field_of_a_configuration_says_where_it_comes_from(name: str) -> None:
    """Behind its default; what every method has explains itself."""
    method = importlib.import_module(f"course_lib.methods.{name}")
    bases = [kind for kind in method.Config.__mro__ if dataclasses.is_dataclass(kind)]
    for field in dataclasses.fields(method.Config):
        kind = next(kind for kind in bases if field.name in vars(kind).get("__annotations__", {}))
        (line,) = (line for line in inspect.getsource(kind).splitlines() if re.match(rf"    {field.name}: ", line))
        assert "  # " in line or field.name in ("precision", "device", "seed"), f"{name}.Config.{field.name}"


# --- pages
def test_every_chapter_and_page_is_in_the_table_of_contents() -> None:
    contents = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    listed = set(re.findall(r"(?:file|root): (\S+)", contents))
    written = {f"notebooks/{path.stem}" for path in NOTEBOOKS} | {
        path.relative_to(ROOT).with_suffix("").as_posix() for path in (ROOT / "book").glob("**/*.md")
    }
    assert listed == written


def test_the_sidebar_shows_titles_without_papers() -> None:
    contents = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    for path in NOTEBOOKS:
        heading = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"]).splitlines()[0]
        title = re.sub(r"\s*\(.*\)$", "", heading.lstrip("# "))
        assert f'- file: notebooks/{path.stem}\n        title: "{title}"\n' in contents
