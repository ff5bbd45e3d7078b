"""Networks that others trained, by name: VGG features, and where their weights come from.

`vgg` returns features by layer name; `passes` computes them and their gradient without autograd, with the convolutions
of `winograd` where they are faster. `weights` finds, fetches and verifies the files that `catalog` pins by fingerprint;
`package_index` and `mirror` are the places it fetches them from, `download` is what those two share, and `formats`
reads what the authors published. Networks that this project trains do not belong here: see `training.model_files`.
"""
