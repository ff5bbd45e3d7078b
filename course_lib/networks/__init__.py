"""Network architectures, one per file. `layers` holds the blocks they share; `tiles` runs a network part by part.

Networks take and return pictures in [0, 1]; any other scale stays inside them. Losses and training live elsewhere.
"""
