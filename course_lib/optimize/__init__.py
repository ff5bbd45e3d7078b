"""Optimizing a picture: the objective as a list of named terms, the optimizer, and the loop around them.

`objective` adds up terms, `lbfgs` is the optimizer, `image` the loop with its guards. Training a network is another
loop (`training`), and no particular loss or paper is known here.
"""
