# Every artifact: where it is shown, which module of src/ makes it, its own parameters, and what it is made from.
# A parameter stands here if and only if it can change the result; its key follows from this table alone.


def model_of(w):
    """The model that a rule makes of a GGUF file or a package, where there is one."""
    return [("model", at(w, model=of(w).model_name))] if of(w).must_be_prepared else []


artifact(
    "model",
    "results/{study}/model/{model}",
    code="crosslens.models.gguf",
    params=lambda w: {"gguf": of(w).prepared_from},
)


def source_of(w):
    """The drawn or collected source, where there is one."""
    if of(w).is_planted:
        return [("source", at(w))]
    return [("collection", at(w))] if of(w).names else []


def dataset_params(w):
    """What the tables of all languages are made from."""
    lexicons = settings(w, "lexicons")
    return {
        "source": of(w).source_identity,
        "columns": settings(w, "source").get("columns"),
        "prompts": {language: settings(w, "prompts")[language] for language in of(w).languages},
        "lexicons": {language: content_digest(Path(lexicons[language])) for language in sorted(lexicons)},
        "splits": settings(w, "splits"),
        "gender": of(w).has_gender,
    }


artifact(
    "source",
    "results/{study}/source",
    code="crosslens.planted.source",
    params=lambda w: settings(w, "source")["planted"],
)
artifact(
    "collection",
    "results/{study}/collection",
    code="crosslens.sources.write",
    params=lambda w: of(w).source_identity,
    role="source",
)
artifact(
    "dataset",
    "results/{study}/dataset/{language}.parquet",
    code="crosslens.data.dataset",
    params=lambda w: dataset_params(w) | {"language": w["language"]},
    needs=source_of,
)
artifact(
    "dataset_summary",
    "results/{study}/dataset/summary.json",
    code="crosslens.data.dataset",
    params=dataset_params,
    needs=source_of,
)
jobs["dataset_summary"] = lambda w: {
    **{language: ("dataset", at(w, language=language)) for language in of(w).languages},
    "summary": ("dataset_summary", w),
}


def texts_params(w):
    """The prompts, and how the model answers them."""
    return {
        "model": of(w).model_identity,
        "language": of(w).languages[0],
        "prompts": settings(w, "source")["prompts"],
        "generation": settings(w, "generation"),
        "splits": settings(w, "splits"),
    }


artifact(
    "texts",
    "results/{study}/texts/{language}.parquet",
    code="crosslens.generation.texts",
    params=texts_params,
    needs=model_of,
    role="dataset",
)
artifact(
    "texts_metadata",
    "results/{study}/texts/metadata.json",
    code="crosslens.generation.texts",
    params=texts_params,
    needs=model_of,
)
artifact(
    "texts_summary",
    "results/{study}/texts/summary.json",
    code="crosslens.generation.texts",
    params=texts_params,
    needs=model_of,
    role="dataset_summary",
)
jobs["texts"] = lambda w: {
    "table": ("texts", at(w, language=of(w).languages[0])),
    "metadata": ("texts_metadata", at(w)),
    "summary": ("texts_summary", at(w)),
}
together["texts"] = ["study"]


def samples_of(w, language=None):
    """The table of one language: of given texts, or of those that the model writes."""
    kind = "texts" if of(w).is_generation else "dataset"
    return kind, at(w, language=language or w["language"])


def block_params(w):
    """What decides the tokens of one part: the model, the samples of the part, how they are batched and stored."""
    stored = settings(w, "activations")
    return {
        "model": of(w).model_identity,
        "language": w["language"],
        "prompt": settings(w, "prompts").get(w["language"]),
        "rows": of(w).part_rows(w["part"]),
        "block": of(w).block_identity(w["part"], w["language"]),
        "code": [closure(recipes.kinds[kind].module).modules for kind, _ in source_of(w)],
        **{name: stored[name] for name in ("roles", "dtype", "batch_tokens", "shard_mb")},
    }


def block_reads(w):
    """The samples come from the dataset, but `block` above already says which they are: appending rows changes no key."""
    return [] if of(w).is_generation else [samples_of(w), *source_of(w)]


