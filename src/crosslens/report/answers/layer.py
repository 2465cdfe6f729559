"""From which layer on do the languages share it?"""

from crosslens.report.answers.base import Answer
from crosslens.report.answers.shared import METHOD, auroc_dot, of_masked
from crosslens.report.numbers import level_words
from crosslens.report.sections.base import Record, Results, both_names, by_languages
from crosslens.summary.claims import transfers
from crosslens.summary.conditions import condition_name
from crosslens.summary.names import pair_name, site_name

ORDER = 30
QUESTION = "From which layer on?"
READ = ("caption", "text", "prompt")
"""The condition that is told: the first of these that was measured."""


def answer(results: Results) -> Answer:
    """The first measured layer from which on gender transfers both ways, in it and in all deeper ones."""
    measured = [row for row in of_masked(results) if row["method"] == METHOD and row["auroc"] is not None]
    condition = next((name for name in READ if any(row["condition"] == name for row in measured)), None)
    of = [row for row in measured if row["condition"] == condition]
    pairs = [rows for (rows,) in by_languages(of)]
    depth = [site for site in results.sites if any(row["site"] == site for row in of)]
    if not pairs:
        return Answer(QUESTION, "warning", "Not asked: gender was not compared between two languages.")
    if len(depth) == 1:
        return Answer(
            QUESTION, "warning", f"Not asked: {site_name(depth[0])} alone was measured.", evidence="transfer"
        )
    told, kinds = [], []
    for rows in pairs:
        kind, words = _from(rows, depth, results)
        kinds.append(kind)
        told.append(f"{both_names(rows[0])}: {words}" if len(pairs) > 1 else words[0].upper() + words[1:])
    told_of = condition_name(condition or "", results.records("words"))
    lines = [
        f"Both ways, by difference of means, {told_of}, q ≤ {level_words(results.level)}; layers that were not measured lie "
        "between."
    ]
    dots = [
        auroc_dot(row, f"{site_name(row['site'])}: {pair_name(row['source'], row['target'])}")
        for row in _one_way(of, depth)
    ]
    kind = "found" if "found" in kinds else kinds[0]
    return Answer(
        QUESTION,
        kind,
        " ".join(told),
        lines,
        dots,
        "AUROC of the weaker way at each layer",
        "divergence",
    )


def _from(rows: list[Record], depth: list[str], results: Results) -> tuple[str, str]:
    at = {site: [row for row in rows if row["site"] == site] for site in depth}
    carried = {site: all(transfers(row, results.level) for row in of) for site, of in at.items()}
    if not results.tested(rows):
        return "warning", f"not tested, because {results.reasons(rows)}."
    silent = [site for site, of in at.items() if not carried[site] and len(results.tested(of)) < len(of)]
    if not any(carried.values()):
        return "null", f"{_nowhere(at, results)}{_not_known(silent)}."
    behind = len(depth)
    while behind and carried[depth[behind - 1]]:
        behind -= 1
    if behind == len(depth):
        some = ", ".join(site_name(site) for site in depth if carried[site])
        but = "it was not tested" if depth[-1] in silent else "not"
        return "found", f"at {some}, but {but} in the last measured layer, {site_name(depth[-1])}."
    first = site_name(depth[behind])
    if behind == 0:
        return "found", f"from {first} on, the first that was measured, in all {len(depth)} measured layers."
    lacking = [site for site in depth[:behind] if not carried[site] and site not in silent]
    before = f"; not at {' or '.join(map(site_name, lacking))} in both ways" if lacking else ""
    silent = [site for site in silent if site in depth[:behind]]
    return "found", f"from {first} on, in it and all deeper measured layers{before}{_not_known(silent)}."


def _nowhere(at: dict[str, list[Record]], results: Results) -> str:
    """At no layer both ways: where one way."""
    one = {
        site: [pair_name(row["source"], row["target"]) for row in of if transfers(row, results.level)]
        for site, of in at.items()
    }
    if not any(one.values()):
        return f"at none of the {len(at)} measured layers does the direction of either language tell gender in the other"
    told = "; ".join(f"{', '.join(pairs)} at {site_name(site)}" for site, pairs in one.items() if pairs)
    return f"at none of the {len(at)} measured layers in both ways; in one: {told}"


def _not_known(sites: list[str]) -> str:
    return f"; not tested in both ways at {' and '.join(map(site_name, sites))}" if sites else ""


def _one_way(of: list[Record], depth: list[str]) -> list[Record]:
    """By depth, at each layer the weaker of both ways of the first pair."""
    pair, *_ = by_languages(of)
    return [
        min((row for row in pair[0] if row["site"] == site), key=lambda row: row["auroc"]) for site in depth
    ]
