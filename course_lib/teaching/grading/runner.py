"""Run one submission cell by cell, in the process that `course_lib.teaching.grading` starts, limits and ends.

This script is never imported, so that nothing is loaded except what the assignment imports. It reads the cells from its
standard input and reports each one as a line of JSON on a pipe.

A test runs on a copy of the student's namespace in which the master's imports and the built-in names are restored. What
a given cell has defined is restored in the student's namespace as well, and so are PyTorch's own settings.
Before each test, the functions of the library, of PyTorch and of Python are restored to what they were before the
student's first cell. A test does not count if they are changed while it runs. That stops accidents and obvious tricks,
but it is not a sandbox: code can reach everything in its own process.
"""

from __future__ import annotations

import ast
import builtins
import json
import os
import signal
import sys
import time
import traceback
import types
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_LONGEST = 1500  # characters of a message


_absent = object()


class _OutOfTime(BaseException):
    """A cell took too long; not an Exception, so that ``except Exception`` in the cell does not catch it."""


def main() -> None:
    """Run the job given on standard input."""
    job = json.loads(sys.stdin.buffer.read())
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)  # input() fails at once
    os.set_inheritable(job["report"], False)
    report = os.fdopen(job["report"], "w", encoding="utf-8")
    _limit_memory(job["memory"])

    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils import capture

    shell = InteractiveShell.instance(colors="NoColor")
    if shell.history_manager is not None:
        shell.history_manager.enabled = False
    namespace = shell.user_ns
    imports = _imports([code for kind, _, code in job["cells"] if kind != "student"])
    try:
        exec(imports, {})  # before the student's first cell, so that it can be restored
    except Exception as problem:
        report.write(json.dumps({"token": job["token"], "failed": _sentence(problem, 0)}) + "\n")
        report.flush()
        os._exit(1)
    put_back = _snapshot()
    token, words = job["token"], frozenset(vars(builtins))
    compiled, execute, clock = compile, exec, time.monotonic  # students may redefine these names
    given: dict[str, Any] = {}  # what given cells have defined; `_absent` where one stopped with an error

    def say(**fields: Any) -> None:
        report.write(json.dumps({"token": token, **fields}) + "\n")
        report.flush()

    say(started=True)
    for kind, name, code in job["cells"]:
        began, message = clock(), ""
        try:
            if kind == "test":
                put_back()
                _usual_settings()
                namespace.update(given)
                for key in [key for key, value in given.items() if value is _absent]:
                    del namespace[key]
                names = {key: value for key, value in namespace.items() if key not in words}
                names["__builtins__"] = builtins
                execute(imports, names)
                _alarm(job["cell_seconds"])
                execute(compiled(code, f"<{name}>", "exec"), names)
                _alarm(0)
                changed = put_back()
                message = f"the code replaced {changed[0]} during the test, which is not allowed" if changed else ""
            else:
                _alarm(job["cell_seconds"])
                with capture.capture_output():  # also pictures, which nobody sees
                    result = shell.run_cell(code, store_history=False)
                error = result.error_before_exec or result.error_in_exec
                message = _sentence(error, job["cell_seconds"]) if error is not None else ""
                if kind == "given":
                    given |= {key: _absent if message else namespace.get(key, _absent) for key in _defined(code)}
        except BaseException as error:
            message = _sentence(error, job["cell_seconds"])
        finally:
            _alarm(0)
        say(kind=kind, name=name, message=message, seconds=clock() - began)
    say(finished=True)
    os._exit(0)  # despite remaining threads and exit handlers


def _limit_memory(limit: int) -> None:
    """Limit private memory where the system counts it (Linux); elsewhere the parent process watches.

    macOS accepts RLIMIT_DATA but does not apply it to mapped memory, which is what PyTorch allocates.
    """
    if sys.platform.startswith("linux"):
        import resource

        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
            resource.setrlimit(resource.RLIMIT_FSIZE, (2**28, 2**28))  # no file above 256 MB


