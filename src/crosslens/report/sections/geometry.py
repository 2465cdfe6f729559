"""What shape do activations, features and heads have?"""

from typing import Any

from crosslens.report.html import missing, tag, term
from crosslens.report.numbers import interval, level_words, number, plain
from crosslens.report.sections.base import Record, Results, Section
from crosslens.report.table import Column, judged, language, sae, site, table, text, value
from crosslens.summary.claims import significant
from crosslens.summary.names import short_name, site_name
from crosslens.summary.reading import Document

ORDER = 86
TERMS = {
    "rank": (
        "Effective rank",
        "2 to the power of the information content: how many equal directions would have it. Participation ratio: (Σv)² / Σv². "
        "95 %: the fewest directions that have 95 % of the variance together.",
    ),
    "content": (
        "Information content",
        "Entropy in bits of the shares of variance (squared singular values) over directions, of centred tokens of the caption, "
        "sinks left out. Interval and test: jackknife over {units}, freed of the bias that few tokens bring.",
    ),
    "mi": (
        "Bits of gender",
        "Mutual information of gender and the mean activation of one feature, in four bins (silence and thirds), less the bias "
        "of Miller and Madow; of the features live on at least five {units} of test. Null: what the best of all these tells "
        "with the labels shuffled, so that a feature above its 95 % stands out of all of them.",
    ),
    "matrix": (
        "W_enc W_dec",
        "The linear map that encoder and decoder are together. Σ Re λ / Σ |λ| of its eigenvalues: 1, what it reads it writes.",
    ),
    "clusters": (
        "Clusters",
        "k-means on the directions of live decoder rows; of 2, 4, 8, 16 and 32 clusters those whose stability (adjusted Rand "
        "index of clusterings by halves of the rows) is furthest above that of Gaussian clouds of the same shape. p: share of 19 "
        "clouds that are as far above their mean, so .05 is the least.",
    ),
}


def section(results: Results) -> Section | None:
    """Where geometry is asked for."""
    if not (dimensions := results.records("dimensions")):
        return None
    body = [
        *_dimensions(dimensions, results),
        *_information(results),
        *_dictionaries(results),
        *_circuits(results),
        results.shown("geometry", "circuits"),
    ]
    return Section("geometry", "Geometry", "What shape do they have?", body, terms=TERMS)


def _dimensions(records: list[Record], results: Results) -> list[Any]:
    rows = results.records("dimension_differences")
    tested = [row for row in rows if row["q"] is not None]
    more = [row for row in tested if significant(row, results.level)]
    if not rows:
        words = ""
    elif not tested:
        words = " Whether the languages differ was not tested: there are too few for intervals."
    elif not more:
        words = f" The languages do not differ in it beyond chance, in none of {len(tested)} comparisons."
    else:
        words = f" The languages differ in it in {len(more)} of {len(tested)} comparisons: " + "; ".join(
            f"{site_name(row['site'])}, {short_name(row['languages'][row['bits'] > 0])} has {plain(2 ** abs(row['bits']), 2)} "
            f"times as many directions as {short_name(row['languages'][row['bits'] < 0])}"
            for row in more
        )
        words += ". It says how they are spread, not what is in them: longer and richer texts need more."
    return [
        tag("p", "How many directions do the ", term("content", "tokens"), " of each language use?", words),
        table(
            "dimensions",
            [
                site(),
                language(),
                value("tokens", "tokens"),
                value(term("content", "bits"), "bits", 2),
                Column("corrected", _corrected, "n"),
                value(term("rank", "effective rank"), "effective_rank", 1),
                value("participation ratio", "participation_ratio", 1),
                value("95 %", "rank_95"),
                value("of", "d_model"),
            ],
            records,
            label="Directions in use",
        ),
        table(
            "dimension_differences",
            [
                site(),
                Column("languages", lambda row: " − ".join(map(short_name, row["languages"][::-1]))),
                value("difference in bits", "bits", bounds=("low", "high")),
                value("p", "p"),
                value("q", "q"),
            ],
            tested,
            label="Differences between the languages",
            caption=f"q: over all {len(tested)} comparisons of the study",
        )
        if tested
        else "",
    ]


def _corrected(row: Record) -> Any:
    return number(row["bits_corrected"], 2) + interval(row["bits_low"], row["bits_high"], 2)


