"""Our programs beside plain ones, timed in turns; see README.md. Run them as ``python -m benchmarks.NAME``."""

import course_lib as course_lib  # before torch: it sets how OpenMP's threads wait
