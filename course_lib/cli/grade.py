"""``grade``: grade a folder of submitted notebooks; writes a table and a report for each student."""

from __future__ import annotations

import argparse
from typing import Any

from course_lib.arguments import path
from course_lib.cli.arguments import add_command, positive
from course_lib.cli.terminal import bar as progress_bar
from course_lib.cli.terminal import report


def add(commands: Any) -> None:
    """Declare the command and its arguments."""
    text = "grade a folder of submitted notebooks (their code runs with your permissions: see the page for teachers)"
    grade = add_command(commands, "grade", run, text, "--jobs")
    grade.add_argument("folder", metavar="FOLDER", help="student/NN_name.ipynb, or flat files")
    grade.add_argument(
        "-o",
        "--output",
        default="grades.csv",
        metavar="OUT",
        help="the table to write, outside FOLDER (default: grades.csv)",
    )
    grade.add_argument("--masters", metavar="DIR", help="the notebooks with solutions (default: the repository's)")
    grade.add_argument(
        "--timeout", type=float, default=300.0, metavar="S", help="seconds per notebook, from 1 to a day (default: 300)"
    )
    grade.add_argument(
        "--memory",
        type=float,
        default=4.0,
        metavar="GB",
        help="memory limit of a notebook, from 0.5 to 1000 (default: 4)",
    )
    grade.add_argument(
        "--jobs",
        type=positive,
        default=1,
        metavar="N",
        help="notebooks that run at the same time, up to 64 (default: 1)",
    )


def run(options: argparse.Namespace) -> None:
    """Grade a folder of submitted notebooks; write a table and a report for each student."""
    from course_lib.teaching import grading  # here: it needs IPython, from the extra `notebook`

    limits = grading.Limits(options.timeout, options.memory)
    masters = path(options.masters, "a folder") if options.masters else grading.MASTERS
    with progress_bar(unit="notebook", leave=False) as bar:
        folder, output = path(options.folder, "a folder"), path(options.output, "a table")
        told = grading.grade_into(folder, output, masters, limits, options.jobs, lambda row: bar.update())
    report(told, file=output, told=told)
