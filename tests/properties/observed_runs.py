"""Run a command in this process, and compare what is in a folder before and after it."""

import hashlib
import io
import os
import re
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from hypothesis import event
from PIL import Image

from course_lib.__main__ import main

BEGINNINGS = ("course_lib: ", "usage: python -m course_lib")  # of a message: ours, or that of argparse
LONGEST = 900  # characters of a message, with two paths of some 250 in it
# what the words of the command line do not have: names of arguments and functions of the library, numbers of errors
UNWANTED = re.compile(
    r"Traceback|\[Errno|Error\(|<class|\b(sample_image|load_image|from_pil|resize|clamp)\b|\b[a-z]+(_[a-z]+)*='\w"
    r"|\b(num_steps|image_size|batch_size|style_weight|history_size|state_dict)\b"
)


@dataclass(frozen=True)
class Run:
    """What a command did."""

    code: int
    out: str
    err: str
    before: dict[str, str]
    after: dict[str, str]

    @property
    def changed(self) -> set[str]:
        """Files and folders that are new, gone, or different."""
        return {name for name in {*self.before, *self.after} if self.before.get(name) != self.after.get(name)}


@contextmanager
def folder() -> Iterator[Path]:
    """An empty folder that is the working folder and the home folder inside the ``with``."""
    old, home = os.getcwd(), os.environ.get("HOME")
    with tempfile.TemporaryDirectory(prefix="property_") as name:
        root = Path(name)
        os.chdir(root)
        os.environ["HOME"] = name
        try:
            yield root
        finally:
            os.chdir(old)
            os.environ.pop("HOME")
            if home is not None:
                os.environ["HOME"] = home
            for path in root.rglob("*"):
                if not path.is_symlink():
                    path.chmod(0o700)


def contents(root: Path) -> dict[str, str]:
    """Path below `root` → what is there: the digest of a file, the target of a link."""
    found = {}
    for path in sorted(root.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            said = f"link to {os.readlink(path)}"
        elif stat.S_ISREG(mode):
            said = f"{stat.S_IMODE(mode):o} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        else:
            said = "folder" if stat.S_ISDIR(mode) else "other"
        found[str(path.relative_to(root))] = said
    return found


def run(words: Sequence[str], root: Path, *, keeps: bool = True) -> Run:
    """Run ``course_lib WORDS``; what never may happen, whatever the words, fails here.

    Args:
        keeps: whether a command that ends in an error changes nothing; `fetch` makes its cache folder.
    """
    before, out, err = contents(root), io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = main(list(words))
        except SystemExit as ended:  # argparse
            code = ended.code
    done = Run(code, out.getvalue(), err.getvalue(), before, contents(root))
    event(f"exit code {code}")
    assert done.code in (0, 1, 2), done
    if done.code:
        said = [line for line in done.err.splitlines() if line.startswith(BEGINNINGS)]
        assert said, done
        assert max(map(len, said)) < LONGEST or not keeps, done
    assert not (found := UNWANTED.search(done.err)), (found, done)
    left = [name for name in done.changed if name.endswith(".tmp") or (keeps and name.endswith((".lock", ".old")))]
    assert not left, done
    if done.code == 2 and keeps:
        assert not done.changed, (done.changed, done)
    return done


def picture_at(path: Path) -> tuple[str, tuple[int, int]]:
    """(format, (width, height)) of a picture file, read to its end."""
    with Image.open(path) as pil:
        pil.load()
        assert pil.mode in ("RGB", "RGBA"), pil.mode
        return pil.format, pil.size
