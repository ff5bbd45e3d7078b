"""What builds, executes, trains and releases: one file a task, run from the repository's root.

`python -m scripts.execute --help`; `make help` lists the commands that call them. Nothing here is part of `course_lib`.
"""
