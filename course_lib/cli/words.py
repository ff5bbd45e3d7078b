"""Words and numbers of the methods that options offer, kept here so that ``--help`` need not import PyTorch.

`tests/rooms/cli/test_cold_start.py` compares each with the method that it belongs to.
"""

from __future__ import annotations

TRANSFORMS = ("adain", "wct", "swap", "swap+adain")
"""`networks.feature_transforms.TRANSFORMS`"""
DIRECTIONS = ("AB", "BA")
"""`methods.cyclegan.DIRECTIONS` and `methods.ugatit.DIRECTIONS`"""
STYLE_WEIGHT = {"gatys": 150.0, "patches": 30.0, "photorealistic": 30.0}
"""`style_weight` of `gatys.Config.fast()`, `patches.Config.fusion()` and `deep_photo.Config()`"""
PATCH_WEIGHT = 1.0
"""`patch_weight` of `patches.Config.fusion()`"""
PHOTO_WEIGHT = 20_000.0
"""`photo_weight` of `deep_photo.Config()`"""
FACTORS = (2, 4, 8)
"""`networks.super_resolution_net.FACTORS`"""
LOSSES = ("feature", "pixel")
"""`methods.super_resolution.LOSSES`"""
PRESETS = ("ultrafast", "fast", "medium")
"""`flow.PRESETS`"""
BLEND = 0.7
"""`blend` of `methods.blended_video.Config()`"""
