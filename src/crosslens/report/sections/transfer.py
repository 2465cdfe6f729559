"""Does the gender direction of one language tell gender in another?"""

from markupsafe import Markup

from crosslens.report.html import details, tag, term
from crosslens.report.leaks import leaks_finding, read_all_the_same, words_shown
from crosslens.report.numbers import bracketed, interval, level_words, number, plain
from crosslens.report.sections.base import (
    Finding,
    Record,
    Results,
    Section,
    both_names,
    by_languages,
    by_pair,
    languages_of,
)
from crosslens.report.table import Column, Row, bounded, counted, judged, site, table, text, value
from crosslens.report.terms import AUROC, CI, CONDITION, READ_ALL_THE_SAME
from crosslens.summary.beyond import words_beside
from crosslens.summary.claims import points_alike, transfers
from crosslens.summary.conditions import NOTHING, condition_name, masking
from crosslens.summary.names import in_groups, pair_name, short_name, site_name
from crosslens.summary.tested import decided

ORDER = 50
METHODS = {"difference_of_means": "difference of means", "logistic": "logistic regression"}
TERMS = {
    "condition": CONDITION,
    "ci": CI,
    "auroc": AUROC,
    "transfer": (
        "Transfer",
        "A direction learned in one language, scored in another: by the difference of the class means of raw activations, or "
        "by logistic regression with each language standardised by its own unlabelled train {units}. A constant offset "
        "between languages plays no part. Band and p (two-sided, of the AUROC): random directions in the place of the learned "
        "one, as the source varies within gender, and all as likely; the wider band and the larger p. Where few "
        "directions matter in the target any of them may tell its genders apart, and the band is wide. “Whole "
        "caption” includes the words that state the gender: what the text says, a lexical matter. "
        + READ_ALL_THE_SAME,
    ),
    "direction": (
        "Direction, length",
        "Mean of female minus mean of male train {units}. Length: over the root mean squared distance of train {units} from "
        "their mean. The cosine's null shuffles labels alike in both languages: what they share without any gender.",
    ),
}


def section(results: Results) -> Section | None:
    """Where two languages were compared: one language's own direction is what the probes show."""
    transfer, directions, bags = (results.records(name) for name in ("transfer", "directions", "words"))
    if all(record["source"] == record["target"] for record in transfer):
        return None
    body = [
        tag(
            "p",
            term("transfer", "Transfer"),
            ": the gender direction is learned in one language on train and scored in another on test, from the mean "
            f"activation of each {results.words['unit']}. “English → Arabic” is learned in English and tested in Arabic. ",
            dropped_words(directions),
        ),
        results.shown("transfer"),
    ]
    for i, condition in enumerate(dict.fromkeys(record["condition"] for record in transfer)):
        rows, angles = (
            [record for record in some if record["condition"] == condition] for some in (transfer, directions)
        )
        told = _words(bags, condition, rows)
        title = condition_name(condition, bags)
        body.append(_group(title, rows, angles, told, results, is_open=i == 0))
    findings = [finding(*of_pair, transfer, bags, results) for of_pair in by_languages(transfer, directions)]
    masked = list(dict.fromkeys(record["condition"] for record in transfer if not record["lexical"]))
    leaks = leaks_finding(bags, masked)
    if leaks and any(of_pair.kind == "found" for of_pair in findings):
        findings.append(leaks)
    return Section(
        "transfer",
        "Gender across languages",
        "Gender across languages, per layer",
        body,
        findings,
        terms=TERMS,
    )


def _words(words: list[Record], condition: str, rows: list[Record]) -> str:
    """What the bag of words of each target tells: a transfer that it could have made says nothing of the model."""
    targets = dict.fromkeys(row["target"] for row in rows)
    told = (
        f"{short_name(target)} {words_shown(words_beside(words, target, condition))}" for target in targets
    )
    return f"Bag of words in this condition, AUROC: {'; '.join(told)}."