def block_needs(w):
    """The model, where a rule makes it, and the texts that it has written."""
    return [*model_of(w), *([samples_of(w)] if of(w).is_generation else [])]


artifact(
    "tokens",
    "results/{study}/activations/{language}/tokens/part_{part}.zarr",
    code="crosslens.activations.extract",
    params=block_params,
    needs=block_needs,
    reads=block_reads,
)
artifact(
    "activations",
    "results/{study}/activations/{language}/layer_{site}/part_{part}.zarr",
    code="crosslens.activations.extract",
    params=lambda w: block_params(w) | {"site": w["site"]},
    needs=block_needs,
    reads=block_reads,
)
jobs["tokens"] = lambda w: {
    "tokens": ("tokens", w),
    **{site: ("activations", {**w, "site": site}) for site in of(w).sites},
}


def sae_needs(w):
    """Tables, tokens and activations of every language of the corpus."""
    for language in languages_of(w):
        yield samples_of(w, language)
        yield from parts_of(w, "tokens", language)
        yield from parts_of(w, "activations", language, "site")


def sae_params(w):
    """Settings of one SAE; which corpora, seeds and other SAEs there are besides is not its business."""
    others = ("corpora", "sites", "seeds", "pretrained", "at_once")
    chosen = {name: value for name, value in settings(w, "sae").items() if name not in others}
    chosen |= of(w).variants[w["variant"]] if "variant" in w else {}
    seed = w["seed"] if "seed" in w else of(w).seeds[0]
    identity = {name: w[name] for name in ("study", "corpus", "site")} | {"seed": seed}
    model = {"model": of(w).model_name, "revision": settings(w, "model")["revision"]}
    return {"settings": chosen, "identity": identity | model, "languages": languages_of(w)}


artifact(
    "sae",
    "results/{study}/sae/{corpus}/layer_{site}/seed_{seed}",
    code="crosslens.sae.training",
    params=sae_params,
    needs=sae_needs,
    files=["sae_weights.safetensors", "cfg.json", "training.json"],
)
artifact(
    "swept_sae",
    "results/{study}/sweep/{corpus}/layer_{site}/{variant}",
    code="crosslens.sae.training",
    params=sae_params,
    needs=sae_needs,
    role="sae",
    files=["sae_weights.safetensors", "cfg.json", "training.json"],
)


def saes_of(w):
    """All SAEs that are trained on one site: its job's artifacts by name."""
    for corpus in of(w).corpora:
        for seed in of(w).seeds:
            yield f"{corpus}/seed_{seed}", ("sae", at(w, "site", corpus=corpus, seed=seed))
        for variant in of(w).variants:
            yield f"{corpus}/{variant}", ("swept_sae", at(w, "site", corpus=corpus, variant=variant))


jobs["sae"] = jobs["swept_sae"] = lambda w: dict(saes_of(w))
together["sae"] = ["study", "site"]


def source_of_pretrained(w):
    """Folder, file or hub id."""
    return of(w).pretrained[w["corpus"]][w["site"]]


artifact(
    "pretrained",
    "results/{study}/pretrained/{corpus}/layer_{site}",
    code="crosslens.sae.exchange.adopt",
    params=lambda w: {
        "source": of(w).pretrained_identity(w["corpus"], w["site"]),
        "identity": {name: w[name] for name in ("study", "corpus", "site")}
        | {"seed": "0", "model": of(w).model_name, "revision": settings(w, "model")["revision"]},
    },
    role="sae",
    files=["sae_weights.safetensors", "cfg.json"],
)


def first_sae(w):
    """The SAE that the analyses read: a sweep's, a pretrained one, or the one of the first seed."""
    if "variant" in w:
        return ("swept_sae", at(w, "corpus", "site", "variant"))
    if w["corpus"] in of(w).pretrained:
        return ("pretrained", at(w, "corpus", "site"))
    return ("sae", at(w, "corpus", "site", seed=of(w).seeds[0]))


FIRST_SAE = {"swept_sae", "pretrained", "sae"}


def encoded(w):
    """An SAE and the tokens and activations of one language."""
    return [
        first_sae(w),
        *parts_of(w, "tokens", w["language"]),
        *parts_of(w, "activations", w["language"], "site"),
    ]


