"""Do the SAEs of two languages find the same features?"""

from collections.abc import Callable

from crosslens.report.html import tag, term
from crosslens.report.leaks import read_all_the_same
from crosslens.report.numbers import interval, level_words, percent, plain
from crosslens.report.sections.base import Finding, Record, Results, Section, both_names, by_languages
from crosslens.report.table import Column, counted, judged, site, table, text, value
from crosslens.summary.claims import agrees_matched, found
from crosslens.summary.names import in_groups, short_name, site_name

ORDER = 66
ROLES = {
    "languages": "the two languages",
    "seeds": "two seeds of {language} (ceiling)",
    "turned": "second SAE turned at random (floor)",
    "frozen": "both decoders frozen (floor)",
}
TERMS = {
    "matched": (
        "Matched, the same feature",
        "Features of two SAEs that are live are paired one to one so that the sum of the cosines of their decoder rows is "
        "largest. A pair is the same feature where the same is done with the encoders and gives the same partner, and "
        "both cosines are at least .7. Features whose number is the same in two SAEs have nothing to do with each other.",
    ),
    "mmcs": (
        "MMCS, MCC",
        "Mean over features of the largest cosine with any of the other SAE, in both directions; mean cosine of the "
        "matched. Of decoder rows. Random directions have some too, the more the fewer dimensions: the floor is beside it.",
    ),
    "transport": (
        "Soft matching",
        "Optimal transport between the decoder rows, in which a feature may have several partners: mass spread evenly over the "
        "features of one SAE goes to those of the other so that Σ P (1 − cosine) − ε H(P) is least, ε = .05 (Sinkhorn). Cost: "
        "Σ P (1 − cosine), 0 for the same directions. Partners: how many a feature has in effect, the exponential of the mean "
        "entropy. On the matched: the share of the mass on the pairs of the one-to-one matching. Live features take part, of "
        "two seeds those that are matched.",
    ),
    "ceiling": (
        "Ceiling, floor",
        "Ceiling: two SAEs of one language that differ in their seed alone, the most that two languages can be asked for. "
        "Floor: the second SAE turned by a random rotation, and two SAEs whose decoders were never trained, which explain "
        "activations without having found any feature.",
    ),
    "clbas": (
        "CLBAS",
        "Cross-lingual bias agreement: Spearman correlation over matched features, live in both, of Cohen's d of gender in "
        "the one language and in the other, in [−1, 1]. Two nulls: partners shuffled, and labels shuffled alike in both "
        "languages, which keeps what matched features share without any gender; p: the larger of both. Of pairs that are "
        "hardly the same features it says that directions near each other have effects of one sign.",
    ),
}


def section(results: Results) -> Section | None:
    """Where two languages have SAEs of their own."""
    matching, matched, clbas = (results.records(name) for name in ("matching", "matched", "clbas"))
    if not matching:
        return None
    body = [
        tag(
            "p",
            "An SAE trained on one language and one trained on the other, feature by feature: ",
            term("matched", "matched"),
            " one to one, beside their ",
            term("ceiling", "ceiling and floor"),
            ". ",
            no_ceiling(matching),
        ),
        results.shown(*(f"{name}/matching" for name in dict.fromkeys(row["site"] for row in matching))),
        table(
            "matching",
            COLUMNS,
            matching,
            label="Matched features per layer",
            chosen=lambda row: row["role"] == "languages",
        ),
        table(
            "matched",
            MATCHED,
            matched,
            label=f"Matched features on captions of the same {results.words['units']}",
        ),
    ]
    if clbas:
        body.append(table("clbas", CLBAS, clbas, label="CLBAS per layer and condition"))
    findings = [finding(*of_pair, results) for of_pair in by_languages(matching, matched)]
    claimed = [row for row in clbas if row["family"] == "matched"]
    findings += [clbas_finding(of_pair, results) for (of_pair,) in by_languages(claimed)]
    heading = "Do the SAEs of two languages find the same features?"
    return Section("matching", "Matched features", heading, body, findings, terms=TERMS)


def no_ceiling(matching: list[Record]) -> str:
    """What to say where there is one seed."""
    if any(row["role"] == "seeds" for row in matching):
        return ""
    return "There is no ceiling: each language has an SAE of one seed alone (two in `sae.seeds` give one)."


