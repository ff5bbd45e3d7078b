"""A queue to play with: items that do what their settings say, in processes that start in no time."""

import hashlib
import importlib
import itertools
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.paper_queue.device import Device
from scripts.paper_queue.items import Item
from scripts.paper_queue.plan import Call
from scripts.paper_queue.runner import Session

ROOT = Path(__file__).resolve().parents[2]
_NUMBERS = itertools.count()
ITEMS = """
from scripts.paper_queue.items import Item

QUEUE = {items}
"""
TASK = '''
import json, multiprocessing, os, signal, subprocess, sys, time
from pathlib import Path


def write(job, name, **changed):
    """A stored run as `records` writes it."""
    about = {"name": name, "profile": "paper", "seed": 0, "config": {}, "values": {"loss": 1.5}, "images": {},
             "command": "", "device": "a GPU", "versions": {"torch": "2.6.0"}, "commit": "abc", "minutes": 0.1,
             "peak_memory_gb": 1.0, "claims": {}, "reduced": "", "digest": os.environ["COURSE_LIB_DIGEST"]}
    folder = Path(os.environ["COURSE_LIB_RESULTS"]) / "paper" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "record.json").write_text(json.dumps({**about, **changed}))


def run(job):
    do = job.item.settings.get("do", "write")
    heard = {name: value for name, value in os.environ.items() if "COURSE" in name or "CUDA" in name}
    heard |= {"scale": job.scale, "device": job.device, "seconds": job.seconds, "datasets": str(job.datasets)}
    heard["workers"] = multiprocessing.get_start_method()
    told = Path(os.environ["PYTHONPATH"].split(os.pathsep)[-1]) / "told" / f"{job.item.name}.json"
    told.parent.mkdir(exist_ok=True)
    calls = json.loads(told.read_text()) if told.exists() else []
    told.write_text(json.dumps([*calls, heard]))
    if do == "raise":
        raise ValueError("the cat is out")
    if do == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if do == "memory":
        try:
            raise MemoryError("64 GB")
        except MemoryError as error:
            raise RuntimeError("no room for the picture") from error
    if do == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
        (told.parent / "hanging").write_text(f"{os.getpid()} {child.pid}")
        time.sleep(600)
    if do == "notes":
        print("note: cell 3: does not hold at this scale: the loss rose\\n    a line more")
    changed = {"nan": {"values": {"loss": [1.0, float("nan")]}}, "reduced": {"reduced": "1 of 9 steps"}}.get(do, {})
    for name in job.item.records[: 1 if do == "notes" else None]:
        write(job, name, **changed)
    if do == "late":
        raise OSError("while closing")
'''


def item(name, do="write", *, kind="fake", seconds=10.0, records=None, **more):
    return Item(name, kind, f"what {name} is", seconds, records or (f"03_{name}",), settings={"do": do}, **more)


class Queue:
    """A queue in a folder of its own, with a root that looks like a pack and what the runner needs to be tested."""

    def __init__(self, folder):
        self.folder, self.root, self.into = folder, folder / "root", folder / "into"
        self.root.mkdir()
        (self.root / "scripts").symlink_to(ROOT / "scripts")
        (self.root / "COMMIT").write_text("packed-1234\n")
        self.module = ""
        self.device = Device("a GPU", {"python": "3", "torch": "2.6.0"}, start=0.5)
        self.version = "first"

    def list(self, *items):
        """Make these the queue."""
        package = self.folder / f"fake_queue_{next(_NUMBERS)}"
        (package / "tasks").mkdir(parents=True)
        for init in (package, package / "tasks"):
            (init / "__init__.py").touch()
        (package / "items.py").write_text(ITEMS.format(items=repr(items)))
        for kind in {each.kind for each in items} - {"nobody"}:
            (package / "tasks" / f"{kind}.py").write_text(TASK)
        self.module = f"{package.name}.items"
        importlib.invalidate_caches()

    def digest(self, each, root=None, tasks=None):
        if not (tasks or self.call().tasks).joinpath(f"{each.kind}.py").exists():
            raise FileNotFoundError(f"nothing runs items of the kind {each.kind}")
        return hashlib.sha256(f"{each.name} {self.version}".encode()).hexdigest()[:16]

    def call(self, **changed):
        return replace(Call(self.root, self.into, queue=self.module), **changed)

    def session(self, call=None, **changed):
        return Session(call or self.call(**changed), digest_of=self.digest, device_of=lambda *_: self.device)

    def run(self, **changed):
        return self.session(**changed).run()

    def as_script(self):
        """The same as `run`, as the text of a program."""
        return f"""
import hashlib, sys
from pathlib import Path
sys.path[:0] = [{str(ROOT)!r}, {str(self.folder)!r}]
from scripts.paper_queue.device import Device
from scripts.paper_queue.plan import Call
from scripts.paper_queue.runner import Session

def digest_of(each, root, tasks):
    return hashlib.sha256(f"{{each.name}} {self.version}".encode()).hexdigest()[:16]

call = Call(Path({str(self.root)!r}), Path({str(self.into)!r}), queue={self.module!r})
Session(call, digest_of, lambda *_: Device("a GPU", {{}})).run()
"""

    def report(self, folder="."):
        found = json.loads((self.into / folder / "report.json").read_text())
        return {row["name"]: row for row in found["items"]}

    def states(self, folder="."):
        return {name: row["state"] for name, row in self.report(folder).items()}

    def told(self, name):
        """What the processes of an item were told, one dict a call."""
        file = self.folder / "told" / f"{name}.json"
        return json.loads(file.read_text()) if file.exists() else []


@pytest.fixture
def queue(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("COURSE_LIB_DATASETS", "COURSE_LIB_RESULTS", "COURSE_LIB_DIGEST", "COURSE_LIB_RECORDS"):
        monkeypatch.delenv(name, raising=False)
    yield Queue(tmp_path)
    for name in [name for name in sys.modules if name.startswith("fake_queue_")]:
        del sys.modules[name]


@pytest.fixture
def make_item():
    return item