def codes_needs(w):
    """What the analyses of codes read: the codes, their tokens and the table of the language."""
    return [
        samples_of(w),
        ("codes", at(w, "corpus", "language", "site")),
        *parts_of(w, "tokens", w["language"]),
    ]


artifact(
    "codes",
    "results/{study}/codes/{corpus}/{language}/layer_{site}.zarr",
    code="crosslens.features.encode",
    params=lambda w: {"roles": settings(w, "sae")["roles"], "site": w["site"]},
    needs=encoded,
)


def quality_params(w):
    """Which tokens, and the seed of the baselines."""
    return {"roles": settings(w, "sae")["roles"], "seed": settings(w, "quality")["seed"]}


def quality_needs(w):
    """An SAE and held-out tokens."""
    return [samples_of(w), *encoded(w)]


def splice_params(w):
    """Model, site and samples."""
    return quality_params(w) | {
        "model": of(w).model_identity,
        "site": w["site"],
        "max_samples": settings(w, "quality")["spliced_samples"],
        "batch": settings(w, "quality")["batch"],
    }


def splice_needs(w):
    """An SAE and the held-out samples that the model reads."""
    return [samples_of(w), first_sae(w), *model_of(w)]


artifact(
    "quality",
    "results/{study}/quality/{corpus}/{language}/layer_{site}.json",
    code="crosslens.features.quality",
    params=quality_params,
    needs=quality_needs,
)
artifact(
    "swept_quality",
    "results/{study}/sweep/{corpus}/layer_{site}/{variant}/quality_{language}.json",
    code="crosslens.features.quality",
    params=quality_params,
    needs=quality_needs,
    role="quality",
)
artifact(
    "spliced",
    "results/{study}/quality/{corpus}/{language}/spliced/layer_{site}.json",
    code="crosslens.features.splice",
    params=splice_params,
    needs=splice_needs,
    reads=source_of,
)
artifact(
    "swept_spliced",
    "results/{study}/sweep/{corpus}/layer_{site}/{variant}/spliced_{language}.json",
    code="crosslens.features.splice",
    params=splice_params,
    needs=splice_needs,
    reads=source_of,
    role="spliced",
)


def sweep_needs(w):
    """Quality and splices of the study's own SAE and of every variant, in each language of the corpus."""
    for language in languages_of(w):
        pair = at(w, "corpus", "site", language=language)
        yield from [("quality", pair), ("spliced", pair)]
        for variant in of(w).variants:
            yield from [(kind, pair | {"variant": variant}) for kind in ("swept_quality", "swept_spliced")]


artifact(
    "sweep",
    "results/{study}/sweep/{corpus}/layer_{site}.json",
    code="crosslens.summary.sweep",
    params=lambda w: {"site": w["site"], "corpus": w["corpus"], "variants": of(w).variants},
    needs=sweep_needs,
)
artifact(
    "sweep_figure",
    "results/{study}/figures/sweep/{corpus}/layer_{site}",
    code="crosslens.figures.pareto",
    params=lambda w: {},
    needs=lambda w: [("sweep", at(w, "corpus", "site"))],
    files=["pareto.png"],
)
artifact(
    "features",
    "results/{study}/features/{corpus}/{language}/layer_{site}",
    code="crosslens.features.statistics",
    params=lambda w: settings(w, "features") | {"language": w["language"]},
    needs=codes_needs,
    files=["features.parquet", "rankings.json"],
)


def effect_params(w):
    """The statistics' settings, without those of the transfer between languages."""
    return {name: value for name, value in settings(w, "gender").items() if name != "transfer_permutations"}


def gender_params(w):
    """The statistics' settings."""
    return effect_params(w) | {"language": w["language"]}


def probe_params(w):
    """What a probe needs of them."""
    chosen = settings(w, "gender")
    return {"conditions": chosen["conditions"], "seed": chosen["seed"], "language": w["language"]}


