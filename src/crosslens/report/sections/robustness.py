"""Are the gendered features gendered however one looks: read otherwise, and in other trainings?"""

from typing import Any

from crosslens.report.html import tag, term
from crosslens.report.numbers import percent, plain
from crosslens.report.robust import READ
from crosslens.report.sections.base import Finding, Record, Results, Section
from crosslens.report.table import Column, language, sae, site, table, text, value
from crosslens.summary.names import ONE_SEED

ORDER = 31
TERMS = {
    "view": (
        "Gendered in another view",
        "A feature that is significant on test is looked for again: tested in the same way, over all features of the view, it "
        "has to be significant in the same direction. Views are other ways to pool its tokens, and its counterpart in an SAE "
        "of another seed or architecture (one to one, by the cosine of decoder rows). One of another architecture starts from "
        "the same random directions, by which alone it stays like the first; one of another seed starts elsewhere, and reads the "
        "same tokens in the same order. All views are of the same test {units}: what holds in each may still hang on which "
        "{units} there are.",
    ),
    "view-chance": (
        "Drawn at random",
        "The share expected if in the place of each counterpart a feature stood that fires in about as many {units}: mean, "
        "and 95th percentile of such draws.",
    ),
}


def section(results: Results) -> Section | None:
    """Where gendered features were looked for."""
    records = results.records("robustness")
    if not records:
        return None
    columns = [
        site(),
        sae(),
        language(),
        text("condition", "condition"),
        value("gendered", "gendered"),
        Column(term("view", "view"), lambda row: view_name(row["view"], row["kind"])),
        value("of them testable there", "testable"),
        value("all features: live there", "live"),
        value("gendered there", "gendered_there"),
        value("the same, in the same direction", "kept"),
        Column("share", _share, "n"),
        Column(term("view-chance", "drawn at random"), _chance, "n"),
        value("median cosine", "cosine", 2),
    ]
    shown = [row for row in records if row["gendered"]]
    words = "Of the features that are significant on test, how many are gendered in the same direction in another "
    one_seed = "" if any(row["kind"] == "seed" for row in records) else f" {ONE_SEED}"
    body: list[Any] = [tag("p", words, term("view", "view"), ".", one_seed)]
    if shown:
        body.append(table("robustness", columns, shown, label="Gendered features in other views"))
    body.append(results.shown("robustness"))
    findings = [robustness_finding(records, results.words["units"])]
    return Section("robustness", "Robustness", "Gendered however one looks?", body, findings, terms=TERMS)


def view_name(view: str, kind: str) -> str:
    """`seed_1` to `seed 1`; a reading in words; another architecture by the name of its setting."""
    if kind == "reading":
        return READ[view]
    return view.replace("_", " ") if kind == "seed" else f"architecture {view}"


def _share(row: Record) -> Any:
    """Where none could be tested, that none is gendered says nothing."""
    return percent(row["share"], 0) if row["testable"] else "not tested"


def _chance(row: Record) -> Any:
    return percent(row["chance"], 0) + " (95th pct. " + percent(row["chance_q95"], 0) + ")"


def robustness_finding(records: list[Record], units: str) -> Finding:
    """Over all layers, dictionaries, languages and conditions: the share that each kind of view keeps, beside chance."""
    kept, lines = [], []
    for name, words in {
        **READ,
        "seed": "in another seed",
        "architecture": "in another architecture from the same start",
    }.items():
        of = [r for r in records if name in (r["kind"], r["view"])]
        total, able, same = (sum(r[of_view] for r in of) for of_view in ("gendered", "testable", "kept"))
        if not total:
            continue
        if not able:
            kept.append(f"{words} not tested, because none of {plain(total)} fires often enough there")
            continue
        share = plain(100 * same / total, 0)
        chance = plain(100 * sum(r["chance"] * r["gendered"] for r in of if r["gendered"]) / total, 0)
        kept.append(f"{plain(same)} of {plain(able)} {words}")
        lines.append(
            f"{words[0].upper()}{words[1:]}: {share} % of all {plain(total)}, of which {plain(able)} fire often enough there to "
            f"be tested; {chance} % were features as frequent drawn at random."
        )
    one_seed = [] if any(r["kind"] == "seed" for r in records) else [ONE_SEED]
    if not kept:
        return Finding("null", "There is no gendered feature to look for again.", one_seed)
    if not lines:
        return Finding("warning", f"Gendered features elsewhere: {'; '.join(kept)}.", one_seed)
    lines.append(
        "Counted over features of all layers, dictionaries, languages and conditions, once in each other training, on the same "
        f"test {units}: described, not tested."
    )
    title = (
        "Of the gendered features that could be tested in another view, so many are gendered in the same direction there: "
        f"{'; '.join(kept)}."
    )
    return Finding("description", title, [*lines, *one_seed])
