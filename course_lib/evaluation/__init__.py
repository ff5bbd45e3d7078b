"""Measuring pictures: distances and scores of one picture (`metrics`), distances between sets of pictures (`frechet`),
rankings from votes (`votes`), the size of structures, speckle and edges (`structure`), the flicker of clips
(`temporal`), and a network that labels every pixel (`segmenter`).

A measure takes pictures, or votes on them, and returns numbers. Notebooks and `teaching.claims` decide whether a number
supports a paper's claim.
"""
