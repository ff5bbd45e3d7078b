"""The methods, one paper a file: its `Config`, its objective or `train_step`, and one verb.

Every module has `Config` and exactly one of `stylize`, `translate`, `generate` and `upscale`; those that learn have
`train`, `save` and `load`. Methods do not import each other: what two papers share exactly moves down a floor.
`config_checks` refuses values that make no sense.
"""
