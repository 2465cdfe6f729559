"""Which gender the model writes where a picture hides it."""

from collections.abc import Callable, Iterator
from typing import Any

from crosslens.report.html import missing, tag, term
from crosslens.report.numbers import level_words, number, plain
from crosslens.report.sections.base import Finding, Record, Results, Section
from crosslens.report.table import Column, bounded, counted, language, table, text, value
from crosslens.summary.names import in_groups, language_name, pair_name, short_name
from crosslens.summary.stereotype import CLAIMED, stereotype_records
from crosslens.summary.tested import decided

ORDER = 40
TERMS = {
    "share": (
        "Share of women",
        "For {units} whose gender is not visible: of the captions that the model wrote and whose words name a gender, "
        "the share that says woman, first per {unit}, then the mean over the {units}; whole words only. A {unit} counts once, "
        "however many captions were drawn of it, and so do several {units} of one group: intervals are Korn and "
        "Graubard's, 95 % where the {units} differ by degrees (where one in ten is unlike all others, so few may hold none of "
        "these, and .85 of such intervals hold the share), p "
        "is by flips of the signs of the {units}' distances from .5. q against .5 of single categories is corrected over "
        "those of their language, q of all together over the languages and all claims of the study.",
    ),
    "difference": (
        "Difference from the others",
        "The share of a category less that of all other {units}. A model that writes “man” of everybody has a share far "
        "from .5 and no differences; a stereotype is a difference between categories. p: {units} change places between "
        "categories.",
    ),
    "untested": (
        "Not tested",
        "With so few {units} no p can be as small as the level, however plainly all of them agree: that nothing was found "
        "then says nothing.",
    ),
    "planted": (
        "Planted",
        "The share that was built into the model's training captions; r and MAE compare measured with planted over the "
        "categories. Only the embedded study has it.",
    ),
}
UNTOLD = (
    "The table says no gender: here a {unit} hides it where the words of its captions name none, or both as often, though the "
    "{unit} itself may show one."
)
"""Where captions decide, what no caption tells need not be hidden."""
Stereotype = dict[str, list[Record]]


def section(results: Results) -> Section | None:
    """Of every study with gender, even where nothing was measured."""
    path = results.files.get("stereotype", {}).get("")
    heading = f"Gender written for {results.words['units']} that hide it"
    if path is not None:
        records = stereotype_records(path) | {name: results.records(name) for name in CLAIMED}
        body, findings = _body(records, results), list(findings_of(records, results))
    elif results.has_gender:
        body, findings = [missing("Not measured: this study generates no captions.")], []
    else:
        return None
    return Section("stereotype", "Stereotypes", heading, body, findings, terms=TERMS)


def _body(records: Stereotype, results: Results) -> list[Any]:
    told = tag("p", " ".join([in_words(records), *_untold(results)]))
    if not records["shares"]:
        return [told]
    units = results.words["units"]
    fits = [language("row"), bounded("r", "r"), value("MAE", "mae"), value("categories", "categories")]
    shares = [
        text("category", "category", "row"),
        language(),
        value("planted", "planted"),
        value("measured", "share", bounds=("low", "high")),
        counted(units, "images_gendered", "units"),
        value("gendered captions", "captions_gendered"),
        Column("q against .5", _tested("q"), "n"),
        value(
            term("difference", "less the others"), "difference", bounds=("difference_low", "difference_high")
        ),
        Column("q", _tested("difference_q"), "n"),
    ]
    overall = [
        {**tilt, "differences": apart}
        for tilt, apart in zip(records["tilt"], records["differences"], strict=True)
    ]
    whole = [
        language("row"),
        value("share of women", "share", bounds=("low", "high")),
        counted(units, "images_gendered", "units"),
        value("gendered captions", "captions_gendered"),
        Column("q against .5", _decided, "n"),
        Column("q of differences between categories", lambda row: _decided(row["differences"]), "n"),
    ]
    return [
        told,
        table("tilt", whole, overall, label="All categories together", caption="All categories together"),
        table(
            "fits",
            fits,
            records["fits"],
            label="Planted against measured, per language",
            caption=tag("span", term("planted", "Planted"), " against measured"),
        )
        if any(fit["categories"] for fit in records["fits"])
        else "",
        results.shown("stereotype"),
        table(
            "shares",
            shares,
            records["shares"],
            label="Share of women per category",
            caption=tag("span", term("share", "Share of women"), f" per category, with CI over {units}"),
        ),
    ]


def _untold(results: Results) -> list[str]:
    """What hiding the gender means where no column of the table says it."""
    return [UNTOLD.format(**results.words)] if results.dataset("gender_source") == "caption" else []


def in_words(records: Stereotype) -> str:
    """A sentence on what was counted."""
    counts = []
    for code in dict.fromkeys(row["language"] for row in records["shares"]):
        rows = [row for row in records["shares"] if row["language"] == code]
        captions, images = (
            sum(row[name] for row in rows) for name in ("captions_gendered", "images_gendered")
        )
        counts.append(
            f"{language_name(code)}: {plain(captions)} gendered captions of {plain(images)} pictures"
        )
    if not counts:
        return "Not measured: every test picture has a gender, and stereotypes are what is written where it is unknown."
    return "The model captioned test pictures whose gender is unknown. " + "; ".join(counts) + "."


def _tested(field: str) -> Callable[[Record], Any]:
    """Shows a q, or that there was nothing to test."""

    def show(row: Record) -> Any:
        return term("untested", "not tested") if row[field] is None else number(row[field])

    return show