def _information(results: Results) -> list[Any]:
    records = results.records("information")
    if not records:
        return []
    measured, tested = [record for record in records if record["tested"]], results.tested(records)
    yes = [record for record in tested if significant(record, results.level) and record["above"]]
    if not tested:
        words = f" Not tested, because {results.reasons(records)}."
    elif yes:
        best = max(yes, key=lambda record: record["strongest"])
        words = (
            f" In {len(yes)} of {len(tested)} cases a feature tells more than the best of all does under shuffled labels; "
            f"at most {plain(best['strongest'], 2)} of {plain(best['gender_bits'], 2)} bits ({site_name(best['site'])}, "
            f"{short_name(best['language'])}, {best['condition']})."
        )
    else:
        words = f" In none of {len(tested)} cases does a feature tell more than the best of all does under shuffled labels."
    return [
        tag("p", "How many ", term("mi", "bits of gender"), " does a single feature tell?", words),
        table(
            "information",
            [
                site(),
                sae(),
                language(),
                text("condition", "condition"),
                value("units", "groups"),
                value("gender", "gender_bits", 2),
                value("live", "live"),
                value("most telling", "strongest"),
                value("shuffled, 95 %", "strongest_q95", within=("null",)),
                value("features above it", "above"),
                judged("p", "p"),
                judged("q"),
            ],
            measured,
            label="Bits of gender",
            caption=f"Bits on test; q: over all {len(measured)} cases",
        )
        if measured
        else "",
    ]


def _dictionaries(results: Results) -> list[Any]:
    records = results.records("dictionaries")
    if not records:
        return []
    # With few clouds no correction over dictionaries can be passed: how many there are by chance stands beside.
    tested = [record for record in records if record["p"] is not None]
    clustered = [record for record in tested if record["p"] <= results.level]
    untested = len(records) - len(tested)
    words = (
        f"The decoder rows of {len(clustered)} of {len(tested)} dictionaries come in clusters more stable than those of clouds "
        f"(p ≤ {level_words(results.level)}, each by itself: by chance {plain(results.level * len(tested), 2)} of them)."
        if clustered
        else "Whether decoder rows come in clusters was not tested, because too few are live."
        if not tested
        else "The decoder rows of no dictionary come in clusters more stable than those of clouds: what k-means finds is "
        "an arbitrary partition."
    )
    if tested and untested:
        words += f" {untested} more were not tested, because too few rows are live."
    effects = [
        {
            "site": doc("site"),
            "corpus": key.split("/")[0],
            "cluster": number,
            "features": cluster["features"],
            **effect,
        }
        for key, path in results.files.get("dictionary", {}).items()
        for doc in [Document(path, "dictionary")]
        for number, cluster in enumerate(doc("clusters", "of"), 1)
        for effect in cluster["effects"]
        if effect["d"] is not None
    ]
    shown = {(record["site"], record["corpus"]) for record in clustered}
    effects = [row for row in effects if (row["site"], row["corpus"]) in shown]
    return [
        tag("p", term("clusters", words)),
        table(
            "dictionaries",
            [
                site(),
                sae(),
                value("live rows", "clustered"),
                value("clusters", "clusters"),
                value("stability", "stability", 2),
                value("clouds", "clouds", 2),
                value("most", "clouds_most", 2),
                value("p", "p", 2),
                value(term("matrix", "W_enc W_dec") + ": norm", "norm", 1),
                value("effective rank", "effective_rank", 1),
                value("Σ Re λ / Σ |λ|", "positive", 2),
            ],
            records,
            label="Clusters of decoder rows and the matrices of SAEs",
        ),
        table(
            "cluster_effects",
            [
                site(),
                sae(),
                value("cluster", "cluster"),
                value("features", "features"),
                language(),
                text("condition", "condition"),
                value("live", "live"),
                value("mean d, select", "d_select", 2),
                value("mean d, test", "d", 2),
            ],
            effects,
            label="Mean effect of gender in each cluster",
            caption="Mean Cohen's d of a cluster's live features; features of a cluster fire together and share their noise, so "
            "that only what select and test agree in can be more than that",
        )
        if effects
        else "",
    ]


def _circuits(results: Results) -> list[Any]:
    path = results.files.get("circuits", {}).get("")
    if path is None:
        return []
    doc = Document(path, "circuits")
    if not doc("heads"):
        return [missing(f"Circuits of heads: not available for {doc('family')}.")]
    ov = [head["ov"] for head in doc("heads")]
    ranks = [each["effective_rank"] for each in ov if each["effective_rank"] is not None]
    signs = [each["positive"] for each in ov if each["positive"] is not None]
    copying = sum(sign > 0 for sign in signs)
    return [
        tag(
            "p",
            f"Each of the model's {len(ov)} heads moves what it reads through {doc('d_head')} directions at most; they use an "
            f"effective {plain(min(ranks), 1)} to {plain(max(ranks), 1)} of them. The eigenvalues of {copying} heads add up to "
            f"more than 0 (on the whole these write what they read), those of {len(signs) - copying} to less (they write its "
            "opposite).",
        )
        if ranks
        else missing("The heads' weights are all 0."),
    ]