def _alarm(seconds: float) -> None:
    """Interrupt the running cell after this time, and then every second; 0 cancels."""

    def ring(*_: object) -> None:
        raise _OutOfTime

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0 if seconds else 0.0)


def _sentence(error: BaseException, seconds: float) -> str:
    """Describe an exception to the student in one or two lines."""
    if isinstance(error, _OutOfTime):
        return f"stopped after {seconds:.0f} s; the cell does not end"
    if isinstance(error, SystemExit):
        return "the cell asked Python to exit; a notebook does not need that"
    if isinstance(error, NotImplementedError):
        return "still empty: replace `raise NotImplementedError` with your code"
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        return "the cell needs more memory than a submission may use"
    if type(error).__name__ == "CheckFailed":
        return str(error)[:_LONGEST]
    text = f"{type(error).__name__}: {error}".strip().rstrip(":")
    if type(error) is AssertionError and not str(error):
        text = "a test failed"
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if "ipykernel" in frame.filename
           or "ipython-input" in frame.filename or frame.filename.startswith("<ipython")]  # fmt: skip
    return text[:_LONGEST] + (f" (in `{own[-1].line}`)" if own and own[-1].line else "")


def _imports(cells: list[str]) -> types.CodeType:
    """All import statements of the given cells and tests, as one program."""
    statements: list[ast.stmt] = []
    for code in cells:
        with suppress(SyntaxError):
            statements += [node for node in ast.parse(code).body if isinstance(node, ast.Import | ast.ImportFrom)]
    return compile(ast.Module(statements, []), "<imports of the assignment>", "exec")


def _defined(code: str) -> set[str]:
    """The names that a given cell assigns, or defines as functions and classes; none for a cell with a magic."""
    try:
        body = ast.parse(code).body
    except SyntaxError:
        return set()
    names = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in filter(None, targets):
            names |= {part.id for part in ast.walk(target) if isinstance(part, ast.Name)}
    return names


def _usual_settings() -> None:
    """What a student's cell may have set for all of PyTorch, as it is at the start."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_grad_enabled(True)
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)


def _snapshot() -> Callable[[], list[str]]:
    """A function that restores the library, PyTorch's functions and the built-in ones to what they are now.

    It returns the names of the functions and classes that had been changed.
    """
    ours = [module for name, module in sys.modules.items() if name.split(".")[0] == "course_lib"]
    ours_too = {value for module in ours for value in vars(module).values()
                if isinstance(value, type) and value.__module__.startswith("course_lib")}  # fmt: skip
    others = ("builtins", "json", "math", "torch", "torch.nn", "torch.nn.functional", "torch.autograd")
    owners: list[Any] = [*ours, *ours_too, *(sys.modules[name] for name in others if name in sys.modules)]
    if "torch" in sys.modules:
        owners += [sys.modules["torch"].Tensor, sys.modules["torch.nn"].Module]
    kept = [(owner, dict(vars(owner))) for owner in owners]
    codes = {
        value: (value.__code__, value.__defaults__, value.__kwdefaults__)
        for owner, names in kept
        for value in names.values()
        if isinstance(value, types.FunctionType)
    }

    def put_back(
        get: Any = vars, give: Any = setattr, take: Any = delattr, quiet: Any = suppress, can: Any = callable
    ) -> list[str]:
        changed = []
        for owner, names in kept:
            now = get(owner)
            for key, value in names.items():
                if now.get(key) is not value:
                    with quiet(AttributeError, TypeError):
                        give(owner, key, value)
                        if can(value):
                            changed.append(f"{owner.__name__}.{key}")
            if owner in ours_too:
                for key in [key for key in now if key not in names]:
                    with quiet(AttributeError, TypeError):
                        take(owner, key)
        for function, parts in codes.items():
            if (function.__code__, function.__defaults__, function.__kwdefaults__) != parts:
                function.__code__, function.__defaults__, function.__kwdefaults__ = parts
                changed.append(function.__qualname__)
        return changed

    return put_back


if __name__ == "__main__":
    main()
