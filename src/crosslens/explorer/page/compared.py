"""What layers, SAEs, languages and models are compared by: the records that the report shows, as tables for a browser."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from crosslens.summary.names import corpus_name, pair_name, short_name
from crosslens.summary.reading import Document
from crosslens.summary.tested import decided

Record = dict[str, Any]
Cell = float | int | str | bool | None


@dataclass(frozen=True)
class Column:
    """One column of numbers or words."""

    key: str
    """Its name in CSV."""
    title: str
    about: str
    cell: Callable[[Record], Cell]
    bounds: tuple[Callable[[Record], Cell], Callable[[Record], Cell]] | None = None
    """Ends of its 95 % interval."""


@dataclass(frozen=True)
class Compared:
    """One table, a row a record. Behind `site` and what the records are of come its columns."""

    name: str
    title: str
    about: str
    records: str
    """Of `summary`."""
    section: str
    """Anchor of the report's section that shows them."""
    columns: list[Column]
    of: tuple[str, ...] = ("corpus", "language")
    keep: Callable[[Record], bool] = lambda record: True


def field(key: str, title: str, about: str, *path: str, bounded: bool = False) -> Column:
    """A field, found by `path` where its key is another; bounded: with `{field}_low` and `{field}_high`."""
    way = path or (key,)

    def at(suffix: str) -> Callable[[Record], Cell]:
        return lambda record: reduce(lambda of, name: of[name], [*way[:-1], way[-1] + suffix], record)

    return Column(key, title, about, at(""), (at("_low"), at("_high")) if bounded else None)


def judged(record: Record) -> Cell:
    """q; `not tested` wherever the report says so; None of what is in no family."""
    if record["q_family"] is None:
        return None
    return record["q"] if decided(record) else "not tested"


def said(about: str) -> Column:
    """The column of `judged`."""
    return Column("q", "q", f"{about} Corrected over the family and the claims of the study.", judged)


def gates(record: Record) -> str:
    """What an SAE fails in a language and what is undefined, in words."""
    lacking = [gate for gate in record["gates"] if gate["passed"] is not True]
    told = [f"{'' if gate['passed'] is False else 'undefined: '}{gate['says']}" for gate in lacking]
    return "; ".join(told) or "passed"


OF = {
    "corpus": Column(
        "corpus",
        "SAE",
        "The dictionary, by what it was trained on.",
        lambda record: (
            "none: activations" if record["corpus"] == "activations" else corpus_name(record["corpus"])
        ),
    ),
    "language": Column("language", "language", "", lambda record: short_name(record["language"])),
    "languages": Column(
        "languages", "languages", "", lambda record: " and ".join(map(short_name, record["languages"]))
    ),
    "direction": Column(
        "direction",
        "languages",
        "From the first to the second.",
        lambda record: pair_name(record["source"], record["target"]),
    ),
    "condition": field("condition", "condition", "What the model had read: see the report's definitions."),
    "read": field("read", "read", "What was read: see the report's definitions."),
    "method": field("method", "method", ""),
    "role": field("role", "compared", "The languages' SAEs, two seeds of one, or a floor."),
}
CHANCE = "by chance"
TABLES = [
    Compared(
        "quality",
        "SAEs: are they good?",
        "On held-out test tokens.",
        "saes",
        "quality",
        [
            field("d_sae", "features", "Of the SAE."),
            field("live", "live", "Features that fire on a test token."),
            field("dead", "dead", "Features that fire on none."),
            field("l0", "L0", "Features that fire on a token, mean."),
            field("ev", "EV", "Explained variance."),
            field("pca", "EV of PCA", "Of as many components as features fire."),
            field(
                "ce_recovered",
                "CE recovered",
                "Of the model's loss, against zeros in the place of the activations.",
            ),
            Column("gates", "gates", "What a usable SAE meets, or what this one fails.", gates),
        ],
    ),
    Compared(
        "gender",
        "Features of gender",
        "Features whose activation differs between female and male on test, and how many do by chance.",
        "gender",
        "gender",
        [
            field("testable", "testable", "Live features that fire often enough to be tested."),
            field("significant", "significant", "On test, corrected over the testable features."),
            field("mean", CHANCE, "Mean with shuffled labels.", "null", "mean"),
            field("confirmed", "also on select", "Significant on both halves, in the same direction."),
            said("Of as many significant features by chance."),
        ],
        ("corpus", "language", "condition"),
    ),
    Compared(
        "probes",
        "Gender by linear probes",
        "Of codes of an SAE or of the raw activations.",
        "probes",
        "gender",
        [
            field("auroc", "AUROC", "On test; 0.5 is chance.", bounded=True),
            field("control", "control task", "AUROC of a probe of random labels."),
            field("width", "inputs", "Features or channels that it reads."),
            said("Of the AUROC with permuted labels."),
        ],
        ("corpus", "language", "condition"),
    ),
    Compared(
        "transfer",
        "Gender across languages",
        "AUROC, in the second language, of the gender direction that was learned in the first.",
        "transfer",
        "transfer",
        [
            field("auroc", "AUROC", "0.5 is chance.", bounded=True),
            said("Against random directions."),
        ],
        ("direction", "condition", "method"),
        lambda record: record["source"] != record["target"],
    ),
    Compared(
        "directions",
        "Directions of gender",
        "Cosine of the two languages' directions.",
        "directions",
        "transfer",
        [
            field("cosine", "cosine", "1: the same direction."),
            Column(
                "null",
                f"{CHANCE}, up to",
                "97.5 % of shuffled labels lie below.",
                lambda record: record["null_high"],
            ),
            said("Of the cosine, with shuffled labels."),
        ],
        ("languages", "condition"),
    ),
    Compared(
        "cross_lingual",
        "Do features tell gender alike in both languages?",
        "Pearson's r of the effects of gender over the live features.",
        "cross_lingual",
        "cross-lingual",
        [
            Column(
                "r",
                "r",
                "Over live features.",
                lambda record: record["r"],
                (lambda record: record["low"], lambda record: record["high"]),
            ),
            field("features", "features", "Compared."),
            said("Of r."),
        ],
        ("corpus", "languages", "condition", "method"),
    ),
    Compared(
        "sharing",
        "Features that the languages share",
        "Whose activations on captions of the same images correlate beyond shuffled pairs.",
        "sharing",
        "sharing",
        [
            field("features", "live in both", "Features."),
            field("found", "shared", "Of these."),
            field("chance", CHANCE, "Mean number of shuffled pairs."),
            said("Of as many by chance."),
        ],
        ("corpus", "languages"),
    ),
    Compared(
        "specific",
        "Features that are specific to a language",
        "That fire more often in one language, a token and a caption.",
        "specific",
        "sharing",
        [
            field("features", "live in either", "Features."),
            field("found", "specific", "Of these."),
            field("chance", CHANCE, "Mean number of shuffled languages."),
            said("Of as many by chance."),
        ],
        ("corpus", "languages"),
    ),
    Compared(
        "matching",
        "Features of one language's SAE matched with the other's",
        "One to one; beside two seeds of one SAE (the ceiling) and floors.",
        "matching",
        "matching",
        [
            field("matched", "matched", "Pairs."),
            field("shared", "shared", "Pairs that are alike in decoder and encoder."),
            field("share", "share", "Of the matched."),
            field("between", "from floor to ceiling", "How far the decoders' MCC is on the way."),
        ],
        ("languages", "role"),
    ),
    Compared(
        "retrieval",
        "Translations found",
        "How often a caption's translation is the nearest of all, by the activations.",
        "retrieval",
        "retrieval",
        [
            field("r1", "R@1", "Found first.", bounded=True),
            field("r1_chance", CHANCE, "One of so many."),
            field("units", "of", "Candidates."),
            said("Of R@1, with other pairings."),
        ],
        ("direction", "read"),
        lambda record: record["centred"],
    ),
    Compared(
        "cka",
        "Likeness of the languages' activations",
        "CKA of captions that say the same.",
        "cka",
        "retrieval",
        [
            field("unbiased", "CKA", "Unbiased."),
            field("unbiased_null", CHANCE, "Mean of other pairings."),
            said("Of CKA, with other pairings."),
        ],
        ("languages", "read"),
    ),
    Compared(
        "rankings",
        "Features that stand for a category",
        "Categories with a specialist: a feature that fires in more of the category's test images than in others.",
        "rankings",
        "rankings",
        [
            field("categories", "categories", "That could be looked for."),
            field("specialists", "with a specialist", ""),
            field("specialists_by_chance", CHANCE, "With the categories permuted."),
            said("Of as many by chance."),
        ],
    ),
]