artifact(
    "gender",
    "results/{study}/gender/{corpus}/{language}/layer_{site}",
    code="crosslens.gender.effects",
    params=gender_params,
    needs=codes_needs,
    files=["effects.parquet", "gender.json"],
)
artifact(
    "gendered_examples",
    "results/{study}/gender/{corpus}/{language}/examples/layer_{site}.json",
    code="crosslens.summary.examples",
    params=lambda w: {
        "corpus": w["corpus"],
        "language": w["language"],
        "features": 5,
        "count": settings(w, "features")["top_examples"],
    },
    needs=lambda w: [*codes_needs(w), ("gender", at(w, "corpus", "language", "site"))],
)
artifact(
    "probe_codes",
    "results/{study}/gender/{corpus}/{language}/probe/layer_{site}.json",
    code="crosslens.gender.probes",
    params=probe_params,
    needs=codes_needs,
)
artifact(
    "probe_activations",
    "results/{study}/gender/activations/{language}/probe/layer_{site}.json",
    code="crosslens.gender.probes",
    params=probe_params,
    needs=lambda w: [
        samples_of(w),
        *parts_of(w, "tokens", w["language"]),
        *parts_of(w, "activations", w["language"], "site"),
    ],
)
artifact(
    "cross_lingual",
    "results/{study}/gender/{corpus}/cross_lingual/layer_{site}.json",
    code="crosslens.gender.cross_lingual",
    params=lambda w: effect_params(w) | {"languages": of(w).languages},
    needs=lambda w: [
        need
        for language in of(w).languages
        for need in [
            *codes_needs(w | {"language": language}),
            ("gender", at(w, "corpus", "site", language=language)),
        ]
    ],
)


def both_sides(w):
    """Tables, tokens and raw activations of every language at one site."""
    for language in of(w).languages:
        yield samples_of(w, language)
        yield from parts_of(w, "tokens", language)
        yield from parts_of(w, "activations", language, "site")


def transfer_params(w):
    """Conditions, and beside the masked caption the whole one; the smallest p needs the permutations."""
    chosen = settings(w, "gender")
    lexical = ["caption_whole"] if "caption" in chosen["conditions"] else []
    return {
        "conditions": [*chosen["conditions"], *lexical],
        "permutations": chosen["transfer_permutations"],
        **{name: chosen[name] for name in ("bootstraps", "seed")},
    }


artifact(
    "gender_transfer",
    "results/{study}/gender/activations/transfer/layer_{site}.json",
    code="crosslens.gender.transfer",
    params=transfer_params,
    needs=both_sides,
)
artifact(
    "retrieval",
    "results/{study}/alignment/retrieval/layer_{site}.json",
    code="crosslens.alignment.retrieval",
    params=lambda w: {"seed": settings(w, "splits")["seed"]},
    needs=both_sides,
)
artifact(
    "generated",
    "results/{study}/generated/{language}.parquet",
    code="crosslens.gender.generate",
    params=lambda w: {
        "model": of(w).model_identity,
        "language": w["language"],
        "split": "test",
        **settings(w, "stereotype"),
    },
    needs=lambda w: [samples_of(w), *model_of(w)],
    reads=source_of,
)
artifact(
    "stereotype",
    "results/{study}/gender/stereotype.json",
    code="crosslens.gender.stereotype",
    params=lambda w: {
        "lexicons": dataset_params(w)["lexicons"],
        "languages": of(w).languages,
        "bootstraps": settings(w, "gender")["bootstraps"],
        "seed": settings(w, "gender")["seed"],
    },
    # A drawn source has the planted shares to compare with.
    needs=lambda w: [
        *(("generated", at(w, language=language)) for language in of(w).languages),
        *(source_of(w) if of(w).is_planted else []),
    ],
)


def pairs(w):
    """(corpus, language) of every analysis of a site: the joint SAE on each language, a language's own on that language."""
    for corpus in of(w).corpora_at(w["site"]):
        for language in languages_of({**w, "corpus": corpus}):
            yield {"study": w["study"], "corpus": corpus, "language": language}


def of_pairs(w, *kinds):
    """Artifacts of these kinds of every pair of a site, or of one corpus of it: a job's artifacts by name."""
    return {
        f"{kind}/{pair['corpus']}/{pair['language']}": (kind, pair | {"site": w["site"]})
        for pair in pairs(w)
        for kind in kinds
        if w.get("corpus", pair["corpus"]) == pair["corpus"]
    }


