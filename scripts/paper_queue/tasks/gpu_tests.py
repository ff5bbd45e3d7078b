"""The tests that need a GPU, as one item: without them no number below can be believed."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

from scripts.paper_queue.items import Job
from scripts.paper_queue.tasks import ROOT, stored


def run(job: Job) -> None:
    """Run ``tests/gpu`` and keep how many passed.

    Raises:
        RuntimeError: a test failed; the log names it.
    """
    if importlib.util.find_spec("pytest") is None:
        raise RuntimeError("pytest is not installed here: `pip install pytest`, or leave gpu_tests out with --only")
    with stored(job, "gpu_tests") as record, tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        # The settings of the project's own runs need plugins that a bare machine does not have; and a pack that lies
        # inside a checkout must not test the checkout.
        settings = Path(folder) / "pytest.ini"
        settings.write_text("[pytest]\nmarkers =\n    gpu: needs a CUDA device\n    real_weights: needs VGG\n")
        command = [sys.executable, "-m", "pytest", "tests/gpu", "-q", "-rf", "--tb=short", "-c", str(settings),
                   "--rootdir", str(ROOT), "--confcutdir", str(ROOT), "-p", "no:cacheprovider",
                   f"--junitxml={report}"]  # fmt: skip
        if job.scale == "toy":
            command += ["-k", "quadratic or crops or refused"]
        environment = {**os.environ, "COURSE_LIB_GPU_TESTS": job.device}
        code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        cases = list(ET.parse(report).getroot().iter("testcase")) if report.exists() else []
        failed = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
        skipped = [case for case in cases if case.find("skipped") is not None]
        record.values |= {
            "passed": len(cases) - len(failed) - len(skipped),
            "failed": len(failed),
            "skipped": len(skipped),
            "seconds": sum(float(case.get("time", 0)) for case in cases),
        }
        if code or failed or not cases:
            names = ", ".join(re.sub(r"^test_", "", case.get("name", "?")) for case in failed[:5])
            raise RuntimeError(f"{len(failed)} of {len(cases)} GPU tests failed (pytest's exit code {code}): {names}")
