"""Measuring pictures: distances and scores (`metrics`), the size of structures, speckle and edges (`structure`), and a
network that labels every pixel (`segmenter`).

A measure takes pictures and returns numbers. Notebooks and `teaching.claims` decide whether a number supports a paper's
claim.
"""