def _group(
    title: str,
    records: list[Record],
    directions: list[Record],
    words: str,
    results: Results,
    *,
    is_open: bool,
) -> Markup:
    """One condition: a row of a site and method, pairs as columns: across languages first, then each with itself."""
    pairs = sorted(by_pair(records), key=lambda pair: pair[0] == pair[1])
    rows: dict[tuple[str, str], Row] = {}
    for record in records:
        row = {"site": record["site"], "method": METHODS[record["method"]]}
        rows.setdefault((record["site"], record["method"]), row)[record["source"], record["target"]] = record
    columns = [
        site(),
        text("method", "method"),
        *(column for pair in pairs for column in _pair(pair)),
    ]
    caption = (
        term("auroc", "AUROC"),
        " on test, ",
        term("ci", "95 % CI"),
        " in brackets, beside 95 % of random directions and their p; not corrected for the number of cases",
    )
    angles = (
        term("direction", "Directions"),
        ": the angle between the languages, and how long each is beside 95 % of those under shuffled labels; samples that "
        "had no word left",
    )
    return details(
        title,
        tag("p", words),
        table(
            "transfer",
            columns,
            list(rows.values()),
            label=f"Transfer, {title}",
            caption=tag("span", *caption),
        ),
        table(
            "directions",
            DIRECTIONS,
            directions,
            label=f"Directions, {title}",
            caption=tag("span", *angles),
        ),
        is_open=is_open,
    )


def _pair(pair: tuple[str, str]) -> list[Column]:
    return [
        bounded(pair_name(*pair), "auroc", within=[pair]),
        Column("random", lambda row: interval(row[pair]["null_low"], row[pair]["null_high"]), "n"),
        # of a language in itself there is no family, and p stands for itself
        judged("p", "p", within=[pair]),
        counted("n", "n", within=[pair]),
    ]


def _side(i: int) -> list[Column]:
    """Of the pair's language i."""
    return [
        Column("language", lambda row: short_name(row["languages"][i])),
        Column("n, train", lambda row: number(row["train"][i]) + _in_groups(row, i), "n"),
        value("length", i, within=["lengths"]),
        value("shuffled, 95th pct.", i, within=["lengths_null"]),
        value("dropped", i, within=["dropped"]),
    ]


def _in_groups(row: Row, i: int) -> str:
    return in_groups(row["train"][i], row["train_groups"][i])


DIRECTIONS = [
    site(),
    value("cosine", "cosine"),
    Column("labels shuffled", lambda row: interval(row["null_low"], row["null_high"]), "n"),
    judged("p", "p"),
    *_side(0),
    *_side(1),
]


def dropped_words(directions: list[Record]) -> str:
    """How many samples had nothing left to pool over, per condition, language and layer alike."""
    counts = {}
    for row in directions:
        for language, dropped in zip(row["languages"], row["dropped"], strict=True):
            if dropped:
                counts[row["condition"], language] = dropped
    if not counts:
        return "Every sample had a token to pool over."
    words = (
        f"{plain(dropped)} in {short_name(language)} ({condition})"
        for (condition, language), dropped in counts.items()
    )
    return f"Samples with no token left to pool over are left out: {', '.join(words)}."


def finding(
    across: list[Record],
    directions: list[Record],
    transfer: list[Record],
    bags: list[Record],
    results: Results,
) -> Finding:
    """Does gender transfer between two languages? The lexical condition has a line of its own; families of tests are those
    of the summary.

    across, directions: of the two; transfer: all, each language in itself among them. bags: the bag of words, which tells
    whether there was anything to mask.
    """
    units, level, pair = results.words["units"], results.level, both_names(across[0])
    masked = [record for record in across if not record["lexical"]]
    lexical = [record for record in across if record["lexical"]]
    languages = languages_of(across[0])
    masks = next(filter(None, (masking(record["condition"], bags, languages) for record in masked)), "")
    lines = [
        line
        for line in (
            _best(masked, transfer, bags, units),
            _lexical(lexical, results) if masks != NOTHING else "",
            _cosine(directions, results),
            _by_condition(masked, bags, results),
            _untested(masked, results),
            _family(results),
        )
        if line
    ]
    family = "the gender direction of one language"
    if not [record for record in across if record["auroc"] is not None]:
        return Finding(
            "warning",
            f"{pair}: transfer of {family} was not tested, because there are too few {units} of known gender with a word left to "
            "pool over.",
        )
    yes, tested = _beyond(masked, results)
    if not tested:
        because = f"there are too few {units} of known gender with a word left to pool over"
        because += "" if masks == NOTHING else " once label words are masked"
        because = results.reasons([row for row in masked if row["auroc"] is not None]) or because
        return Finding("warning", f"{pair}: transfer of {family} was not tested, because {because}.", lines)
    said = f"{pair}, {masks}: {family}" if masks else f"{pair}: {family}"
    if not yes:
        return Finding("null", f"{said} does not tell gender in the other beyond chance.", lines)
    title = (
        f"{said} tells gender in the other in {yes} of {tested} cases "
        f"(layers, methods, conditions and directions; q ≤ {level_words(level)})."
    )
    carried = [row for row in masked if transfers(row, level)]
    lines += [*read_all_the_same(carried, bags), *filter(None, [results.words["shared"]])]
    for of in dict.fromkeys((row["source"], row["target"]) for row in carried):
        lines += results.controlled("transfer", *of)
    return Finding("found", title, lines)