def _compared(row: Record) -> str:
    return ROLES[row["role"]].format(language=short_name(row["names"][0].split("/")[0]))


def _both(name: str) -> Column:
    """MMCS forth and back."""

    def shown(row: Record) -> str:
        return " / ".join(map(plain, row["mmcs_decoder"] or ()))

    return Column(name, shown, "n")


def _share(name: str) -> Callable[[Record], str]:
    """A share in percent; nothing where there is none."""
    return lambda row: "" if row[name] is None else percent(row[name])


def _counted(row: Record) -> str:
    """The share of the same features; why there is none."""
    return percent(row["share"]) if row["tested"] else f"not tested, because {row['because']}"


COLUMNS = [
    site(),
    Column("languages", both_names),
    Column("compared", _compared),
    value("matched", "matched"),
    value("same feature", "shared"),
    Column("share", _counted, "n"),
    value("same partner", "same_partner"),
    _both(term("mmcs", "MMCS")),
    value("MCC", "mcc_decoder"),
    value("MCC, encoder", "mcc_encoder"),
    value(term("transport", "transport cost"), "transport_cost"),
    value("partners", "transport_partners", 1),
    Column("on the matched", _share("transport_on_matched"), "n"),
    Column("from floor to ceiling", _share("between"), "n"),
]
MATCHED = [
    site(),
    Column("languages", both_names),
    value("units", "groups"),
    value("matched", "matched"),
    value("fire alike", "found"),
    value("by chance", "chance"),
    judged("q"),
    value("of the same features", "shared_found"),
    value("r, median of matched", "r_matched"),
    value("r, median of the same", "r_shared"),
]
NULLS = {"pairing": "partners shuffled", "labels": "labels shuffled"}
CLBAS = [
    site(),
    Column("languages", both_names),
    text("condition", "condition"),
    Column("features", lambda row: "all matched" if row["family"] == "matched" else "the same"),
    value("n", "features"),
    counted("units"),
    value(term("clbas", "CLBAS"), "value"),
    *(
        Column(
            words, lambda row, name=name: interval(row["null"][name]["q025"], row["null"][name]["q975"]), "n"
        )
        for name, words in NULLS.items()
    ),
    judged("p", "p"),
    judged("q"),
]


def finding(matching: list[Record], matched: list[Record], results: Results) -> Finding:
    """How many features two languages' SAEs share, between floor and ceiling; no test stands behind the counts."""
    level, units = results.level, results.words["units"]
    own, untested = (
        [row for row in matching if row["role"] == "languages" and row["tested"] is known]
        for known in (True, False)
    )
    silent = [f"{site_name(row['site'])}: not tested, because {row['because']}." for row in untested]
    seeds = [row for row in matching if row["role"] == "seeds" and not row["tested"]]
    silent += [
        f"{site_name(row['site'])}, {_compared(row)}: not tested, because {row['because']}." for row in seeds
    ]
    if not own:
        return Finding("warning", f"The SAEs of {both_names(untested[0])} were not matched.", silent)
    matching = [row for row in matching if row["tested"]]
    lines = [
        "; ".join(_between(row, matching) for row in own) + ".",
        "Softly matched: " + "; ".join(_softly(row, matching) for row in own) + ".",
        *silent,
    ]
    tests = results.tested(matched)
    if not tests:
        because = results.reasons(matched)
        lines.append(f"Whether matched features fire alike was not tested, because {because}.")
    else:
        yes = sum(found(row, level) for row in tests)
        lines.append(
            f"On captions of the same {units} more matched features fire alike than by chance in {yes} of {len(tests)} layers "
            f"(q ≤ {level_words(level)}): "
            + "; ".join(
                f"{site_name(row['site'])} {plain(row['found'])} of {plain(row['matched'])} (by chance {plain(row['chance'], 1)})"
                for row in tests
            )
            + ". "
            + results.corrected("matched", "activations")
        )
        if yes and (same := results.words["shared"]):
            lines.append(same)
    return _told(both_names(own[0]), own, matching, lines, seeds=bool(seeds))


