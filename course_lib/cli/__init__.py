"""The command line, one file a command; `course_lib.__main__` reads the words and calls them.

A command takes the parsed options, works, shows progress, and raises a ValueError with one sentence where it cannot.
What a command computes belongs to `methods`.
"""
