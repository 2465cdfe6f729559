"""Where do attention heads look?"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from crosslens.report.html import details, tag, term
from crosslens.report.numbers import plain
from crosslens.report.sections.base import Finding, Results, Section
from crosslens.report.table import Column, bounded, language, table, value
from crosslens.report.terms import CI
from crosslens.summary.names import direction, language_name, short_name
from crosslens.summary.reading import Document, read_parquet
from crosslens.tokens.highlight import pieces

ORDER = 37
LEADING = 3
"""Heads of a score in the table."""
SCORES = {
    "previous": "on the previous token",
    "itself": "on itself",
    "first": "on the first token",
    "image": "on the picture",
    "induction": "induction",
    "distance": "distance, tokens",
}
"""Those whose leading heads are named; the highest lead."""
LOOKED = ("induction", "previous", "distance")
"""Scores whose first head is shown in texts."""
TERMS = {
    "ci": CI,
    "head-scores": (
        "Scores of a head",
        "Means over the text tokens of a sample but the first, then over samples: the weight that a token gives itself, the "
        "token before it, the first token of all (BOS where there is one), all image tokens together; distance: mean of how many "
        "tokens away it looks. Weights of a token sum to 1.",
    ),
    "induction": (
        "Induction",
        "24 tokens drawn at random from the captions, said twice: mean weight of a token of the second saying on the token that "
        "came behind it in the first (Olsson et al. 2022). 1: the head looks for nothing else; the interval is over sequences.",
    ),
}


def section(results: Results) -> Section | None:
    """Where patterns were asked for."""
    files = results.files.get("attention", {})
    documents = [(Document(folder / "attention.json", "attention"), folder) for folder in files.values()]
    if not documents:
        return None
    heads = {doc("language"): _heads(folder) for doc, folder in documents}
    rows = [row for doc, _ in documents for row in _leading(doc("language"), heads[doc("language")])]
    body = [
        tag(
            "p",
            "The ",
            term("head-scores", "scores"),
            " of every head are in the figure, those that lead a score in the table. ",
            " ".join(_counted(doc) for doc, _ in documents),
        ),
        results.shown("attention", "attention_pictures"),
        table(
            "attention",
            COLUMNS,
            rows,
            label="Heads that lead a score",
            caption=tag("span", "Test; ", term("ci", "95 % CI"), " over groups in brackets"),
        ),
        *(_texts(doc, folder, heads[doc("language")]) for doc, folder in documents if doc("shown")),
    ]
    findings = [_finding(doc, heads[doc("language")]) for doc, _ in documents]
    return Section("attention", "Attention", "Where do heads look?", body, findings, terms=TERMS)


COLUMNS = [
    language("row"),
    Column("score", lambda row: _score(row["score"])),
    value("block", "layer"),
    value("head", "head"),
    bounded("value", "value"),
    value("all heads, mean", "mean"),
]


def _score(name: str) -> Any:
    return term("induction", SCORES[name]) if name == "induction" else SCORES[name]


def _heads(folder: Path) -> pd.DataFrame:
    columns = ["layer", "head", "score", "value", "low", "high"]
    return read_parquet(folder / "heads.parquet", "attention_heads", columns)


def _ranked(heads: pd.DataFrame, score: str) -> pd.DataFrame:
    own = heads[(heads["score"] == score) & heads["value"].notna()]
    return own.sort_values(["value", "layer", "head"], ascending=[False, True, True])


def _leading(name: str, heads: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for score in SCORES:
        ranked = _ranked(heads, score)
        for row in ranked.head(LEADING).to_dict("records"):
            bounds = {f"value_{end}": None if pd.isna(row[end]) else row[end] for end in ("low", "high")}
            mean = float(ranked["value"].mean())
            yield {"language": name, "mean": mean, **row, **bounds}


def _counted(doc: Document) -> str:
    words = (
        f"{language_name(doc('language'))}: {plain(doc('samples'))} test samples, {len(doc('layers'))} blocks"
    )
    if left := doc("not_available"):
        words += f" ({len(left)} more attend to pictures alone)"
    return f"{words} of {doc('heads')} heads."


def _texts(doc: Document, folder: Path, heads: pd.DataFrame) -> Markup:
    """The stored samples, what the last token of each looks at behind each token of the text."""
    columns = ["sample_id", "layer", "head", "query", "key", "weight"]
    patterns = read_parquet(folder / "patterns.parquet", "attention_patterns", columns)
    name = doc("language")
    chosen = [(score, next(_ranked(heads, score).itertuples(), None)) for score in LOOKED]
    shown = [
        tag(
            "li",
            *_sample(sample, patterns, [(score, head) for score, head in chosen if head is not None], name),
        )
        for sample in doc("shown")
    ]
    kept = heads[heads["score"] == "kept"]["value"].mean()
    return details(
        f"{short_name(name)}: where the last token of a text looks",
        tag(
            "p",
            f"Behind each token the weight that the last token of the caption gives it, in the heads that lead a score. Weights "
            f"below {doc('threshold'):g} are not stored: {plain(100 * float(kept), 1)} % of the weight is, on average.",
        ),
        tag("ol", *shown),
    )


def _sample(
    sample: dict[str, Any], patterns: pd.DataFrame, chosen: list[tuple[str, Any]], name: str
) -> Iterator[Markup]:
    tokens, caption = sample["tokens"], sample["caption"]
    placed = [
        i
        for i, token in enumerate(tokens)
        if token["role"] in ("caption", "generated") and token["char_start"] >= 0
    ]
    own = patterns[patterns["sample_id"] == sample["sample_id"]]
    for score, head in chosen if placed else ():
        line = own[(own["layer"] == head.layer) & (own["head"] == head.head) & (own["query"] == placed[-1])]
        weights = dict(zip(line["key"], line["weight"], strict=True))
        spans = [
            (tokens[i]["char_start"], tokens[i]["char_end"], float(weights[i]))
            for i in placed
            if i in weights
        ]
        marked = [
            tag(
                "span",
                one.text,
                style=f"background:rgba(var(--mark),{one.opacity})",
                title=plain(one.value, 2),
            )
            if one.value
            else one.text
            for one in pieces(caption, spans, 1.0)
        ]
        elsewhere = sum(weights.values()) - sum(weight for *_, weight in spans)
        yield tag("div", *marked, class_="example", dir=direction(name), lang=name)
        yield tag(
            "span",
            f"{SCORES[score]}: block {head.layer}, head {head.head}; {plain(float(elsewhere), 2)} before the caption",
            class_="source",
        )


def _finding(doc: Document, heads: pd.DataFrame) -> Finding:
    name = language_name(doc("language"))
    lines = []
    for score in ("previous", "induction", "image"):
        for row in _ranked(heads, score).head(1).to_dict("records"):
            bounds = "" if pd.isna(row["low"]) else f" [{plain(row['low'], 2)}, {plain(row['high'], 2)}]"
            lines.append(
                f"Most {SCORES[score]}: head {row['head']} of block {row['layer']}, {plain(row['value'], 2)}{bounds}."
            )
    first = heads[heads["score"] == "first"]["value"]
    share = plain(100 * float(first.mean()), 0)
    title = f"{name}: {share} % of the weight of all heads is on the first token, on average."
    return Finding("description", title, lines)
