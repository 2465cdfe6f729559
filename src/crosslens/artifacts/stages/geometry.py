"""The shape of what models and SAEs hold: maps of samples and of decoder rows, directions in use, bits, circuits, clusters."""

from collections.abc import Callable, Iterator
from typing import Any

from crosslens.artifacts.kinds import At, Kind, Need, Wildcards, Work
from crosslens.artifacts.needs import (
    codes_of,
    each_pair,
    each_sae,
    each_sae_site,
    each_site,
    features_of,
    first_sae,
    languages_of,
    model_files,
    model_mb,
    model_of,
    model_place,
    site_of,
)
from crosslens.artifacts.written import conditions_of


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


def condition_of(at: At) -> str:
    """The tokens that are read: the captions, or what the model wrote."""
    return "generated" if at.study.source.is_generation else "caption"


def measured(at: At, each: Callable[[At], list[Wildcards]], *, gender: bool = False) -> list[Wildcards]:
    """`each`, where geometry is asked for (and gender, where that is measured)."""
    return each(at) if at.settings["geometry"] and (at.study.has_gender or not gender) else []


def seed_of(at: At) -> dict[str, Any]:
    """The seed of the folds and clusters."""
    return {"seed": at.settings["geometry"]["seed"]}


def dictionary_needs(at: At) -> Iterator[Need]:
    """An SAE, which of its features fire in each language, and whom they tell apart."""
    yield first_sae(at)
    for language in languages_of(at):
        for kind in ("features", "gender") if at.study.has_gender else ("features",):
            yield at.need(kind, "corpus", "site", language=language)


KINDS = [
    Kind(
        "sample_map",
        "results/{study}/geometry/samples/layer_{site}",
        by="draw_maps",
        function="embed_samples",
        module="crosslens.geometry.samples",
        params=lambda at: at.settings["embeddings"] | {"condition": condition_of(at)},
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
    Kind(
        "dimensions",
        "results/{study}/geometry/dimensions/layer_{site}.json",
        by="measure_geometry",
        function="measure_dimensions",
        module="crosslens.geometry.dimensions",
        params=lambda at: seed_of(at) | {"condition": condition_of(at), "pairs": at.study.pairs},
        needs=lambda at: site_of(at, at.study.languages),
        every=lambda at: measured(at, each_site),
        into=("layer",),
    ),
    Kind(
        "information",
        "results/{study}/geometry/information/{corpus}/{language}/layer_{site}.json",
        by="measure_geometry",
        function="gender_information",
        module="crosslens.geometry.information",
        params=lambda at: (
            seed_of(at)
            | {"permutations": at.settings["geometry"]["permutations"]}
            | {"conditions": conditions_of(at)}
        ),
        needs=codes_of,
        every=lambda at: measured(at, each_pair, gender=True),
        into=("layer",),
    ),
    Kind(
        "dictionary",
        "results/{study}/geometry/dictionary/{corpus}/layer_{site}.json",
        by="measure_geometry",
        function="measure_dictionary",
        module="crosslens.geometry.dictionary",
        params=lambda at: seed_of(at) | {"site": at["site"]},
        needs=dictionary_needs,
        every=lambda at: measured(at, each_sae),
        into=("layer", "page"),
    ),
    Kind(
        "circuits",
        "results/{study}/geometry/circuits.json",
        by="measure_circuits",
        module="crosslens.geometry.circuits",
        params=lambda at: {"model": at.study.model.identity},
        needs=model_of,
        files_read=model_files,
        every=lambda at: [{}] if at.settings["geometry"] and at.settings["geometry"]["circuits"] else [],
        into=("page",),
    ),
    Kind(
        "geometry_figures",
        "results/{study}/figures",
        by="draw_geometry",
        module="crosslens.figures.geometry",
        function="geometry_figures",
        params=lambda at: {"sites": at.study.sites},
        needs=lambda at: [*at.every("layer"), *at.every("circuits")],
        every=lambda at: [{}] if at.settings["geometry"] else [],
        into=("page",),
        files={
            "geometry.png": "Directions that each language uses and bits of gender that features tell, per layer.",
            "circuits.png": "Effective rank and eigenvalues of what each attention head moves and compares.",
        },
    ),
]


def map_mb(at: At, threads: int) -> int:
    """Points in double precision and centred, and a block of distances."""
    points = max(len(at.study.languages) * at.settings["embeddings"]["images"], features_of(at))
    return 2500 + 4 * 8 * points * at.study.model.d_model // 2**20


def geometry_mb(at: At, threads: int) -> int:
    """The folds' products of a language, an SAE and its clouds."""
    d = at.study.model.d_model
    return 2500 + 12 * 8 * d * d // 2**20 + 4 * 8 * features_of(at) * d // 2**20


WORK = [
    Work("draw_maps", minutes=240, memory=map_mb, per=("site",)),
    Work("measure_geometry", minutes=240, memory=geometry_mb, per=("site",)),
    Work("measure_circuits", minutes=120, memory=lambda at, threads: model_mb(at) + 1500, local=model_place),
    Work("draw_geometry", minutes=30, memory=1500),
]
