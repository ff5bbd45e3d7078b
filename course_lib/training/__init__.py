"""Training a network: the loop, and everything between a method's `train` and a file on disk.

`run` is what every method calls, `loop` takes the steps, `players` holds what two or more networks share;
`checkpoints`, `model_files`, `distributed` and `image_pool` serve them. No architecture, no data set
and no paper is known here.
"""