def _decided(row: Record) -> Any:
    """The same of what the page may claim, by the rule of its findings."""
    return number(row["q"]) if decided(row) else term("untested", "not tested")


def findings_of(records: Stereotype, results: Results) -> Iterator[Finding]:
    """Two results: one default for all pictures, and what hangs on the category."""
    if not records["shares"]:
        yield Finding("warning", "No test picture hides its gender: stereotypes were not measured.")
        return
    yield _tilt(records, results)
    yield _differences(records, results)


def _tilt(records: Stereotype, results: Results) -> Finding:
    """Is one gender written more often, whatever the category?"""
    words, level = results.words, results.level
    lines, leaning = [], {}
    for row in records["tilt"]:
        name = short_name(row["language"])
        if row["share"] is None:
            lines.append(f"{name}: no gendered caption.")
            continue
        told = f"q = {plain(row['q'])}" if row["q"] is not None else _too_few(row, level)
        if row["q"] is not None and (because := results.untested(row)):
            told += f": not tested, because {because}"
        lines.append(
            f"{name}: woman in {plain(row['share'])} [{plain(row['low'])}, {plain(row['high'])}] of the gendered captions, "
            f"n = {plain(row['images_gendered'])} {words['units']}"
            f"{in_groups(row['images_gendered'], row['units'])}; {told}."
            if row["low"] is not None
            else f"{name}: woman in {plain(row['share'])} of the gendered captions of one {words['unit']}; {told}."
        )
        if row["q"] is not None and row["q"] <= level:
            leaning.setdefault("woman" if row["share"] > 0.5 else "man", []).append(name)
    lines += [results.corrected("tilt", "tilt"), *_untold(results)]
    if leaning:
        found = "; ".join(
            f"{gender} more often in {' and '.join(names)}" for gender, names in leaning.items()
        )
        title = f"Over all {words['units']} that hide the gender, the model writes {found} (q ≤ {level_words(level)})."
        return Finding("found", title, lines)
    if not results.tested(records["tilt"]):
        because = results.reasons(records["tilt"])
        title = f"Whether the model writes one gender more often was not tested, because {because}."
        return Finding("warning", title, lines)
    return Finding(
        "null",
        f"Over all {words['units']} that hide the gender, the model writes neither one more often beyond chance.",
        lines,
    )


def _differences(records: Stereotype, results: Results) -> Finding:
    """Does the gender that is written hang on the category? Where it does, which categories stand apart."""
    words, level = results.words, results.level
    lines, differing = [], []
    for row in records["differences"]:
        name = short_name(row["language"])
        shares = [each for each in records["shares"] if each["language"] == row["language"]]
        if not any(each["captions_gendered"] for each in shares):
            lines.append(f"{name}: no gendered caption.")
            continue
        tested = [each for each in shares if each["difference_q"] is not None]
        off = [each for each in tested if each["difference_q"] <= level]
        if row["q"] is None:
            lines.append(f"{name}: not tested, because there are too few {words['units']} of a category.")
        else:
            apart = f"; {_named(off, tested, level)}" if row["q"] <= level else ""
            differing += [name] if apart else []
            because = results.untested(row)
            apart = f": not tested, because {because}" if because else apart
            lines.append(f"{name}: all categories together q = {plain(row['q'])}{apart}.")
        if len(tested) < len(shares):
            some = ", ".join(each["category"] for each in shares if each["difference_q"] is None)
            lines.append(f"Not tested, because of too few {words['units']}: {some}.")
    lines += [results.corrected("differences", "differences"), *_untold(results)]
    for fit in records["fits"]:
        if fit["r"] is not None:
            lines.append(
                f"{short_name(fit['language'])}: planted against measured r = {plain(fit['r'])}, mean absolute error "
                f"{plain(fit['mae'])}."
            )
    for pair in records["agreement"]:
        if pair["pearson"]["r"] is not None:
            lines.append(
                f"{pair_name(*pair['languages']).replace(' → ', ' and ')}: shares of {plain(pair['categories'])} categories "
                f"correlate with r = {plain(pair['pearson']['r'])}, p = {plain(pair['pearson']['p'])} (not corrected)."
            )
    if differing:
        where = " and ".join(differing)
        title = f"Where the {words['unit']} hides the gender, what the model writes hangs on the category: a stereotype in "
        title += where
        return Finding("found", f"{title} (q ≤ {level_words(level)}).", lines)
    if not results.tested(records["differences"]):
        because = results.reasons(records["differences"])
        title = f"Whether the gender written hangs on the category was not tested, because {because}."
        return Finding("warning", title, lines)
    return Finding(
        "null",
        f"Where the {words['unit']} hides the gender, the one that the model writes does not hang on the category beyond chance.",
        lines,
    )


def _named(off: list[Record], tested: list[Record], level: float) -> str:
    """Which categories stand apart, the farthest first."""
    if not off:
        return f"none of {len(tested)} categories stands apart by itself"
    off = sorted(off, key=lambda row: -abs(row["difference"]))
    some = ", ".join(f"{row['category']} {plain(row['share'], 2)}" for row in off)
    return f"{len(off)} of {len(tested)} categories stand apart (q ≤ {level_words(level)}; share of women): {some}"


def _too_few(row: Record, level: float) -> str:
    return (
        f"not tested, because p cannot be below {plain(row['least_p'])} with {plain(row['units'])} of them, and "
        f"the level is {level_words(level)}"
    )