# SAEs of one site read the same activations, and the model is loaded once for all of them.
jobs["codes"] = lambda w: of_pairs(w, "codes", "quality")
jobs["spliced"] = lambda w: of_pairs(w, "spliced")
together["codes"] = together["spliced"] = ["study", "site"]


# Variants of a sweep stay apart where only their languages have something in common.
jobs["swept_quality"] = lambda w: {
    language: ("swept_quality", at(w, "corpus", "site", "variant", language=language))
    for language in languages_of(w)
}
together["swept_quality"] = ["study", "corpus", "site", "variant"]
jobs["swept_spliced"] = lambda w: {
    f"{variant}/{language}": (
        "swept_spliced",
        at(w, "corpus", "site", language=language, variant=variant),
    )
    for variant in of(w).variants
    for language in languages_of(w)
}
together["swept_spliced"] = ["study", "corpus", "site"]


def analyses_of_codes(w):
    """All that is read from the codes of one SAE: a job's artifacts by name, each behind those that it is made from."""
    yield from of_pairs(w, "features").items()
    if of(w).has_gender:
        yield from of_pairs(w, "gender", "probe_codes").items()
        if w["corpus"] == of(w).corpora_at(w["site"])[0]:
            yield from of_pairs(w, "gendered_examples").items()
        if w["corpus"] in both_languages(w):
            yield "cross_lingual", ("cross_lingual", at(w, "corpus", "site"))


jobs["features"] = lambda w: dict(analyses_of_codes(w))
together["features"] = ["study", "corpus", "site"]


def analyses_of_activations(w):
    """All that is read from the activations of one site, without an SAE: a job's artifacts by name."""
    several, site = len(of(w).languages) > 1, at(w, "site")
    if of(w).has_gender:
        for language in of(w).languages:
            yield f"probe/{language}", ("probe_activations", site | {"language": language})
    if of(w).has_gender and several:
        yield "transfer", ("gender_transfer", site)
    if several:
        yield "retrieval", ("retrieval", site)


jobs["retrieval"] = lambda w: dict(analyses_of_activations(w))
together["retrieval"] = ["study", "site"]


def both_languages(w):
    """The corpora in which the languages can be compared feature by feature."""
    return [c for c in of(w).corpora_at(w["site"]) if len(languages_of({**w, "corpus": c})) > 1]


def layer_needs(w):
    """Everything that was measured at one site."""
    site = {"site": w["site"]}
    for corpus in of(w).corpora_at(w["site"]):
        yield first_sae({**w, "corpus": corpus})
    for pair in pairs(w):
        for kind in ("quality", "spliced", "features"):
            yield kind, pair | site
    if of(w).has_gender:
        yield from gender_needs(w)
    if len(of(w).languages) > 1:
        yield "retrieval", at(w, "site")
    elif w["site"] not in of(w).sae_sites:  # it is extracted all the same
        for language in of(w).languages:
            yield from parts_of(w, "activations", language, "site")


def gender_needs(w):
    """Everything about gender at one site."""
    for pair in pairs(w):
        for kind in ("gender", "probe_codes"):
            yield kind, pair | at(w, "site")
    for language in of(w).languages:
        yield "probe_activations", at(w, "site", language=language)
    for corpus in both_languages(w):
        yield "cross_lingual", at(w, "site", corpus=corpus)
    if len(of(w).languages) > 1:
        yield "gender_transfer", at(w, "site")


def site_params(w):
    """A layer has no settings of its own."""
    return {"site": w["site"]}


artifact(
    "layer",
    "results/{study}/layers/{site}.json",
    code="crosslens.summary.layer",
    params=site_params,
    needs=layer_needs,
)
artifact(
    "layer_figures",
    "results/{study}/figures/layer_{site}",
    code="crosslens.figures.layer",
    params=site_params,
    needs=lambda w: [need for need in layer_needs(w) if need[0] in FIRST_SAE | {"quality"}],
    files=LAYER_FIGURES,
)
artifact(
    "gender_layer_figures",
    "results/{study}/figures/layer_{site}",
    code="crosslens.figures.gender_layer",
    params=site_params,
    needs=lambda w: [need for need in gender_needs(w) if need[0] in {"gender", "cross_lingual"}],
    files=GENDER_LAYER_FIGURES,
)


