"""The gendered features of each layer and dictionary, or the first of each ranking, with what they fire on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from crosslens.errors import InputError
from crosslens.features.promoted import Promoted
from crosslens.report.html import details, missing, tag, term
from crosslens.report.labels import Labels, labelled, told_labels
from crosslens.report.links import feature_name
from crosslens.report.numbers import interval, number, plain
from crosslens.report.promoted import TERM, Tokens, promoted_line, read_promoted
from crosslens.report.robust import readings_words, seeds_words
from crosslens.report.sections.base import Results, Section
from crosslens.report.terms import D, Q
from crosslens.summary.names import case_name, direction
from crosslens.summary.reading import Document
from crosslens.summary.records.gender_robustness import place_of
from crosslens.tables.of_sae import check_of_sae
from crosslens.tokens.highlight import Piece, pieces

ORDER = 80
TERMS = {"d": D, "q": Q}
PROMOTED = {"promoted": TERM}

PER_SIDE = 3
"""Features shown a side, condition, dictionary and layer."""
EXAMPLES = 5
FIELDS = {"role", "char_start", "char_end", "activation"}


def section(results: Results) -> Section | None:
    """Where there are gendered features, or rankings of those of a study without gender."""
    gender = results.records("gender")
    rankings = {key: folder / "rankings.json" for key, folder in results.files.get("features", {}).items()}
    sources = _sources(rankings, results.files.get("gendered_examples", {}))
    made = groups(gender, sources, results.records("named")) if gender else []
    shown = made or ranked_groups(rankings)
    if not shown:
        return None
    words = (
        "The features chosen on select with the largest effects, with numbers from test."
        if gender
        else "The first features of each ranking, chosen on select, with examples from test."
    )
    colour = (
        " The colour behind a piece of text is the feature's activation there, on one scale per feature (full colour: its "
        "largest activation shown); hold the pointer on it for the value."
    )
    nothing = "No feature was significant on select." if gender else "No feature is ranked."
    labels, promoted = told_labels(results), read_promoted(results)
    heading = f"{'Gendered features' if gender else 'Features'} and what they fire on"
    body = [
        tag("p", words + colour),
        *(
            details(
                group["title"], _shown_cards(group, nothing, labels, promoted, results), is_open=group["open"]
            )
            for group in shown
        ),
    ]
    terms = (TERMS if gender else {}) | (PROMOTED if promoted else {})
    return Section("features", "Features", heading, body, terms=terms)


def _sources(rankings: dict[str, Path], examples: dict[str, Path]) -> "dict[str, list[Examples]]":
    """Where to look for examples, those of gendered features first."""
    sources: dict[str, list[Examples]] = {}
    for paths, kind in ((examples, "gendered_examples"), (rankings, "rankings")):
        for key, path in paths.items():
            sources.setdefault(key, []).append(Examples(path, kind))
    return sources


def _shown_cards(
    group: dict[str, Any], nothing: str, labels: Labels, promoted: Tokens, results: Results
) -> Markup:
    if not group["cards"]:
        return missing(nothing)
    if tokens := promoted.get((group["corpus"], group["site"])):
        tokens.check(group["sae"])
    cards = Markup("\n").join(_card(card, group, labels, tokens, results) for card in group["cards"])
    return tag("div", cards, class_="features")


def _card(
    card: dict[str, Any], group: dict[str, Any], labels: Labels, tokens: Promoted | None, results: Results
) -> Markup:
    place = (*(group[name] for name in ("site", "corpus", "language")), card["feature"])
    name = feature_name(results, group["corpus"], group["site"], card["feature"])
    called = labelled(name, labels.get(place))
    words = [_effect(line) for line in card["effects"]]
    if tokens:
        words.append(promoted_line(tokens, card["feature"]))
    if card["max"] is not None:
        words.append(Markup("Largest activation shown: {}.").format(number(card["max"], 2)))
    examples = [_shown_example(example, group) for example in card["examples"]]
    return tag(
        "article",
        tag("h3", called, f" · {card['title']}"),
        tag("p", *words, class_="note"),
        tag("ol", Markup("\n").join(examples))
        if examples
        else missing("No example is stored for this feature."),
        class_="feature",
        id=card["id"],
    )


def _effect(line: dict[str, Any]) -> Markup:
    return Markup("{}: {} = {}{}, {} = {}{}. ").format(
        line["condition"],
        term("d", "d"),
        # nothing varies within the genders: d has no end, and the area says how far they are apart
        number(line["d"], 2) if line["d"] is not None else f"infinite, AUROC {plain(line['auroc'], 2)}",
        interval(line["d_low"], line["d_high"], 2) or " (no CI: too few fire)",
        term("q", "q"),
        number(line["q"]),
        ("" if line["confirmed"] else " (not confirmed on test)")
        + (f"; {readings_words(line['named'])}, {seeds_words(line['named'])}" if line["named"] else ""),
    )


def _shown_example(example: dict[str, Any], group: dict[str, Any]) -> Markup:
    shown = (
        tag(
            "span",
            piece.text,
            style=f"background:rgba(var(--mark),{piece.opacity})",
            title=plain(piece.value, 3),
        )
        if piece.value
        else piece.text
        for piece in example["pieces"]
    )
    text = tag("div", *shown, class_="example", dir=group["dir"], lang=group["language"])
    return tag("li", text, "\n", tag("span", example["source"], class_="source"))


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


def groups(
    gender: list[dict[str, Any]], sources: dict[str, list[Examples]], named: Sequence[dict[str, Any]] = ()
) -> list[dict[str, Any]]:
    """One group per layer, dictionary and language of `gender` (records with `site`), with a card a feature.

    sources: `{corpus}/{language}/{site}` -> where to look for examples, in this order. named: records of what the features
    are in other views. Raises InputError where the examples' SAE is not the one that the features belong to.
    """
    robust = {place_of(record): record for record in named}
    result = []
    for site, corpus, language in dict.fromkeys((r["site"], r["corpus"], r["language"]) for r in gender):
        records = [r for r in gender if (r["site"], r["corpus"], r["language"]) == (site, corpus, language)]
        stored = sources.get(f"{corpus}/{language}/{site}", [])
        for source in stored:
            check_of_sae(source.path, "examples", source.sae, records[0]["sae"])
        cards = _cards(records, stored, robust, f"f-{site}-{corpus}-{language}")
        result.append(_group(site, corpus, language, records[0]["sae"], cards, first=not result))
    return result


def _cards(
    records: list[dict[str, Any]],
    sources: list[Examples],
    robust: dict[tuple, dict[str, Any]],
    prefix: str,
) -> list[dict[str, Any]]:
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
                names = ("d", "d_low", "d_high", "auroc", "confirmed")
                place = place_of({**record, "feature": entry["feature"], "side": side})
                line = {"condition": record["condition"], "q": entry["q"], "named": robust.get(place)}
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
        result.append(_group(site, corpus, language, source.sae, cards, first=not result))
    return result


def _group(
    site: str, corpus: str, language: str, sae: str, cards: list[dict[str, Any]], *, first: bool
) -> dict[str, Any]:
    return {
        "title": case_name(site, corpus, language),
        "site": site,
        "corpus": corpus,
        "language": language,
        "sae": sae,
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
    where = " · ".join(
        filter(None, [example["sample_id"], example["category"], example["gender"] if gendered else ""])
    )
    hidden = [token[at["activation"]] for token in example["tokens"] if token[at["char_start"]] < 0]
    # Words of the chat template stand in neither text; where the feature fires on them it must not look silent.
    unseen = f" · {max(hidden):.2f} on a word of the chat template, not shown" if hidden else ""
    return {"pieces": text, "source": f"{where} · max {example['max']:.2f}{unseen}"}
