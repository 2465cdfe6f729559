"""Labels of features in words, by n-grams and by a model behind an endpoint, and what the labels are worth."""

from collections.abc import Iterator
from typing import Any

from crosslens.artifacts.kinds import At, Kind, Need, Wildcards, Work
from crosslens.artifacts.needs import codes_of, each_sae, languages_of


def described_saes(at: At) -> list[Wildcards]:
    """Every SAE that is analysed, where labels are asked for."""
    return each_sae(at) if at.settings["describe"] else []


def asked_saes(at: At) -> list[Wildcards]:
    """The same, where a model is asked for them."""
    return described_saes(at) if (at.settings["describe"] or {}).get("method") == "endpoint" else []


def all_codes(at: At) -> Iterator[Need]:
    """Codes, tokens and samples of every language of the SAE."""
    for language in languages_of(at):
        yield from codes_of(at.moved(language=language))


def example_needs(at: At) -> Iterator[Need]:
    """The same, the rankings and gender effects that name features, and the tokens that these promote."""
    yield from all_codes(at)
    yield at.need("promoted", "corpus", "site")
    for kind in ("features", "gender"):
        yield from at.every(kind, corpus=at["corpus"], site=at["site"])


def example_params(at: At) -> dict[str, Any]:
    """Which features, how many texts and the seed of their choice."""
    chosen = at.settings["describe"]
    names = ("features", "examples", "held_out", "seed")
    return {"corpus": at["corpus"]} | {name: chosen[name] for name in names}


def described(at: At) -> Need:
    """The texts of the features."""
    return at.need("described", "corpus", "site")


def asked_params(at: At) -> dict[str, Any]:
    """What decides an answer, beside the questions: the model by its name, wherever it is served."""
    chosen = at.settings["describe"]["endpoint"]
    return {"json_mode": chosen["json"]} | {name: chosen[name] for name in ("model", "temperature")}


def endpoint_place(at: At) -> dict[str, Any]:
    """Where the model is served, and the name of the variable, not the key that it holds."""
    chosen = at.settings["describe"]["endpoint"]
    return {"endpoint": {name: chosen[name] for name in ("url", "key", "timeout", "retries")}}


def score_needs(at: At) -> Iterator[Need]:
    """The texts, and what each method says of them."""
    yield described(at)
    for kind in ("ngram_labels", "asked_labels", "asked_detections"):
        yield from at.every(kind, corpus=at["corpus"], site=at["site"])


KINDS = [
    Kind(
        "described",
        "results/{study}/descriptions/{corpus}/examples/layer_{site}.json",
        by="describe_features",
        function="choose_examples",
        module="crosslens.descriptions.examples",
        params=example_params,
        needs=example_needs,
        every=described_saes,
    ),
    Kind(
        "ngram_labels",
        "results/{study}/descriptions/{corpus}/ngrams/layer_{site}.json",
        by="describe_features",
        function="label_by_ngrams",
        module="crosslens.descriptions.ngrams",
        needs=lambda at: [*all_codes(at), described(at)],
        every=described_saes,
    ),
    Kind(
        "asked_labels",
        "results/{study}/descriptions/{corpus}/answers/labels/layer_{site}.json",
        by="ask_endpoint",
        function="ask_labels",
        module="crosslens.descriptions.labels",
        params=asked_params,
        needs=lambda at: [described(at)],
        every=asked_saes,
    ),
    Kind(
        "asked_detections",
        "results/{study}/descriptions/{corpus}/answers/detections/layer_{site}.json",
        by="ask_endpoint",
        function="ask_detections",
        module="crosslens.descriptions.detections",
        params=lambda at: asked_params(at) | {"batch": at.settings["describe"]["endpoint"]["batch"]},
        needs=lambda at: [described(at), at.need("asked_labels", "corpus", "site")],
        every=asked_saes,
    ),
    Kind(
        "descriptions",
        "results/{study}/descriptions/{corpus}/layer_{site}.json",
        by="score_labels",
        module="crosslens.descriptions.scores",
        needs=score_needs,
        every=described_saes,
        into=("layer", "page"),
    ),
]
WORK = [
    Work("describe_features", minutes=120, memory=2500, per=("corpus", "site")),
    Work("ask_endpoint", minutes=480, memory=1000, per=("corpus", "site"), local=endpoint_place),
    Work("score_labels", minutes=30, memory=1000),
]
