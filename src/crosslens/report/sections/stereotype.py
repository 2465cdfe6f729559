"""Which gender the model writes where a picture hides it."""

from typing import Any

from crosslens.report.html import missing, tag, term
from crosslens.report.numbers import level_words, plain
from crosslens.report.sections.base import Finding, Record, Results, Section
from crosslens.report.table import bounded, language, table, text, value
from crosslens.summary.names import language_name
from crosslens.summary.stereotype import stereotype_records

ORDER = 40
TERMS = {
    "share": (
        "Share of women",
        "For {units} whose gender is not visible: of the captions that the model wrote and whose words name a gender, "
        "the share that says woman, first per {unit}, then the mean over the {units}; whole words only.",
    ),
    "planted": (
        "Planted",
        "The share that was built into the model's training captions; r and MAE compare measured with planted over the "
        "categories. Only the embedded study has it.",
    ),
}
Stereotype = dict[str, list[Record]]


def section(results: Results) -> Section | None:
    """Of every study with gender, even where nothing was measured."""
    path = results.files.get("stereotype", {}).get("")
    heading = f"Gender written for {results.words['units']} that hide it"
    if path is not None:
        records = stereotype_records(path)
        body, findings = _body(records, results), [finding(records, results.level)]
    elif results.has_gender:
        body, findings = [missing("Not measured: this study generates no captions.")], []
    else:
        return None
    return Section("stereotype", "Stereotypes", heading, body, findings, terms=TERMS)


def _body(records: Stereotype, results: Results) -> list[Any]:
    if not records["shares"]:
        return [tag("p", in_words(records))]
    units = results.words["units"]
    fits = [language("row"), bounded("r", "r"), value("MAE", "mae"), value("categories", "categories")]
    shares = [
        text("category", "category", "row"),
        language(),
        value("planted", "planted"),
        value("measured", "share", bounds=("low", "high")),
        value(units, "images_gendered"),
        value("gendered captions", "captions_gendered"),
        value("q against .5", "q"),
    ]
    return [
        tag("p", in_words(records)),
        table(
            "fits",
            fits,
            records["fits"],
            label="Planted against measured, per language",
            caption=tag("span", term("planted", "Planted"), " against measured"),
        ),
        results.shown("stereotype"),
        table(
            "shares",
            shares,
            records["shares"],
            label="Share of women per category",
            caption=tag("span", term("share", "Share of women"), f" per category, with CI over {units}"),
        ),
    ]


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
    return "The model captioned test pictures in which no gender is visible. " + "; ".join(counts) + "."


def finding(records: Stereotype, level: float) -> Finding:
    """In how many categories the captions depart from .5."""
    if not records["shares"]:
        return Finding("null", "No test picture hides its gender: stereotypes were not measured.")
    off = [row for row in records["shares"] if row["q"] is not None and row["q"] < level]
    lines = []
    for fit in records["fits"]:
        rows, departing = (
            [row for row in some if row["language"] == fit["language"]] for some in (records["shares"], off)
        )
        line = (
            f"{language_name(fit['language'])}: {len(departing)} of {len(rows)} categories differ from .5 "
            f"(q < {level_words(level)})"
        )
        if fit["r"] is not None:
            line += (
                f"; planted against measured r = {plain(fit['r'])}, mean absolute error {plain(fit['mae'])}"
            )
        lines.append(line + ".")
    if off:
        return Finding("found", "The model writes stereotypes where the picture shows no gender.", lines)
    return Finding("null", "No category's captions depart from .5 beyond chance.", lines)
