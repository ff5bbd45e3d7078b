"""python -m scripts.diagrams [NAME …] [--check] [--pictures]"""

import argparse
import sys

from scripts.diagrams import pictures
from scripts.diagrams.chapters import DIAGRAMS
from scripts.diagrams.write import update


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.diagrams", description="Draw the chapters' diagrams.")
    parser.add_argument("names", nargs="*", help="notebooks, such as 03_gatys or 03; all of them by default")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a committed file is another one")
    parser.add_argument("--pictures", action="store_true", help="first make the small pictures again")
    options = parser.parse_args()
    chosen = [n for n in DIAGRAMS if not options.names or any(n.startswith(given) for given in options.names)]
    if not chosen:
        parser.error(f"no diagram is called {', '.join(options.names)}; there are {', '.join(DIAGRAMS)}")
    if options.pictures:
        pictures.make()
    stale = update(chosen, check=options.check)
    for name in stale:
        print(f"{'differs' if options.check else 'written'}: {name}")
    return int(options.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
