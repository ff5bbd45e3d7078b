"""What makes a run at the papers' scale anew: code, settings and networks; and what does not: words and figures."""

import ast
import dataclasses
from dataclasses import replace
from pathlib import Path

import pytest
from test_notebook_script import notebook

from course_lib.pretrained import catalog
from scripts.notebook_script import write_script
from scripts.paper_queue import digest as room
from scripts.paper_queue.digest import canonical, code_of, digest
from scripts.paper_queue.items import QUEUE, Item

ROOT = Path(__file__).resolve().parents[2]
TASK = '''"""A task."""
from course_lib import painted
from scripts.paper_queue.tasks import shared, stored


def run(job):
    """Runs it."""
    return painted(3)
'''
FILES = {
    "scripts/paper_queue/tasks/engine.py": TASK,
    "scripts/paper_queue/tasks/chapter.py": "def run(job):\n    pass\n",
    "scripts/paper_queue/tasks/shared.py": "import benchmarks.race\n",
    "benchmarks/race.py": "TURNS = 3\n",
    "scripts/models.py": "RECIPES = {}\n",
    "course_lib/__init__.py": '"""The package."""\nfrom course_lib.paint import painted\n\n'
    'if TYPE_CHECKING:\n    from course_lib.teaching import figures as figures\n\n__version__ = "1"\n',
    "course_lib/paint.py": "from course_lib import brushes, figures\n\ndef painted(n):\n    return n * brushes.WIDE\n",
    "course_lib/brushes.py": "WIDE = 2  # hairs\n",
    "course_lib/teaching/figures.py": "SIZE = 5\n",
    "course_lib/unused.py": "X = 1\n",
    "course_lib/texture.py": "GRAIN = 1\n",
}
ITEM = Item("any", "engine", "title", 10, ("05_any",), settings={"size": 64})
CHAPTER = Item("chapter_01", "chapter", "title", 10, ("01_any",), settings={"notebook": "01"})


@pytest.fixture
def root(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "notebooks").mkdir()
    chapter(tmp_path)
    return tmp_path


def chapter(root, source="size = 3\nfrom course_lib import texture", *, prose=("# Title",), play="panel()"):
    parameters = ('PROFILE = "quick"', "parameters")
    notebook(root / "notebooks" / "01_any.ipynb", *prose, ("!pip", "bootstrap"), parameters, (source,), (play, "play"))


def changed(root, name, old, new):
    """The digest with a change to one file."""
    path = root / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    try:
        return digest(ITEM, root)
    finally:
        path.write_text(text)


def test_words_and_figures_do_not_count(root):
    before = digest(ITEM, root)
    assert len(before) == 16
    assert int(before, 16) >= 0
    assert (
        changed(root, "scripts/paper_queue/tasks/engine.py", '"""Runs it."""', '"""Runs it,\n    well.\n    """\n')
        == before
    )
    assert changed(root, "course_lib/brushes.py", "# hairs", "# of a cat") == before
    assert changed(root, "course_lib/paint.py", "    return", "    # a reason\n\n    return") == before
    assert changed(root, "course_lib/teaching/figures.py", "5", "6") == before
    assert changed(root, "course_lib/unused.py", "1", "2") == before
    assert changed(root, "course_lib/__init__.py", '"1"', '"2"') == before  # only hands the name on
    assert changed(root, "scripts/models.py", "{}", "{1: 2}") == before
    chapter(root, "size = 9")
    assert digest(ITEM, root) == before
    assert digest(replace(ITEM, name="other", title="else", seconds=99), root) == before


def test_code_and_settings_count(root):
    before = digest(ITEM, root)
    found = {
        before,
        changed(root, "scripts/paper_queue/tasks/engine.py", "painted(3)", "painted(4)"),
        changed(root, "course_lib/brushes.py", "2", "3"),  # two imports away
        changed(root, "course_lib/paint.py", "n *", "2 * n *"),
        changed(root, "benchmarks/race.py", "3", "4"),  # by way of what tasks share
        changed(
            root, "scripts/paper_queue/tasks/shared.py", "import benchmarks.race", "from scripts.models import RECIPES"
        ),
        digest(replace(ITEM, settings={"size": 65}), root),
        digest(replace(ITEM, records=("05_other",)), root),
        digest(replace(ITEM, models=("wave_paper",)), root),
    }
    assert len(found) == 9
    (root / "scripts/paper_queue/tasks/shared.py").write_text("from scripts.models import RECIPES\n")
    before = digest(ITEM, root)
    assert changed(root, "scripts/models.py", "{}", "{1: 2}") != before


