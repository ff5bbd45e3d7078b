"""What networks learn from: sets of pictures whose items depend on (seed, epoch, item) alone.

`crops` of `photos`, the `paintings` that go with them, `pairs`, `unpaired` sets and `domains`, `sketch` (a line drawing
from a photograph), `augment` (what is done to an item before a network sees it), `facades` and `faces`, drawn by code,
and `camera`, clips whose motion is known. `frames` reads and writes clips: videos, animations, folders of frames.
Nothing here knows a loss, a network or a paper's settings.
"""
