"""The gendered features of each layer and dictionary with what they fire on."""

from pathlib import Path
from typing import Any

from crosslens.errors import InputError
from crosslens.report.highlight import Piece, pieces
from crosslens.summary.names import corpus_name, direction, language_name, site_name
from crosslens.summary.reading import Document

PER_SIDE = 3
"""Features shown a side, condition, dictionary and layer."""
EXAMPLES = 5
FIELDS = {"role", "char_start", "char_end", "activation"}


class Examples:
    """The top examples of the features of one dictionary, language and layer, with the digest of their SAE."""

    def __init__(self, path: Path, kind: str):
        doc = Document(path, kind)
        self.path, self.sae = doc.path, doc("sae")
        columns = doc("examples", "columns")
        self.index = {name: columns.index(name) for name in FIELDS if name in columns}
        if self.index.keys() != FIELDS:
            raise InputError(path, found=f"columns {columns}", expected=sorted(FIELDS), mend="rebuild it")
        self.features = {entry["feature"]: entry["examples"] for entry in doc("examples", "features")}


def groups(gender: list[dict[str, Any]], sources: dict[str, list[Examples]]) -> list[dict[str, Any]]:
    """One group per layer, dictionary and language of `gender` (records with `site`), with a card a feature.

    sources: `{corpus}/{language}/{site}` -> where to look for examples, in this order. Raises InputError where their
    SAE is not the one that the features belong to.
    """
    result = []
    for site, corpus, language in dict.fromkeys((r["site"], r["corpus"], r["language"]) for r in gender):
        records = [r for r in gender if (r["site"], r["corpus"], r["language"]) == (site, corpus, language)]
        found = sources.get(f"{corpus}/{language}/{site}", [])
        for source in found:
            if source.sae != records[0]["sae"]:
                raise InputError(
                    source.path,
                    found=f"examples of the SAE {source.sae}",
                    expected=f"those of {records[0]['sae']}, to which the gendered features belong",
                    mend="rebuild the analyses of this layer from one SAE",
                )
        cards = _cards(records, found, f"f-{site}-{corpus}-{language}")
        result.append(_group(site, corpus, language, cards, first=not result))
    return result


def _cards(records: list[dict[str, Any]], sources: list[Examples], prefix: str) -> list[dict[str, Any]]:
    cards: dict[tuple[int, str], dict[str, Any]] = {}
    for record in records:
        for side in ("female", "male"):
            for entry in record[f"top_{side}"][:PER_SIDE]:
                key = (entry["feature"], side)
                if key not in cards:
                    cards[key] = {
                        "id": f"{prefix}-{entry['feature']}-{side}",
                        "feature": entry["feature"],
                        "side": side,
                        "effects": [],
                    } | _examples(entry["feature"], sources)
                names = ("d", "d_low", "d_high", "significant")
                line = {"condition": record["condition"], "q": entry["q_mann_whitney"]}
                cards[key]["effects"].append(line | {name: entry[name] for name in names})
    for card in cards.values():
        conditions = " and ".join(line["condition"] for line in card["effects"])
        card["title"] = f"stronger for {card['side']} · {conditions}"
    return list(cards.values())


def ranked_groups(rankings: dict[str, Path]) -> list[dict[str, Any]]:
    """The same for a study without gender: the first PER_SIDE features of each ranking, by `{corpus}/{language}/{site}`."""
    result = []
    for key, path in rankings.items():
        corpus, language, site = key.split("/")
        source, doc = Examples(path, "rankings"), Document(path, "rankings")
        named: dict[int, list[str]] = {}
        for name in doc("rankings"):
            for entry in doc("rankings", name, "features")[:PER_SIDE]:
                named.setdefault(entry["feature"], []).append(name)
        cards = [
            {"id": f"f-{site}-{corpus}-{language}-{feature}", "feature": feature, "effects": []}
            | {"title": "first by ranking: " + ", ".join(names)}
            | _examples(feature, [source], gendered=False)
            for feature, names in named.items()
        ]
        result.append(_group(site, corpus, language, cards, first=not result))
    return result


def _group(
    site: str, corpus: str, language: str, cards: list[dict[str, Any]], *, first: bool
) -> dict[str, Any]:
    return {
        "title": f"{site_name(site)}, {corpus_name(corpus)} on {language_name(language)}",
        "language": language,
        "dir": direction(language),
        "open": first,
        "cards": cards,
    }


def _examples(feature: int, sources: list[Examples], *, gendered: bool = True) -> dict[str, Any]:
    for source in sources:
        examples = source.features.get(feature, [])[:EXAMPLES]
        if examples:
            scale = max(example["max"] for example in examples)
            shown = [_example(source, example, scale, gendered) for example in examples]
            return {"max": scale, "examples": shown}
    return {"max": None, "examples": []}


def _example(source: Examples, example: dict[str, Any], scale: float, gendered: bool) -> dict[str, Any]:
    at = source.index
    text: list[Piece] = []
    # the caption of a generated text is that text
    parts = (
        ("prompt", {"prompt"}, example["prompt"]),
        ("caption", {"caption", "generated"}, example["caption"]),
    )
    for part, roles, whole in parts:
        spans = [
            (token[at["char_start"]], token[at["char_end"]], token[at["activation"]])
            for token in example["tokens"]
            if token[at["role"]] in roles and token[at["char_start"]] >= 0
        ]
        # A prompt is the same everywhere: it is shown where the feature fires on it.
        if spans or part == "caption":
            text += [*([Piece(" / ", None, 0.0)] if text else []), *pieces(whole, spans, scale)]
    told = " · ".join(
        filter(None, [example["sample_id"], example["category"], example["gender"] if gendered else ""])
    )
    hidden = [token[at["activation"]] for token in example["tokens"] if token[at["char_start"]] < 0]
    # Words of the chat template stand in neither text; where the feature fires on them it must not look silent.
    where = f" · {max(hidden):.2f} on a word of the chat template, not shown" if hidden else ""
    return {"pieces": text, "source": f"{told} · max {example['max']:.2f}{where}"}
