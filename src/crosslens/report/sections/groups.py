"""What do the languages lose with whole groups of gendered features?"""

from crosslens.report.html import tag, term
from crosslens.report.numbers import level_words, number, plain
from crosslens.report.sections.base import Finding, Record, Results, Section
from crosslens.report.table import Column, Row, language, sae, scored, site, table, value
from crosslens.report.terms import CI
from crosslens.summary.names import corpus_name, short_name, site_name
from crosslens.summary.reading import Document

ORDER = 66
TERMS = {
    "ci": CI,
    "gendered_group": (
        "Groups of gendered features",
        "By their effects on select, significant in a language: shared, in both languages towards the same gender; of one "
        "language, not significant in the other; all, these and such as tell opposite genders. A feature that is not "
        "significant in a language may tell its gender all the same.",
    ),
    "hangs_on": (
        "What words hang on gender, D",
        "Log-odds of the female against the male word where one is about to come: behind women (or the female sentence) less "
        "behind men, nats. Removed: D without an edit less D with the group's features at 0, x + decode(z′) − decode(z) at all "
        "text positions of the site but sinks.",
    ),
    "random_groups": (
        "Random groups",
        "As many features, as frequent and as strong, gendered in neither language: 20 of them. p: how many, and the group "
        "itself, remove as much; one-sided, not corrected.",
    ),
}


def section(results: Results) -> Section | None:
    """Where groups were ablated."""
    documents = [
        (corpus, Document(path, "group_ablation")) for corpus, path in results.by_place("group_ablation")
    ]
    if not documents:
        return None
    rows = [row for corpus, doc in documents for row in _rows(corpus, doc)]
    body = [
        tag(
            "p",
            "What a language's ",
            term("hangs_on", "words hang on gender"),
            ", and what its texts cost, without ",
            term("gendered_group", "groups of gendered features"),
            ", beside ",
            term("random_groups", "random groups"),
            ".",
        ),
    ]
    if rows:  # none where no group could be tested, which the findings say
        caption = tag(
            "span", "Test; ", term("ci", "95 % CI"), " over groups of images or sentences in brackets"
        )
        label = "Groups of gendered features ablated"
        body.append(table("gendered_groups", COLUMNS, rows, label=label, caption=caption))
    findings = [
        finding(corpus, doc, pair, results.level) for corpus, doc in documents for pair in doc("pairs")
    ]
    heading = "Is it the features that the languages share by which words hang on gender?"
    return Section("groups", "Gendered groups", heading, body, findings, terms=TERMS)


def _rows(corpus: str, doc: Document) -> list[Row]:
    return [
        {
            "corpus": corpus,
            "site": doc("site"),
            "group": group_name(group["group"], pair["languages"]),
            "features": group["features"],
            "before": doc("of", of["language"], "difference")["value"],
            **of,
        }
        for pair in doc("pairs")
        for group in pair["groups"]
        for of in group["of"]
    ]


def group_name(group: str, languages: list[str]) -> str:
    """`shared`, or `of English alone`."""
    alone = dict(zip(("first", "second"), languages, strict=True))
    return f"of {short_name(alone[group])} alone" if group in alone else group


def _random(title: str, field: str, name: str) -> Column:
    return Column(title, lambda row: number(row[field] and row[field][name]), "n")


COLUMNS = [
    site(),
    sae(),
    Column(term("gendered_group", "group"), lambda row: row["group"]),
    value("features", "features"),
    language(),
    value(term("hangs_on", "D"), "before"),
    scored("removed", "removed"),
    value("share", "share", 2),
    _random(term("random_groups", "random, 95 %"), "removed_random", "q95"),
    _random("p", "removed_random", "p"),
    scored("cost, nats a token", "cost"),
    _random("random, 95 %", "cost_random", "q95"),
]


def finding(corpus: str, doc: Document, pair: Record, level: float) -> Finding:
    """What both languages lose with the shared features, and with all."""
    where = (
        f"{site_name(doc('site'))}, {corpus_name(corpus)}, {' and '.join(map(short_name, pair['languages']))}"
    )
    unread = [
        f"{short_name(name)}: not measured, because {doc('of', name, 'because')}."
        for name in pair["languages"]
        if not doc("of", name, "tested")
    ]
    lines = [line for group in pair["groups"] for line in [_line(group, pair["languages"])] if line]
    shared = next(group for group in pair["groups"] if group["group"] == "shared")
    measured = [of for of in shared["of"] if of["removed"] is not None]
    if not measured:
        because = shared["because"] or "words of neither language hang on gender, for sure"
        title = f"{where}: whether shared features carry gender was not tested, because {because}."
        return Finding("warning", title, [*unread, *lines])
    least = min(of["removed_random"]["least_p"] for of in measured)
    if least > level:
        title = (
            f"{where}: whether shared features carry gender was not tested, because so few random groups give no p below "
            f"{plain(least)}, and the level is {level_words(level)}."
        )
        return Finding("warning", title, [*unread, *lines])
    beyond = [of for of in measured if of["removed_random"]["p"] <= level and (of["removed"]["low"] or 0) > 0]
    told = " and ".join(_told(of) for of in measured)
    if beyond:
        names = " and ".join(short_name(of["language"]) for of in beyond)
        title = (
            f"{where}: without the {plain(shared['features'])} features that tell the same gender in both languages, {told}; "
            f"more than without random groups in {names} (p ≤ {level_words(level)}, not corrected)."
        )
        return Finding("description", title, [*unread, *lines])
    title = (
        f"{where}: without the {plain(shared['features'])} features that tell the same gender in both languages, what words "
        f"hang on gender does not fall further than without random groups: {told}."
    )
    return Finding("null", title, [*unread, *lines])


def _told(of: Record) -> str:
    return (
        f"{plain(100 * of['share'], 0)} % of what words hang on gender is gone in {short_name(of['language'])} "
        f"(p = {plain(of['removed_random']['p'])})"
    )


def _line(group: Record, languages: list[str]) -> str:
    name = group_name(group["group"], languages)
    if group["group"] == "shared":
        return ""
    if not group["tested"]:
        return f"Features {name}: not tested, because {group['because']}."
    measured = [of for of in group["of"] if of["removed"] is not None]
    told = " and ".join(_told(of) for of in measured)
    return f"Without the {plain(group['features'])} features {name}: {told}." if measured else ""
