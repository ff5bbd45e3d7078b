"""The methods, one file per paper: its `Config`, its objective or `train_step`, and the function that applies it.

Every module has `Config` and exactly one of `stylize`, `translate`, `generate` and `upscale`; a module that trains a
network also has `train`, `save` and `load`. Methods do not import each other: code that two papers share moves down a
floor. `course_lib.config_checks` refuses invalid values.
"""
