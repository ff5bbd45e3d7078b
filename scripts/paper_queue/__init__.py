"""The queue of runs at the papers' scale: what is in it, how it is run, and how its results travel home.

`items` lists the runs in the order of their worth, `tasks` holds what each kind of item does, `runner` runs them one
after the other in processes of their own, `archives` packs what they made and takes it in again. Nothing here needs
more than the package and torch.
"""
