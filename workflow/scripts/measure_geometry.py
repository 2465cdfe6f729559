from crosslens.geometry.dictionary import measure_dictionary
from crosslens.geometry.dimensions import measure_dimensions
from crosslens.geometry.information import gender_information
from crosslens.store.job import Job

Job(snakemake).each(
    dimensions=lambda own, out: measure_dimensions(
        datasets=own.one_by("dataset", "language"),
        tokens=own.by("tokens", "language"),
        activations=own.by("activations", "language"),
        **own.params,
        out=out,
    ),
    information=lambda own, out: gender_information(
        dataset=own.path("dataset"),
        tokens=own.paths("tokens"),
        codes=own.path("codes"),
        **own.params,
        out=out,
    ),
    dictionary=lambda own, out: measure_dictionary(
        sae=own.path("sae"),
        features=own.file_by("features", "features.parquet", "language"),
        effects=own.file_by("gender", "effects.parquet", "language"),
        **own.params,
        out=out,
    ),
)
