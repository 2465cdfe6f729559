from crosslens.figures.maps import map_figures
from crosslens.geometry.decoder import embed_decoder
from crosslens.geometry.samples import embed_samples
from crosslens.store.job import Job


def folder(out):
    """An artifact of two files."""
    out.mkdir(exist_ok=True)
    return {"out_table": out / "map.parquet", "out": out / "map.json"}


Job(snakemake).each(
    sample_map=lambda own, out: embed_samples(
        datasets=own.one_by("dataset", "language"),
        tokens=own.by("tokens", "language"),
        activations=own.by("activations", "language"),
        **own.params,
        **folder(out),
    ),
    decoder_map=lambda own, out: embed_decoder(sae=own.path("sae"), **own.params, **folder(out)),
    map_figures=lambda own, out: map_figures(
        samples=own.path("sample_map"),
        decoders=own.one_by("decoder_map", "corpus"),
        features=own.file_by("features", "features.parquet", "corpus", "language"),
        effects=own.file_by("gender", "effects.parquet", "corpus", "language"),
        out=out,
    ),
)
