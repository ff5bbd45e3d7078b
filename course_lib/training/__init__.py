"""Training a network: the loop, and everything between a method's `train` and a file on disk.

From a method's `train` to a saved model there are three files to read: `run` (what every method calls), `loop` (the
steps) and `model_files`. `players` holds what two or more networks share. `batches`, `schedules`, `optimizers`,
`finite_guard`, `collapse`, `checkpoints`, `fingerprints`, `locks`, `distributed` and `image_pool` serve the loop;
`rescue` saves a model where there is room. Architectures, data sets and papers are not known here.
"""
