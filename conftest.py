"""The notebooks that `pytest --nbval` runs import the tree at hand, whatever else the environment holds."""

import os
from pathlib import Path

ROOT = str(Path(__file__).parent)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [ROOT, os.environ.get("PYTHONPATH")]))
os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
