"""What decides claims of the ledger, under the paper's conditions: `course_lib.teaching.measures`."""

from __future__ import annotations

from course_lib.teaching import measures
from scripts.paper_queue.items import Job
from scripts.paper_queue.tasks import REDUCED, smaller


def run(job: Job) -> None:
    """Measure all cases of the item's measure; in a rehearsal with toys, in a trial with a tenth of the steps."""
    name = job.item.settings["measure"]
    if job.scale == "toy":
        smaller.shrink_library("toy", job.device)
    settings = measures.claims_of(name)[0].conditions["paper"]
    small = {"steps": job.steps, "size": job.size}
    measures.take(
        name,
        profile="paper",
        changed={key: small[key](value) for key, value in settings.items() if key in small},
        reduced=REDUCED[job.scale],
        command=f"make paper ONLY={job.item.name}",
    )
