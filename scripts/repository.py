"""Writes the repository's address wherever it is needed: python -m scripts.repository https://github.com/OWNER/NAME

The one place is `repository.url` in _config.yml; the bootstrap cells of the notebooks (Colab installs from there) and a
few links repeat it. tests/house/test_project.py holds that they agree.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SETTING = re.compile(r"^(repository:\n(?:  .*\n)*?  url: *)(\S+)", re.MULTILINE)


def current(root: Path = ROOT) -> str:
    """The address in _config.yml."""
    found = SETTING.search((root / "_config.yml").read_text(encoding="utf-8"))
    if found is None:
        raise SystemExit("repository: _config.yml has no repository.url.")
    return found[2]


def places(root: Path = ROOT) -> list[Path]:
    """Every file that may repeat the address."""
    names = ["_config.yml", "README.md", "CITATION.cff", "CONTRIBUTING.md", "CHANGELOG.md", "pyproject.toml"]
    names += ["course_lib/pretrained/catalog.py"]  # where the mirror of the pretrained networks is
    pages = [*root.glob("book/**/*.md"), *root.glob("notebooks/**/*.ipynb")]
    return [path for path in [*(root / name for name in names), *sorted(pages)] if path.exists()]


def rewrite(url: str, root: Path = ROOT) -> list[Path]:
    """Replaces the current address by `url` everywhere; returns the files that changed."""
    old, new = (address.removeprefix("https://github.com/") for address in (current(root), url))
    changed = []
    for path in places(root):
        text = path.read_text(encoding="utf-8")
        fresh = re.sub(rf"(?<=github\.com/){re.escape(old)}(?![\w-])", new, text)
        fresh = re.sub(rf"(?<=colab\.research\.google\.com/github/){re.escape(old)}(?![\w-])", new, fresh)
        if fresh != text:
            path.write_text(fresh, encoding="utf-8")
            changed.append(path)
    return changed


def main(arguments: list[str]) -> int:
    url = arguments[0].removesuffix("/").removesuffix(".git") if len(arguments) == 1 else ""
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", url):
        print("repository: say make repository URL=https://github.com/OWNER/NAME", file=sys.stderr)
        print(f"repository: now it is {current()}", file=sys.stderr)
        return 1
    for path in rewrite(url):
        print(f"{path.relative_to(ROOT)}: now {url}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
