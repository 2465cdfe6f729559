from crosslens.figures.gender_layer import gender_layer_figures
from crosslens.figures.layer import layer_figures
from crosslens.store.job import Job

Job(snakemake).each(
    layer_figures=lambda own, out: layer_figures(
        site=own.params["site"],
        training=own.file_by("sae", "training.json", "corpus"),
        quality=own.one_by("quality", "corpus", "language"),
        out=out,
    ),
    gender_layer_figures=lambda own, out: gender_layer_figures(
        site=own.params["site"],
        effects=own.file_by("gender", "effects.parquet", "corpus", "language"),
        gender=own.file_by("gender", "gender.json", "corpus", "language"),
        robustness=own.one_by("gender_robustness", "corpus", "language"),
        cross_lingual=own.one_by("cross_lingual", "corpus"),
        words=own.one_by("probe_words", "language"),
        written={
            "gender": own.file_by("written_gender", "gender.json", "corpus", "language"),
            "robustness": own.one_by("written_gender_robustness", "corpus", "language"),
            "words": own.one_by("written_probe_words", "language"),
        },
        out=out,
    ),
)