def _told(pair: str, own: list[Record], matching: list[Record], lines: list[str], *, seeds: bool) -> Finding:
    """Few in common is a null only where two seeds of one language have more; how many it is, a description.

    seeds: whether there are two seeds that could not be matched.
    """
    most = max(row["share"] for row in own)
    floor = max((row["share"] for row in matching if row["role"] in ("turned", "frozen")), default=0.0)
    ceilings = [row["share"] for row in matching if row["role"] == "seeds"]
    if most > floor:
        limit = (
            f", where two seeds of one language give up to {plain(100 * max(ceilings), 1)} %"
            if ceilings
            else ""
        )
        title = (
            f"Of the features of the {pair} SAEs up to {plain(100 * most, 1)} % are the same feature{limit}."
        )
        return Finding("description", title, lines)
    title = f"The SAEs of {pair} have no more features in common than chance gives"
    if ceilings and max(ceilings) > floor:
        return Finding(
            "null", f"{title}; two seeds of one language have up to {plain(100 * max(ceilings), 1)} %.", lines
        )
    if ceilings:
        because = "two seeds of one language have no more either: these SAEs are too much a matter of their seed to compare"
    else:
        without = "as two seeds of one language could not be matched" if seeds else "with one seed each"
        because = f"{without}, nothing says how many even one language would find twice"
    return Finding("warning", f"{title}, which says nothing of the languages: {because}.", lines)


def _between(row: Record, matching: list[Record]) -> str:
    """One layer: the same features, beside those of ceiling and floors there, and the mean cosines."""
    here = [other for other in matching if other["site"] == row["site"] and other["role"] != "languages"]
    beside = ", ".join(
        f"{_compared(other)} {plain(100 * other['share'], 1)} % (MCC {plain(other['mcc_decoder'], 2)})"
        for other in here
    )
    way = (
        f"; {plain(100 * row['between'], 0)} % of the way in MCC from floor to ceiling"
        if row["between"] is not None
        else ""
    )
    return (
        f"{site_name(row['site'])}: {plain(row['shared'])} of {plain(row['matched'])} "
        f"({plain(100 * row['share'], 1)} %, MCC {plain(row['mcc_decoder'], 2)}); {beside}{way}"
    )


def _softly(row: Record, matching: list[Record]) -> str:
    """One layer: partners and cost of the soft matching, beside those of ceiling and floors there."""
    here = [other for other in matching if other["site"] == row["site"] and other["role"] != "languages"]
    beside = [f"{_compared(other)} {_soft(other)}" for other in here]
    return f"{site_name(row['site'])}: " + "; ".join([_soft(row), *beside])


def _soft(row: Record) -> str:
    partners = plain(row["transport_partners"], 1)
    return f"a feature has {partners} partners in effect (cost {plain(row['transport_cost'], 2)})"


def clbas_finding(rows: list[Record], results: Results) -> Finding:
    """Do matched features of two languages have effects of the same sign and order in both?"""
    effects, level = f"Gender effects of matched features of {both_names(rows[0])}", results.level
    because, rows = results.reasons(rows), results.tested(rows)
    if not rows:
        return Finding("warning", f"{effects}: not tested, because {because}.")
    corrected = results.corrected("clbas", "matched")
    yes = [row for row in rows if agrees_matched(row, level)]
    best = max(rows, key=lambda row: row["value"])
    nulls = ", ".join(
        f"{words} {plain(best['null'][name]['q025'], 2)} to {plain(best['null'][name]['q975'], 2)}"
        for name, words in NULLS.items()
    )
    line = (
        f"CLBAS is largest at {site_name(best['site'])} ({best['condition']}): {plain(best['value'], 2)}, n = "
        f"{plain(best['features'])} matched features on {plain(best['images'])} {results.words['units']}"
        f"{in_groups(best['images'], best['groups'])}, {nulls}, q = {plain(best['q'])}."
    )
    cases = f"{len(yes)} of {len(rows)} cases (layers and conditions; q ≤ {level_words(level)})"
    if yes:
        return Finding(
            "found",
            f"{effects} agree beyond both nulls in {cases}.",
            [line, corrected, *read_all_the_same(yes, results.records("words"))],
        )
    return Finding(
        "null",
        f"{effects} do not agree beyond both nulls: in {cases}.",
        [line, corrected],
    )
