from crosslens.sae.training import train_saes
from crosslens.store.job import Job

job = Job(snakemake)


def train(out):
    """So many at once as the study says, each time in one reading of the activations."""
    saes = [{**job.artifacts[name]["recipe"]["params"], "out": path} for name, path in out.items()]
    for first in range(0, len(saes), job.local["at_once"]):
        train_saes(
            datasets=job.one_by("dataset", "language"),
            tokens=job.by("tokens", "language"),
            activations=job.by("activations", "language"),
            saes=saes[first : first + job.local["at_once"]],
            device=job.local["model"]["device"],
        )


job.run(train)
