"""Chapter 9's scores at 128 px: `benchmarks/translation_scores.py` at half the paper's side, one item a seed."""

from __future__ import annotations

from dataclasses import asdict, replace
from statistics import mean

from benchmarks import translation_scores as table
from benchmarks.translation_scores import Scale
from scripts.paper_queue.items import Job
from scripts.paper_queue.tasks import stored

AT_128 = Scale(size=128, load_size=143, epochs=50, patch=34, width=0.5)
TOY = {"size": 32, "load_size": 36, "patch": 16, "width": 0.05, "epochs": 1, "scorer_steps": 2, "tested": 30}


def run(job: Job) -> None:
    """All rows of the tables for one seed; or, where seeds are asked for together, the record from their results.

    Raises:
        RuntimeError: no folder of data sets; a seed that was not run yet.
    """
    if job.datasets is None:
        raise RuntimeError("scores need a folder with facades256: give it with --datasets")
    scale = replace(AT_128, folder=job.into / "scores", device=job.device, **(TOY if job.scale == "toy" else {}))
    if job.scale == "tenth":
        scale = replace(scale, epochs=max(1, scale.epochs // 10))
    scale.folder.mkdir(parents=True, exist_ok=True)
    settings = asdict(table.config_of("L1+cGAN", 0, scale)) | {"trained": table.TRAINED, "tested": scale.tested}
    names = list(table.runs_of(scale))[: 2 if job.scale == "toy" else None]
    if "seed" in job.item.settings:
        seed = job.item.settings["seed"]
        for name in names:
            if not table.file_of(name, seed, scale).exists():
                table.make(name, seed, job.datasets, scale)
        with stored(job, job.item.records[0], settings, seed=seed) as record:
            found = {name: table.read(name, seed, scale) for name in names}
            record.values["accuracy"] = {name: one["accuracy"] for name, one in found.items()}
            record.values["seconds of a run"] = mean(one["seconds"] for one in found.values())
        return
    seeds = range(job.item.settings["seeds"])
    missing = [
        f"{name}, seed {seed}" for seed in seeds for name in names if not table.file_of(name, seed, scale).exists()
    ]
    if missing:
        raise RuntimeError(f"{len(missing)} runs are not there yet, the first: {missing[0]}; scores_0 … make them")
    with stored(job, "09_scores", settings) as record:
        if job.scale == "toy":
            record.values["rows"] = names
        else:
            table.store(record, job.datasets, seeds, scale)
