"""A chapter as slides: a notebook's structure decides what is shown (outline.py), never a choice by hand."""
