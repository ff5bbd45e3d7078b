"""What a deck is made of: slides, and the sections of a chapter that they are made from."""

import re
from dataclasses import dataclass, field

from scripts.slide_deck.pictures import Figure
from scripts.slide_deck.prose import Block


@dataclass
class Slide:
    """One slide: `body` and `notes` are HTML, `title` is Markdown of one line."""

    kind: str
    title: str
    body: str
    section: str = ""
    notes: str = ""


@dataclass
class Section:
    """The part of a chapter below one heading."""

    title: str
    items: list[Block | Figure] = field(default_factory=list)

    @property
    def number(self) -> str:
        found = re.match(r"[\d.]+(?= )", self.title)
        return found[0] if found else ""

    @property
    def name(self) -> str:
        return self.title.removeprefix(self.number).strip()
