"""Computes the atlas of the feature explorer: python -m scripts.atlas

All photographs of the package pass through VGG-19 once, about two minutes on one core. The result is stored as the run
``atlas_vgg19``, which chapter 1 shows.
"""

import argparse
import sys

from course_lib import sample_names
from course_lib.teaching import feature_atlas, records

NAME = "atlas_vgg19"


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()  # --help computes nothing, and a mistyped word neither
    config = feature_atlas.Config()
    names = sorted(sample_names("content") + sample_names("photos"))
    with records.run(NAME, profile="laptop", seed=0, config=config, command="python -m scripts.atlas") as run:
        run.values.update(feature_atlas.make(config, names))
    return 0


if __name__ == "__main__":
    sys.exit(main())
