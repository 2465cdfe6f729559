"""How languages, corpora and sites are called for a reader."""

import re
from typing import Any

from crosslens.data.languages import language_of

LANGUAGE = re.compile("[a-z]{2,3}")
"""The code of a language; the schema of studies gives no SAE of others such a name."""
ONE_SEED = "Each SAE is known from one training alone: how far these features hang on it is not known."
NEURONPEDIA = "https://www.neuronpedia.org"
_KINDS = {
    "resid_post": "",
    "resid_pre": " (input)",
    "attn_out": " (attention output)",
    "mlp_out": " (MLP output)",
}


def language_name(language: str) -> str:
    """`ar` to `Arabic (العربية)`; a language without a name here stays as it is."""
    return language_of(language).name


def short_name(language: str) -> str:
    """`Arabic`: the name in English alone."""
    return language_name(language).split(" ")[0]


def pair_name(source: str, target: str) -> str:
    """`English → Arabic`."""
    return f"{short_name(source)} → {short_name(target)}"


def direction(language: str) -> str:
    """The writing direction as HTML's `dir` has it."""
    return "rtl" if language_of(language).right_to_left else "ltr"


def corpus_name(corpus: str) -> str:
    """`joint` to `joint SAE`, `en` to `English SAE`, and the name of a pretrained SAE to `gemmascope (pretrained)`."""
    if is_pretrained(corpus):
        return f"{corpus} (pretrained)"
    return "joint SAE" if corpus == "joint" else f"{short_name(corpus)} SAE"


def is_pretrained(corpus: str) -> bool:
    """Whether it is an SAE of others: what a study trains on is `joint` or a language."""
    return corpus != "joint" and not LANGUAGE.fullmatch(corpus)


def site_name(site: str) -> str:
    """`4` to `block 4`, `4.attn_out` to `block 4 (attention output)`."""
    layer, _, kind = site.partition(".")
    return f"block {layer}{_KINDS.get(kind, f' ({kind})') if kind else ''}"


def case_name(site: str, corpus: str, language: str) -> str:
    """`block 4, joint SAE on Arabic (العربية)`: one dictionary in one language at one place."""
    return f"{site_name(site)}, {corpus_name(corpus)} on {language_name(language)}"


def in_groups(images: int, groups: int) -> str:
    """` in 12 groups`, of which each is one witness; empty where every image is one by itself."""
    return "" if groups == images else f" in {groups:,} groups"


def neuronpedia_page(called: dict[str, dict[str, str]], corpus: str, site: str) -> str | None:
    """Where Neuronpedia has the features of an SAE, each below its number; called: `sae.neuronpedia` of the study's settings."""
    name = called.get(corpus, {}).get(site)
    return f"{NEURONPEDIA}/{name}" if name else None


def site_order(site: str) -> tuple[int, str]:
    """Sorts sites by depth: block 2 before block 10."""
    layer, _, kind = site.partition(".")
    return int(layer), kind


def main_corpora(records: list[dict[str, Any]]) -> dict[str, str]:
    """language -> the corpus that stands for it where one alone is shown: joint, its own, or the first of `records`."""
    found: dict[str, str] = {}
    for record in records:
        language, corpus = record["language"], record["corpus"]
        taken = found.setdefault(language, corpus)
        if corpus == "joint" or (corpus == language and taken != "joint"):
            found[language] = corpus
    return found
