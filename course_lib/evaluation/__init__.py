"""Measuring pictures: distances and scores (`metrics`), and a network that says what is where (`segmenter`).

A measure takes pictures and returns numbers. Whether a number supports a paper's claim is decided in a notebook and in
`teaching.claims`.
"""
