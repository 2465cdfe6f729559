"""The shape of what models and SAEs hold: maps of samples and of decoder rows."""

from typing import Any

from crosslens.artifacts.kinds import At, Kind, Need, Wildcards, Work
from crosslens.artifacts.needs import each_sae_site, first_sae, site_of


def mapped_sites(at: At) -> list[Wildcards]:
    """The sites with SAEs, where maps are asked for."""
    return each_sae_site(at) if at.settings["embeddings"] else []


def mapped_saes(at: At) -> list[Wildcards]:
    """Every SAE that is analysed at those sites."""
    return [w | {"corpus": corpus} for w in mapped_sites(at) for corpus in at.study.corpora_at(w["site"])]


def decoder_params(at: At) -> dict[str, Any]:
    """How the maps are made."""
    return {name: at.settings["embeddings"][name] for name in ("methods", "perplexity", "seed")}


def figure_needs(at: At) -> list[Need]:
    """The maps of a site, and what colours decoder rows: where features fire, and whom they tell apart."""
    kinds = ("sample_map", "decoder_map", "features", "gender")
    return [need for kind in kinds for need in at.every(kind, site=at["site"])]


KINDS = [
    Kind(
        "sample_map",
        "results/{study}/geometry/samples/layer_{site}",
        by="draw_maps",
        function="embed_samples",
        module="crosslens.geometry.samples",
        params=lambda at: (
            at.settings["embeddings"]
            | {"condition": "generated" if at.study.source.is_generation else "caption"}
        ),
        needs=lambda at: site_of(at, at.study.languages),
        every=mapped_sites,
        into=("layer",),
        files={"map.parquet": "", "map.json": ""},
    ),
    Kind(
        "decoder_map",
        "results/{study}/geometry/decoders/{corpus}/layer_{site}",
        by="draw_maps",
        function="embed_decoder",
        module="crosslens.geometry.decoder",
        params=lambda at: decoder_params(at) | {"site": at["site"]},
        needs=lambda at: [first_sae(at)],
        every=mapped_saes,
        into=("layer",),
        files={"map.parquet": "", "map.json": ""},
    ),
    Kind(
        "map_figures",
        "results/{study}/figures/layer_{site}",
        by="draw_maps",
        module="crosslens.figures.maps",
        function="map_figures",
        needs=figure_needs,
        every=mapped_sites,
        into=("page",),
        files={
            "samples_map.png": "The {units} in the plane, coloured by what is known of them.",
            "decoder_map.png": "Decoder rows in the plane: features that point the same way lie together.",
        },
    ),
]


def map_mb(at: At, threads: int) -> int:
    """Points in double precision and their principal components, and a block of distances."""
    return 3000


WORK = [Work("draw_maps", memory=map_mb, per=("site",))]
