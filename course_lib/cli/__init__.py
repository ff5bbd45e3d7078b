"""The command line, one file per command; `course_lib.__main__` parses the arguments and runs the command.

A command takes the parsed options, does its work, shows progress, and raises an error whose message is one sentence if
it cannot. The computation itself belongs to `methods`.
"""
