"""Does the difference in gender go through features of an SAE, or through what it leaves out?"""

from crosslens.report.html import tag, term
from crosslens.report.links import feature_column
from crosslens.report.numbers import plain, score_words
from crosslens.report.sections.base import Finding, Record, Results, Section
from crosslens.report.sections.patching import SWAPS, caption, language_words
from crosslens.report.table import Column, sae, scored, site, table, value
from crosslens.report.terms import CI
from crosslens.summary.names import corpus_name, site_name
from crosslens.summary.patching_names import METHODS, POSITIONS
from crosslens.summary.reading import Document

ORDER = 69
SHOWN = 5
"""Features of each swap, language and class of positions in the table."""
TERMS = {
    "ci": CI,
    "patched_feature": (
        "Patched feature, error node",
        "A feature's activation in the other run in the place of its own, x + (z′ − z) d; all features at once; and the error "
        "node, what of the difference between the two states the features do not write. R as of any patch. Features are "
        "chosen by integrated gradients on half of the pairs and told of the other half, beside as many drawn of all others "
        "whose activation differs between the two runs.",
    ),
    "feature_methods": (
        "Attributions of features",
        "AtP and RelP say of each feature what its own patch would do. Integrated gradients follow the line to the whole "
        "state of the other run: they share its effect out among the features, and need not be what one does by itself.",
    ),
    "incomplete": (
        "Incomplete",
        "Integrated gradients of all features and the error node add up to the effect of the whole state, but for the steps "
        "between: Σ|sum − effect| over Σ|effect|. A check of the computation, not of the SAE.",
    ),
}


def section(results: Results) -> Section | None:
    """Where features were patched."""
    documents = [
        (corpus, Document(folder / "features.json", "feature_patching"))
        for corpus, folder in results.by_place("feature_patching")
    ]
    if not documents:
        return None

    def rows(name: str) -> list[Record]:
        return [
            {"corpus": corpus, "site": doc("site")} | row for corpus, doc in documents for row in doc(name)
        ]

    parts = rows("parts")
    features = [row for row in rows("single") if row["chosen"] == "largest"]
    body = [
        tag(
            "p",
            "Where a patch of the whole state brings the difference over: is it in ",
            term("patched_feature", "features, or in the error node"),
            "?",
        ),
        table("feature_parts", PARTS, parts, label="Parts of patched states", caption=caption("Test")),
        table(
            "patched_features",
            [*_WHERE, feature_column(results), *FEATURES],
            _first(features),
            label="Features that bring over most",
            caption=caption("Test"),
        ),
        table(
            "feature_attribution",
            ATTRIBUTION,
            rows("attribution"),
            label="Attributions of features beside their patches",
            caption=caption("Test"),
        ),
    ]
    findings = [finding(row) for row in parts]
    heading = "Does the difference go through features?"
    return Section("feature_patching", "Patched features", heading, body, findings, terms=TERMS)


def _first(rows: list[Record]) -> list[Record]:
    """The SHOWN of each table of features, which are by size."""
    seen: dict[tuple[str, ...], int] = {}
    shown = []
    for row in rows:
        key = tuple(row[name] for name in ("corpus", "site", "swap", "language", "positions"))
        seen[key] = seen.get(key, 0) + 1
        if seen[key] <= SHOWN:
            shown.append(row)
    return shown


_WHERE = [
    site(),
    sae(),
    Column("swapped", lambda row: SWAPS[row["swap"]]),
    Column("language", language_words),
    Column("positions", lambda row: POSITIONS[row["positions"]]),
]
PARTS = [
    *_WHERE,
    Column("groups", lambda row: str(row["site_patch"]["n"]), "n"),
    scored("whole state, R", "site_patch"),
    scored(term("patched_feature", "all features"), "features"),
    scored("error node", "error"),
    scored("a chosen feature, mean", "largest"),
    scored("a random one, mean", "random"),
    value(term("incomplete", "incomplete"), "incomplete"),
]
FEATURES = [
    scored("R", "recovery"),
    value("integrated gradients, nats", "ig"),
]
ATTRIBUTION = [
    *_WHERE,
    Column("features", lambda row: row["chosen"]),
    Column(term("feature_methods", "method"), lambda row: METHODS[row["method"]]),
    value("patches", "n"),
    scored("Pearson", "pearson"),
    value("Spearman", "spearman"),
    value("same sign", "sign"),
    value("missed", "missed"),
    value("false positives", "false_positives"),
    value("error, share of effect", "total_error"),
]


def finding(row: Record) -> Finding:
    """What of the whole state's effect features bring over, in numbers that claim nothing."""
    where = (
        f"{site_name(row['site'])}, {corpus_name(row['corpus'])}, {language_words(row)}, {SWAPS[row['swap']]} swapped, "
        f"{POSITIONS[row['positions']]}"
    )
    if row["site_patch"]["value"] is None:
        title = f"{where}: whether the difference goes through features was not tested, because no pair differs enough."
        return Finding("warning", title)
    if row["site_patch"]["low"] is None or row["site_patch"]["low"] <= 0 <= row["site_patch"]["high"]:
        title = (
            f"{where}: not even the whole state brings anything over beyond doubt, R = {score_words(row['site_patch'])}; of its "
            "parts nothing is said."
        )
        return Finding("null", title)
    title = (
        f"{where}: of R = {score_words(row['site_patch'])} by the whole state all features bring over "
        f"{score_words(row['features'])}, the error node {score_words(row['error'])}."
    )
    line = (
        f"One of the features that were chosen on other pairs {score_words(row['largest'])} on average, one drawn of the others "
        f"that differ {score_words(row['random'])}."
    )
    if row["largest"]["value"] is None:
        line = "No feature was chosen, because none differs between the runs of the other pairs."
    check = (
        ""
        if row["incomplete"] is None
        else f" Integrated gradients leave {plain(row['incomplete'])} of the effect."
    )
    return Finding("description", title, [line + check])
