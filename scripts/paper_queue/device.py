"""What computes: asked in a process of its own, so that the runner itself takes no memory of the GPU."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

_PROBE = """
import json, torch
found = {"torch": torch.__version__, "cuda": torch.version.cuda, "device": ""}
if torch.cuda.is_available():
    torch.ones(1, device="cuda").item()
    found["device"] = torch.cuda.get_device_name()
print(json.dumps(found))
"""
_PROBE_LIMIT = 120  # seconds


@dataclass(frozen=True)
class Device:
    """What computes, and the seconds until it did its first sum; `name` is empty where there is none."""

    name: str
    versions: dict[str, str]
    start: float = 0.0
    trouble: str = ""


def find_device(device: str, environment: Mapping[str, str]) -> Device:
    """The device of a call; one without a name where there is none.

    Args:
        device: ``"cuda"``, or ``"cpu"`` for a rehearsal.
        environment: of the process that is asked.
    """
    versions = {"python": platform.python_version(), "torch": importlib.metadata.version("torch").split("+")[0]}
    if device == "cpu":
        return Device("the processor", versions)
    began = time.monotonic()
    command = [sys.executable, "-c", _PROBE]
    try:
        done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, timeout=_PROBE_LIMIT)
    except subprocess.TimeoutExpired:
        return Device("", versions, trouble=f"; it did not answer within {_PROBE_LIMIT} s")
    if done.returncode:
        return Device("", versions, trouble=f" ({(done.stderr.strip() or 'no message').splitlines()[-1][:200]})")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    if found["cuda"]:
        versions["cuda"] = found["cuda"]
    return Device(found["device"], versions, time.monotonic() - began)
