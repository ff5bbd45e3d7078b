"""The font of the formulas, cut from Latin Modern Math: python -m scripts.fonts latinmodern-math.otf

The whole font is 730 kB, most of it signs that no page uses. `KEPT` lists the characters that are kept;
tests/house/test_math.py checks that every formula of the book can be set with them. The GUST Font License requires a
new name for a changed font. Needs fontTools and brotli.
"""

import sys
from pathlib import Path

from fontTools import subset

STATIC = Path(__file__).resolve().parents[1] / "book" / "_static" / "fonts"
NAME = "Book Math"
KEPT = (
    (0x20, 0x7E),  # letters, digits, punctuation
    (0xA0, 0xA0),
    (0xAF, 0xAF),  # a bar above
    (0xB0, 0xB7),
    (0xD7, 0xD7),
    (0xF7, 0xF7),
    (0x2C6, 0x2DC),  # accents
    (0x300, 0x308),
    (0x391, 0x3F6),  # Greek
    (0x2010, 0x2026),  # dashes, quotation marks, dots
    (0x2032, 0x2034),  # primes
    (0x2061, 0x2064),  # invisible operators
    (0x20D7, 0x20D7),
    (0x2102, 0x2124),  # letters outside the mathematical alphabets
    (0x2190, 0x2199),  # arrows
    (0x21A6, 0x21A6),
    (0x21D0, 0x21D5),
    (0x2200, 0x226B),  # operators
    (0x2282, 0x228B),
    (0x2295, 0x229A),
    (0x22A4, 0x22A5),
    (0x22C0, 0x22C6),
    (0x22EE, 0x22F1),
    (0x2308, 0x230B),
    (0x23DE, 0x23DF),  # braces above and below
    (0x27E8, 0x27E9),
    (0x27F5, 0x27FC),  # long arrows
    (0x2A00, 0x2A0F),
    (0x1D400, 0x1D467),  # bold, italic
    (0x1D49C, 0x1D4CF),  # script
    (0x1D538, 0x1D56B),  # double-struck
    (0x1D6A4, 0x1D6A5),  # dotless
    (0x1D6E2, 0x1D71B),  # italic Greek
)


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or not Path(arguments[0]).is_file():
        print("fonts: say python -m scripts.fonts PATH/latinmodern-math.otf", file=sys.stderr)
        return 1
    options = subset.Options(flavor="woff2", layout_features=["ssty"], drop_tables=["FFTM"])
    font = subset.load_font(arguments[0], options)
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=[sign for first, last in KEPT for sign in range(first, last + 1)])
    cutter.subset(font)
    for entry in font["name"].names:
        if entry.nameID in (1, 4, 6, 16):
            entry.string = NAME.replace(" ", "") if entry.nameID == 6 else NAME
    for table in font["CFF "].cff.topDictIndex:
        table.FullName = table.FamilyName = NAME
    font["CFF "].cff.fontNames = [NAME.replace(" ", "")]
    STATIC.mkdir(parents=True, exist_ok=True)
    target = STATIC / "book-math.woff2"
    subset.save_font(font, str(target), options)
    print(f"{target}: {target.stat().st_size / 1000:.0f} kB, {len(font.getGlyphOrder())} glyphs")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
