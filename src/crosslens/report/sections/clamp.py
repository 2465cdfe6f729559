"""What does the model write while a feature is held at a constant?"""

from typing import Any

from crosslens.report.html import tag, term
from crosslens.report.links import feature_column
from crosslens.report.numbers import plain
from crosslens.report.sections.base import Finding, Results, Section
from crosslens.report.table import Column, sae, site, table, text, value
from crosslens.summary.names import direction, site_name
from crosslens.summary.reading import Document

ORDER = 68
TERMS = {
    "clamped": (
        "Clamped feature",
        "Held at a constant at every text token of the site and at every token that is written: x + decode(z′) − decode(z), so "
        "that what the SAE does not explain stays. The change is that difference, not the distance from x, most of which may be "
        "the SAE's error.",
    )
}
WHICH = {"study": "of the study", "unrelated": "unrelated"}


def section(results: Results) -> Section | None:
    """Where a feature was clamped."""
    rows, texts = [], []
    for corpus, path in results.by_place("clamp"):
        doc = Document(path, "clamp")
        base = {"corpus": corpus, "site": doc("site"), "language": doc("language")}
        for feature in doc("features"):
            here = base | {"feature": feature["feature"], "level": feature["level"]}
            for which, words in WHICH.items():
                told = feature[which]
                rows.append(here | {"prompts": words, "channels": _channels(told["channels"])} | told)
                texts += [here | {"prompts": words} | one for one in told["texts"]]
    if not rows:
        return None
    body = [
        tag(
            "p",
            "Greedy answers with a ",
            term("clamped", "clamped feature"),
            " and without: to the study's prompts, and to some that have nothing to do with the feature. A description: of how "
            "many other features would change as much nothing is said.",
        ),
        table("clamped", _columns(results), rows, label="What a clamped feature changes"),
        table("clamped_texts", _texts(results), texts, label="Texts before and after"),
    ]
    idle = [row for row in rows if row["kl"] == 0 and row["changed"] == 0]
    findings = [
        Finding(
            "warning",
            f"{site_name(row['site'])}, feature {row['feature']}: held at {plain(row['level'])} it changes nothing that the "
            f"model says, prompts {row['prompts']}.",
        )
        for row in idle
    ]
    return Section(
        "clamp",
        "Clamped feature",
        "What does the model write while a feature is held at a constant?",
        body,
        findings,
        terms=TERMS,
    )


def _channels(channels: list[dict[str, Any]]) -> str:
    return ", ".join(f"{one['channel']} ({plain(one['mean_abs'])})" for one in channels)


def _written(title: str, field: str) -> Column:
    return Column(title, lambda row: tag("span", row[field], dir=direction(row["language"])), "words")


def _columns(results: Results) -> list[Column]:
    return [
        site(),
        sae(),
        feature_column(results),
        value("held at", "level"),
        text("prompts", "prompts"),
        value("texts changed", "changed", 2),
        value("KL, nats a token", "kl"),
        value("mean |Δ|", "mean_abs"),
        value("max |Δ|", "max_abs"),
        value("mean |error| of the SAE", "mean_abs_error"),
        text("channels (mean |Δ|)", "channels", "words"),
    ]


def _texts(results: Results) -> list[Column]:
    return [
        site(),
        feature_column(results),
        text("prompts", "prompts"),
        _written("prompt", "prompt"),
        _written("before", "before"),
        _written("after", "after"),
    ]
