"""What the methods that optimize one picture share: their settings, their objective, the run from coarse to fine.

`settings` has the fields that all of them have, `objective` builds the terms of a picture for its size, `terms` has
what can be added to content and style, and `run` takes the steps. What only one paper says stays in that paper's file
in `methods`; a loss as a function of tensors belongs to `losses`, and an optimizer to `optimize`.
"""
