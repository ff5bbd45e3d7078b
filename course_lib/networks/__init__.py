"""Networks, one architecture a file; blocks that several use in `layers`, large pictures in parts in `tiles`.

Pictures in [0, 1] go in and come out: a network's own scale stays inside it. Losses and training belong elsewhere.
"""