def tables(summary: Document) -> list[dict[str, Any]]:
    """What the records of a study's `summary` compare: name, title, about, section, columns and rows of each table that has any.

    A row is its site and its cells in the order of the columns; a bounded number is [number, low, high].
    """
    found = []
    for table in TABLES:
        records = [of for of in summary("records").get(table.records, []) if table.keep(of)]
        if records:
            columns = [*(OF[name] for name in table.of), *table.columns]
            rows = [[record["site"], *(_cell(column, record) for column in columns)] for record in records]
            found.append(_told(table.name, table.title, table.about, table.section, columns, rows))
    return found


def models(files: dict[str, Path]) -> list[dict[str, Any]]:
    """The same of `model_comparison`: each site of this study against each of another study's model, in each language.

    files: `{other}/{language}` to the folder.
    """
    columns = [
        Column("other", "other study", "", lambda row: row["other"]),
        OF["language"],
        Column("other_site", "its site", "", lambda row: row["site_b"]),
        Column("cka", "CKA", "Unbiased, of the same texts.", lambda row: row["unbiased_cka"]),
        Column("null", f"{CHANCE}, at most", "Of random pairings.", lambda row: row["unbiased_null_max"]),
        Column("p", "p", "One-sided, not corrected.", lambda row: row["unbiased_p"]),
    ]
    rows = []
    for key, folder in files.items():
        other, language = key.split("/")
        for pair in Document(folder / "comparison.json", "model_comparison")("pairs"):
            of = {"other": other, "language": language}
            if pair["model_a"] == other != pair["model_b"]:
                pair = pair | {"site_a": pair["site_b"], "site_b": pair["site_a"]}
            if pair["model_a"] != pair["model_b"]:
                rows.append([pair["site_a"], *(_cell(column, pair | of) for column in columns)])
    about = "CKA of this study's activations and another's over the same texts."
    return [_told("models", "Beside other models", about, "", columns, rows)] if rows else []


def _cell(column: Column, record: Record) -> Any:
    value = column.cell(record)
    return [value, *(end(record) for end in column.bounds)] if column.bounds else value


def _told(
    name: str, title: str, about: str, section: str, columns: list[Column], rows: list[list[Any]]
) -> dict[str, Any]:
    told = [
        {"key": one.key, "title": one.title, "about": one.about, "bounded": one.bounds is not None}
        for one in columns
    ]
    return {"name": name, "title": title, "about": about, "section": section, "columns": told, "rows": rows}