def test_networks_and_defaults_count(root, monkeypatch):
    from course_lib.methods import gatys

    before = digest(ITEM, root)
    entry = catalog.REGISTRY["vgg19_normalized"]
    with monkeypatch.context() as patch:
        room._networks.cache_clear()
        patch.setitem(catalog.REGISTRY, "vgg19_normalized", replace(entry, description="else"))
        assert digest(ITEM, root) == before
        room._networks.cache_clear()
        patch.setitem(catalog.REGISTRY, "vgg19_normalized", replace(entry, key="0" * 64))
        assert digest(ITEM, root) != before
    room._networks.cache_clear()
    with monkeypatch.context() as patch:
        room._defaults.cache_clear()
        config = dataclasses.make_dataclass("Config", [("style_weight", float, 3.0)])
        patch.setattr(gatys, "Config", config)
        assert digest(ITEM, root) != before
    room._defaults.cache_clear()
    assert digest(ITEM, root) == before


def test_a_chapter_counts_by_its_code_and_what_that_imports(root):
    before = digest(CHAPTER, root)
    chapter(root, "size = 3  # px\nfrom course_lib import texture", prose=("# Other", "more"), play="else_()")
    assert digest(CHAPTER, root) == before
    chapter(root, "size = 4\nfrom course_lib import texture")
    assert digest(CHAPTER, root) != before
    chapter(root)
    assert digest(CHAPTER, root) == before
    (root / "course_lib" / "texture.py").write_text("GRAIN = 2\n")
    assert digest(CHAPTER, root) != before


def test_a_pack_has_the_digests_of_the_checkout(root):
    before = digest(CHAPTER, root)
    path = root / "notebooks" / "01_any.ipynb"
    write_script(path, {"PROFILE": "paper"}, root / "scripts" / "notebooks" / "01_any.py")
    path.unlink()
    assert digest(CHAPTER, root) == before
    (root / "scripts" / "notebooks" / "01_any.py").unlink()
    with pytest.raises(FileNotFoundError, match="begins with 01"):
        digest(CHAPTER, root)


def test_a_kind_that_nothing_runs_is_said(root):
    with pytest.raises(FileNotFoundError, match="nothing runs items of the kind walk"):
        digest(replace(ITEM, kind="walk"), root)


def test_syntax_trees_are_written_the_same_under_every_python():
    """`ast.dump` would differ between 3.11, 3.12 and 3.13."""
    tree = ast.parse("def f(x=None):\n    'text'\n    return f'a{x!r:>{3}}b' 'c'\n")
    assert canonical(tree) == (
        "Module(body=[FunctionDef(name='f', args=arguments(args=[arg(arg='x')], defaults=[Constant()]), "
        "body=[Return(value=JoinedStr('a', FormattedValue(value=Name(id='x'), conversion=114, "
        "format_spec=JoinedStr('>', FormattedValue(value=Constant(value=3), conversion=-1))), 'bc'))])])"
    )


def test_the_engines_closure_of_this_tree():
    code = code_of(ROOT / "benchmarks" / "engine.py", ROOT, ROOT / "benchmarks")
    assert {
        "course_lib.methods.gatys",
        "course_lib.optimize.lbfgs",
        "course_lib.pretrained.vgg",
        "course_lib.images",
    } <= set(code)
    left_out = ("figures", "records", "widgets", "claims", "registry", "provenance", "weights")
    assert not {name for name in code if name.split(".")[-1] in left_out}
    for module in room.NOT_COUNTED:
        path = ROOT.joinpath(*module.split("."))
        assert path.is_dir() or path.with_suffix(".py").is_file(), f"{module} is not counted, and does not exist"
    microscope = (ROOT / "course_lib" / "teaching" / "microscope.py").read_text()
    assert room.DRAWING["course_lib.teaching.microscope"] <= {
        node.name for node in ast.parse(microscope).body if hasattr(node, "name")
    }


def test_a_measure_of_the_ledger_is_made_anew_when_a_rule_or_its_conditions_change(ledger):
    item = Item("measure_ratio", "measure", "title", 10, ("measured_ratio",), settings={"measure": "ratio"})
    found = []
    for changed in ({}, {"conditions": {"paper": {"size": 512}}}, {"holds": "`low` <= `high`"}, {"claim": "It sinks."}):
        ledger.rows["a.holds"] = ledger.claim(record="measured_ratio", **changed)
        found.append(digest(item, ROOT))
    assert len(set(found)) == 3
    assert found[3] == found[0], "words do not count"
    ledger.rows["a.fails"] = ledger.claim("a.fails", record="measured_grid", holds="`low` > 5")
    assert digest(item, ROOT) == found[3], "the claims of another measure do not count"
    tasks = ROOT / "scripts" / "paper_queue" / "tasks"
    code = code_of(tasks / "measure.py", ROOT, tasks)
    assert "course_lib.teaching.measures.choices" in code
    assert "course_lib.teaching.registry" not in code


def test_items_of_one_task_differ():
    found = [digest(item, ROOT) for item in QUEUE if item.kind == "engine"]
    assert len(set(found)) == 3