jobs["layer_figures"] = lambda w: {
    kind: (kind, at(w, "site"))
    for kind in ("layer_figures", *(["gender_layer_figures"] if of(w).has_gender else []))
}


def stereotype_of(w):
    """The stereotype stage, where pictures let the model caption them."""
    return [("stereotype", at(w))] if of(w).has_gender and image_folder(w) else []


def inspection_params(w):
    """The texts, samples and tokens, at which sites, in which model."""
    chosen = settings(w, "tokens")
    return chosen | {"sites": chosen["sites"] or of(w).sites, "model": of(w).model_identity}


def inspection_needs(w):
    """The model, where a rule makes it, and the tables that the samples are of."""
    tables = of(w).languages if settings(w, "tokens")["samples"] else []
    return [*model_of(w), *(samples_of(w, language) for language in tables)]


artifact(
    "token_inspection",
    "results/{study}/tokens/inspection",
    code="crosslens.tokens.inspect",
    params=inspection_params,
    needs=inspection_needs,
    reads=lambda w: source_of(w) if settings(w, "tokens")["samples"] else [],
)


def comparison_params(w):
    """The studies, which the document names, and which tokens and how many samples."""
    chosen = {name: value for name, value in settings(w, "compare").items() if name != "with"}
    return {"studies": [w["study"], w["other"]], **chosen}


def comparison_needs(w):
    """Table, tokens and all activations of one language in both studies."""
    for study in (w["study"], w["other"]):
        v = {"study": study, "language": w["language"]}
        yield samples_of(v)
        yield from parts_of(v, "tokens", w["language"])
        for site in of(v).sites:
            yield from parts_of(v | {"site": site}, "activations", w["language"], "site")


artifact(
    "model_comparison",
    "results/{study}/comparison/{other}/{language}",
    code="crosslens.tokens.compare",
    params=comparison_params,
    needs=comparison_needs,
)


def layers_of(w):
    """The summaries of all sites."""
    return [("layer", at(w, site=site)) for site in of(w).sites]


artifact(
    "study_figures",
    "results/{study}/figures",
    code="crosslens.figures.study",
    params=lambda w: {"sites": of(w).sites},
    needs=layers_of,
    files=STUDY_FIGURES,
)
artifact(
    "gender_figures",
    "results/{study}/figures",
    code="crosslens.figures.gender_study",
    params=lambda w: {"sites": of(w).sites},
    needs=lambda w: [*layers_of(w), *stereotype_of(w)],
    files=GENDER_FIGURES,
)


jobs["study_figures"] = lambda w: {
    kind: (kind, at(w)) for kind in ("study_figures", *(["gender_figures"] if of(w).has_gender else []))
}


def report_needs(w):
    """All that the page shows."""
    if of(w).is_generation:
        yield from [(kind, at(w)) for kind in ("texts_summary", "texts_metadata")]
    else:
        yield "dataset_summary", at(w)
    yield from layers_of(w)
    for site in of(w).sites:
        for pair in pairs({**w, "site": site}):
            yield "features", pair | {"site": site}
            if of(w).has_gender and pair["corpus"] == of(w).corpora_at(site)[0]:
                yield "gendered_examples", pair | {"site": site}
    for site in of(w).sae_sites:
        yield "layer_figures", at(w, site=site)
        if of(w).has_gender:
            yield "gender_layer_figures", at(w, site=site)
        for corpus in of(w).corpora if of(w).variants else []:
            yield from [(kind, at(w, site=site, corpus=corpus)) for kind in ("sweep", "sweep_figure")]
    yield "study_figures", at(w)
    if of(w).has_gender:
        yield "gender_figures", at(w)
    yield from stereotype_of(w)


artifact(
    "page",
    "results/{study}/report/index.html",
    code="crosslens.report.build",
    params=lambda w: {"study": w["study"], "settings": of(w).settings, "source": of(w).model_identity},
    needs=report_needs,
)
