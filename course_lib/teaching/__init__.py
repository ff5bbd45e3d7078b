"""For readers, students and checkers: figures, records of runs, claims, things to play with, checks, grading.

Only notebooks, the book and the command line import these modules; no method does. This is the one floor that may
import matplotlib, IPython and ipywidgets, and only inside functions, so that importing the package stays quick.
"""