def _family(results: Results) -> str:
    corrected = results.corrected("transfer", "masked")
    return corrected and f"Transfer: {corrected}"


def _beyond(records: list[Record], results: Results) -> tuple[int, int]:
    """How many are above their band of random directions with a q below the level, and how many were tested."""
    tested = results.tested(records)
    return sum(transfers(record, results.level) for record in tested), len(tested)


def _by_condition(records: list[Record], words: list[Record], results: Results) -> str:
    """The cases of each condition, where there are several: before the caption is another matter than in it."""
    conditions = dict.fromkeys(record["condition"] for record in records)
    counts = []
    for condition in conditions:
        yes, tested = _beyond([r for r in records if r["condition"] == condition], results)
        counts.append(f"{condition_name(condition, words)}: {yes} of {tested}")
    return f"By condition: {'; '.join(counts)}." if len(counts) > 1 else ""


def _untested(records: list[Record], results: Results) -> str:
    """How many cases have an AUROC that says nothing, and why."""
    rows = [row for row in records if row["auroc"] is not None and results.untested(row)]
    return f"Not tested in {len(rows)} cases, because {results.reasons(rows)}." if rows else ""


def _best(records: list[Record], transfer: list[Record], words: list[Record], units: str) -> str:
    """Where each direction peaks, beside what the target's own direction reads there."""
    lines = []
    for (source, target), rows in by_pair(records).items():
        scored = [row for row in rows if row["auroc"] is not None]
        if not scored:
            lines.append(f"{pair_name(source, target)} could not be scored.")
            continue
        best = max(scored, key=lambda record: record["auroc"])
        own = next(
            row
            for row in transfer
            if (row["source"], row["target"]) == (target, target)
            and all(row[name] == best[name] for name in ("site", "condition", "method"))
        )
        condition = condition_name(best["condition"], words, (source, target))
        lines.append(
            f"{pair_name(source, target)} peaks at {site_name(best['site'])} ({condition}; "
            f"{METHODS[best['method']]}): AUROC {plain(best['auroc'])}{bracketed(best, 'auroc')}, "
            f"n = {plain(best['n'])} test {units}{in_groups(best['n'], best['groups'])}, 95 % of random directions "
            f"{plain(best['null_low'])} to {plain(best['null_high'])}, "
            f"{'q = ' + plain(best['q']) if decided(best) else 'not tested'}, the largest of {len(scored)}; "
            f"{short_name(target)}'s own direction reads {plain(own['auroc'])} there."
        )
    return " ".join(lines)


def _lexical(records: list[Record], results: Results) -> str:
    yes, tested = _beyond(records, results)
    if not tested:
        return ""
    lines = []
    for (source, target), rows in by_pair(records).items():
        scored = [row for row in rows if row["p"] is not None]
        if scored:
            best = max(scored, key=lambda record: record["auroc"])
            lines.append(
                f"{pair_name(source, target)} up to {plain(best['auroc'])} at {site_name(best['site'])}"
            )
    return (
        "With the label words included, which is a lexical matter, it does so in "
        f"{yes} of {tested} cases: {'; '.join(lines)}."
    )


def _cosine(directions: list[Record], results: Results) -> str:
    measured = results.tested(directions)
    if not measured:
        masked = [row for row in directions if not row["lexical"]]
        because = results.reasons(masked, f"train {results.words['units']}")
        return (
            f"Whether the directions point the same way was not tested, because {because}." if masked else ""
        )
    best = max(measured, key=lambda row: row["cosine"])
    yes = sum(points_alike(row, results.level) for row in measured)
    return (
        f"The directions point the same way beyond labels shuffled alike in both languages in {yes} of {len(measured)} "
        f"cases; the largest cosine is {plain(best['cosine'], 2)} at {site_name(best['site'])} ({best['condition']}; "
        f"n = {plain(best['train'][0])} train {results.words['units']}{_in_groups(best, 0)}, shuffled: "
        f"{plain(best['null_low'], 2)} to {plain(best['null_high'], 2)}, q = {plain(best['q'])}). "
        + results.corrected("directions", "masked")
    )
