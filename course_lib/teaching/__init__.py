"""Tools for teaching: figures, stored runs, claims, interactive components, widgets, checks and grading.

Notebooks, the book and the command line import these modules; methods do not. Only this floor may import matplotlib,
IPython and ipywidgets, and only inside functions, so that importing the package stays fast.
"""
