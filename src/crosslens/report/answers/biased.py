"""Is the model biased, and by how much?"""

from collections.abc import Iterator

from crosslens.report.answers.base import Answer, Dot
from crosslens.report.numbers import level_words, percent_words, plain, score_words
from crosslens.report.sections.base import Record, Results
from crosslens.summary.claims import significant
from crosslens.summary.names import short_name
from crosslens.summary.stereotype import stereotype_records

ORDER = 10
QUESTION = "Is the model biased, and by how much?"
NOT_ASKED = "Not asked: this study has no captions that the model wrote, and no sentences in two genders."
SHOWN = 3
"""Categories of either end that the figure has."""


def answer(results: Results) -> Answer:
    """By what it writes where nothing tells the gender; else by how it goes on behind a woman and behind a man."""
    path = results.files.get("stereotype", {}).get("")
    if path is not None:
        return _written(stereotype_records(path)["shares"], results)
    agreement = results.records("agreement")
    if agreement:
        return _goes_on(agreement, results)
    return Answer(QUESTION, "warning", NOT_ASKED)


def _written(shares: list[Record], results: Results) -> Answer:
    unit, level = results.words["unit"], results.level
    differences = {row["language"]: row for row in results.records("differences")}
    told, lines, dots, tested = [], [], [], results.tested(list(differences.values()))
    leaning = [row for row in results.tested(results.records("tilt")) if significant(row, level)]
    for code in dict.fromkeys(row["language"] for row in shares):
        known = [row for row in shares if row["language"] == code and row["share"] is not None]
        known.sort(key=lambda row: -row["share"])
        dots += [
            Dot(f"{short_name(code)}: {row['category']}", row["share"], row["low"], row["high"], None, code)
            for row in (known if len(known) <= 2 * SHOWN else [*known[:SHOWN], *known[-SHOWN:]])
        ]
        if code in differences and significant(differences[code], level):
            told.append(f"{short_name(code)}: {_share(known[0])} against {_share(known[-1])}")
            lines.append(
                f"{short_name(code)}: the farthest apart of {len(known)} categories, q = {plain(differences[code]['q'])}."
            )
    lines += _tilt(results)
    axis = f"Share of women among captions of {results.words['units']} that hide the gender"
    what = f"the share of captions that say woman where the {unit} hides the gender"
    because = results.reasons(list(differences.values())) or f"no {unit} hides the gender"
    if told:
        kind, verdict = "found", f"Yes. {'; '.join(told)}: {what}.{_rest(differences, results)}"
    elif leaning:
        by = "not beyond chance" if tested else f"not tested, because {because}"
        shares = "; ".join(f"{short_name(row['language'])}: {_women(row)}" for row in leaning)
        kind, verdict = "found", f"Yes, whatever the category. {shares}: {what}. By category: {by}."
    elif tested:
        kind, verdict = (
            "null",
            f"Not by category, as far as these {results.words['units']} tell (q > {level_words(level)})."
            + _rest({row["language"]: row for row in differences.values() if row not in tested}, results),
        )
    else:
        kind, verdict = "warning", f"Not tested, because {because}."
    return Answer(QUESTION, kind, verdict, lines, dots, axis, "stereotype")


def _rest(differences: dict[str, Record], results: Results) -> str:
    """What is known of the languages in which nothing hangs on the category: that is no word of those in which it does."""
    told = {False: [], True: []}
    for code, row in differences.items():
        if not significant(row, results.level):
            told[results.untested(row) is None].append(short_name(code))
    words = {True: "not by category beyond chance", False: "not tested by category"}
    return "".join(f" {' and '.join(names)}: {words[known]}." for known, names in told.items() if names)


def _share(row: Record) -> str:
    return f"{row['category']} {_women(row)}"


def _women(row: Record) -> str:
    return score_words({"value": row["share"], "low": row["low"], "high": row["high"]})


def _tilt(results: Results) -> Iterator[str]:
    """One gender more than the other, whatever the category."""
    for row in results.tested(results.records("tilt")):
        beyond = "beyond chance" if significant(row, results.level) else "not beyond chance"
        yield (
            f"{short_name(row['language'])}, all together: {_women(row)}, {beyond} "
            f"(q = {plain(row['q'])}, n = {plain(row['units'])})."
        )


def _goes_on(agreement: list[Record], results: Results) -> Answer:
    """Described, not tested: how often the form that agrees is the likelier, by the gender that asks for it."""
    told, dots = [], []
    for row in agreement:
        own = {name: row["own"][name] for name in ("female", "male")}
        if any(of["value"] is None for of in own.values()):
            continue
        code = row["language"]
        female, male = (percent_words(own[name], 0) for name in ("female", "male"))
        told.append(f"{short_name(code)}: in {female} behind a woman and {male} behind a man")
        for name, of in (("a woman", own["female"]), ("a man", own["male"])):
            dots.append(
                Dot(f"{short_name(code)}: behind {name}", of["value"], of["low"], of["high"], None, code)
            )
    if not told:
        because = results.reasons(agreement, "test sentences") or "there are too few sentences"
        return Answer(QUESTION, "warning", f"Not tested, because {because}.", evidence="agreement")
    return Answer(
        QUESTION,
        "description",
        f"The form that agrees with what was read is the likelier of the two, {'; '.join(told)}.",
        [
            "Described, not tested: where the two intervals of a language lie apart the model goes on with one gender's forms "
            "more readily than with the other's. How common the forms are plays a part."
        ],
        dots,
        "Share of words whose agreeing form is the likelier",
        "agreement",
    )
