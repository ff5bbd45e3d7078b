"""What comes from npm: exact versions, digests and no host in the lock file; what is missing is said."""

import json
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from scripts import packages as of_the_book

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """scripts/packages.py, in a folder that asks for one package."""
    monkeypatch.setattr(of_the_book, "ROOT", tmp_path)
    monkeypatch.setattr(of_the_book, "FOLDER", tmp_path / "node_modules")
    (tmp_path / "package.json").write_text("{}")
    lock = {"packages": {"": {}, "node_modules/@a/b": {"version": "1.2.3"}}}
    (tmp_path / "package-lock.json").write_text(json.dumps(lock))
    return of_the_book


def put(folder: Path, version: str) -> None:
    package = folder / "node_modules" / "@a" / "b" / "package.json"
    package.parent.mkdir(parents=True, exist_ok=True)
    package.write_text(json.dumps({"version": version}))


def test_nothing_is_asked_for_when_every_version_is_there(packages: ModuleType, tmp_path: Path) -> None:
    assert not packages.complete()
    put(tmp_path, "1.2.2")
    assert not packages.complete()
    put(tmp_path, "1.2.3")
    assert packages.complete()
    assert packages.install() == tmp_path / "node_modules"


def test_without_npm_it_says_what_to_install(packages: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(packages.PackagesError, match="apt-get install nodejs npm"):
        packages.install()


def test_the_lock_file_is_exact_and_names_no_host() -> None:
    wanted = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))
    text = (ROOT / "package-lock.json").read_text(encoding="utf-8")
    lock = json.loads(text)["packages"]
    assert "://" not in text
    for name, version in {**wanted.get("dependencies", {}), **wanted.get("devDependencies", {})}.items():
        assert lock[f"node_modules/{name}"]["version"] == version
    assert all(package["integrity"].startswith("sha512-") for path, package in lock.items() if path)
