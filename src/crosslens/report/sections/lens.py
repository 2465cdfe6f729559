"""What would the model say if it ended earlier, and from which block on does it know the gender?"""

from typing import Any

from crosslens.report.html import tag, term
from crosslens.report.numbers import level_words, number, plain
from crosslens.report.sections.base import Finding, Results, Section
from crosslens.report.table import Column, Row, language, scored, table, value
from crosslens.report.terms import CI
from crosslens.summary.names import language_name
from crosslens.summary.reading import Document

ORDER = 36
ALIKE = 0.9
"""Correlation with the model's own answer from which on a lens is said to tell it."""
TERMS = {
    "ci": CI,
    "lenses": (
        "Logit lens, tuned lens",
        "The residual stream behind a block, read by the model's own final norm, unembedding and softcap as if the block were "
        "the last. The tuned lens takes it through an affine map first, one a block, fitted on train so that what it says is "
        "nearest to what the model says at its end (KL). Both are the model itself at the last block.",
    ),
    "jacobian-lens": (
        "Jacobian lens",
        "Gradient of the difference of the two words' logits, at the place where they part, with regard to the residual stream "
        "of a block: averaged over train prompts and the text positions up to the place, the first few left out. It reads the "
        "first piece that differs, and is a direction to steer by; its units are no nats.",
    ),
    "lens-null": (
        "Shuffled genders, p of a block",
        "Band: 95 % of the differences where the two sentences of a pair change places, all of a group together, or where the "
        "genders are dealt anew to the pictures. p: how often the largest difference of any block, each divided by its "
        "deviation in the null, is as large, so it is corrected over blocks; not over languages nor other claims.",
    ),
    "lens-causal": (
        "Causal check",
        "What the direction holds at the place, less its mean on train, is taken out of the residual stream, and the model goes "
        "on. r: over places, between the change of the two words' logit difference that the lens says and the one that the "
        "model makes; it is near 1 for every direction that acts in proportion to what is taken out, so the sizes stand beside "
        "it (mean of absolute changes). A lens can read what the model does not use: then the model moves less than the lens "
        "says, and no more than when as much as the tuned lens' direction holds is added along a random direction.",
    ),
}
NAMES = {"logit": "logit lens", "tuned": "tuned lens", "jacobian": "Jacobian lens"}


def section(results: Results) -> Section | None:
    """Where lenses were asked for."""
    files = results.files.get("lens_reading", {})
    documents = [Document(folder / "lens.json", "lens_reading") for folder in files.values()]
    if not documents:
        return None
    rows = [row for doc in documents for row in _rows(doc, results.level)]
    causal = [row for doc in documents if doc("gender") for row in _causal_rows(doc)]
    body = [
        tag(
            "p",
            "Read behind each block by the ",
            term("lenses", "logit lens and the tuned lens"),
            ": how far the answer is from the model's last one, and what it says of a gendered word that is about to come. ",
            term("jacobian-lens", "The Jacobian lens"),
            " says towards where each block pushes it.",
        ),
        tag("p", " ".join(_what(doc) for doc in documents)),
        results.shown("lens"),
        table(
            "lens",
            COLUMNS if any(doc("gender") for doc in documents) else COLUMNS[:4],
            rows,
            label="Lenses per language and block",
            caption=tag("span", "Test; ", term("ci", "95 % CI"), " over groups in brackets"),
        ),
    ]
    if causal:
        body.append(
            table(
                "lens-causal",
                CAUSAL,
                causal,
                label="Causal check per language and block",
                caption=tag(
                    "span",
                    term("lens-causal", "Causal check"),
                    "; change in logits, absolute, mean over places",
                ),
            )
        )
    findings = [_finding(doc, results.level) for doc in documents]
    return Section("lens", "Lenses", "From which block on does the model know?", body, findings, terms=TERMS)


def _rows(doc: Document, level: float) -> list[Row]:
    """A row a block; its fields of gender are None where none was read, and p where no p could have been the level."""
    found = []
    for layer in range(doc("layers")):
        row = {"language": doc("language"), "layer": layer, "read": {}}
        row |= {f"bits_{lens}": doc("bits")[lens][layer] for lens in ("logit", "tuned")}
        if doc("gender"):
            row["read"] = {lens: of[layer] for lens, of in doc("gender", "of").items()}
        row["p"] = row["read"]["logit"]["null"]["p"] if _tested(doc, level) else None
        found.append(row)
    return found


def _causal_rows(doc: Document) -> list[Row]:
    of = doc("gender", "causal", "of")
    return [
        {
            "language": doc("language"),
            "layer": layer,
            **{lens: records[layer] for lens, records in of.items()},
        }
        for layer in range(doc("layers"))
    ]


def _read(title: Any, lens: str, field: str) -> Column:
    """Nothing where the lens reads no gender."""
    shown = scored(title, "of", digits=2).show
    return Column(title, lambda row: shown({"of": row["read"].get(lens, {}).get(field)}), "n")


COLUMNS = [
    language("row"),
    value("block", "layer"),
    scored(term("lenses", "logit lens, bits off"), "bits_logit"),
    scored("tuned lens, bits off", "bits_tuned"),
    _read("logit lens: women less men, nats", "logit", "difference"),
    Column(term("lens-null", "p"), lambda row: "not tested" if row["p"] is None else number(row["p"]), "n"),
    _read("tuned lens, nats", "tuned", "difference"),
    *(_read(f"told apart, {name}", lens, "told") for lens, name in NAMES.items()),
    Column(
        "r with the last answer, logit lens",
        lambda row: number(row["read"].get("logit", {}).get("likeness"), 2),
        "n",
    ),
]
CAUSAL = [
    language("row"),
    value("block", "layer"),
    *(
        column
        for lens, name in NAMES.items()
        for column in (
            scored(f"{name}: r", lens, "correlation", digits=2),
            # of the Jacobian lens the units are others
            *([] if lens == "jacobian" else [value("lens says", "said", within=(lens,))]),
            value("model moves", "moved", within=(lens,)),
        )
    ),
    value("random direction: model moves", "moved", within=("random",)),
]


def _what(doc: Document) -> str:
    name, gender = language_name(doc("language")), doc("gender")
    if gender is None:
        return f"{name}: gender was not read, because {doc('because')}."
    counts, pieces = gender["counts"], gender["pieces"]
    words = f"{name}: {counts['female']} places behind women, {counts['male']} behind men"
    if counts["unknown"]:
        words += f", {counts['unknown']} behind pictures that hide the gender"
    if gender["words"]:
        # isolated: what stands between two words that are written from the right would run that way too
        words += "; the words are " + " and ".join(f"“\u2068{word}\u2069”" for word in gender["words"])
    several = f"{plain(pieces['several'])} of {plain(pieces['of'])} places have a word of several pieces"
    return f"{words}; {several}, which counts with all of them."


def since(records: list[dict[str, Any]], holds: Any) -> int | None:
    """The first block from which on all hold; None where the last does not."""
    found = None
    for record in reversed(records):
        if not holds(record):
            break
        found = record["layer"]
    return found


def _finding(doc: Document, level: float) -> Finding:
    name = language_name(doc("language"))
    if doc("gender") is None:
        return Finding(
            "warning", f"{name}: what lenses read of gender was not tested, because {doc('because')}."
        )
    of = doc("gender", "of")
    lines = [line for lens in ("logit", "tuned") if (line := _apart(of[lens], NAMES[lens], level))]
    lines += [line for line in (_hidden(doc, of["logit"]), _used(doc)) if line]
    if not _tested(doc, level):
        title = f"{name}: whether lenses read gender was not tested, because there are too few places of each gender."
        return Finding("warning", title, lines)
    first = since(of["logit"], lambda record: _beyond(record, level))
    if first is None:
        title = f"{name}: at its end the model's word does not hang on the gender that it has read, beyond chance."
        return Finding("null", title, lines)
    title = (
        f"{name}: from block {first} on the logit lens tells the gender that was read, beyond shuffled genders "
        f"(p ≤ {level_words(level)}, corrected over blocks alone)."
    )
    return Finding("description", title, lines)


def _tested(doc: Document, level: float) -> bool:
    """Whether p of a block, of all alike, could have been the level."""
    least = doc("gender") and doc("gender", "of", "logit")[-1]["null"]["least_p"]
    return least is not None and least <= level


def _beyond(record: dict[str, Any], level: float) -> bool:
    p, difference = record["null"]["p"], record["difference"]["value"]
    return p is not None and p <= level and difference > 0


def _apart(records: list[dict[str, Any]], name: str, level: float) -> str:
    last = records[-1]["difference"]["value"]
    if last is None or last <= 0:
        return ""
    half = since(records, lambda record: record["difference"]["value"] >= last / 2)
    beyond = since(records, lambda record: _beyond(record, level))
    when = "at no block up to the last" if beyond is None else f"from block {beyond} on"
    return (
        f"The {name}: beyond shuffled genders {when}, and at least half of the last block's {plain(last, 2)} nats from block "
        f"{half} on."
    )


def _hidden(doc: Document, records: list[dict[str, Any]]) -> str:
    unknown = doc("gender", "counts", "unknown")
    if not unknown or records[-1]["spread"] is None:
        return ""
    like = since(records, lambda r: r["likeness_unknown"] is not None and r["likeness_unknown"] >= ALIKE)
    lean = records[-1]["lean"]
    words = (
        f"Behind {plain(unknown)} pictures that hide the gender the model's log-odds of the female word are "
        f"{plain(lean['value'], 2)} nats on average, with a deviation of {plain(records[-1]['spread'], 2)} between pictures"
    )
    if like is None:  # of two pictures there is no correlation
        return f"{words}."
    return f"{words}; the logit lens says of each what the model will (r ≥ {ALIKE}) from block {like} on."


def _used(doc: Document) -> str:
    """Of the tuned lens in the middle of the model."""
    of = doc("gender", "causal", "of")
    middle = doc("layers") // 2
    record, other = of["tuned"][middle], of["random"][middle]
    r = record["correlation"]
    if r["value"] is None:
        return ""
    bounds = "" if r["low"] is None else f" [{plain(r['low'], 2)}, {plain(r['high'], 2)}]"
    return (
        f"Without the direction that the tuned lens reads behind block {middle}, at {plain(doc('gender', 'causal', 'places'))} "
        f"places, the model's logit difference moves by {plain(record['moved'], 2)} on average, where the lens says "
        f"{plain(record['said'], 2)} (r = {plain(r['value'], 2)}{bounds}), and by {plain(other['moved'], 2)} along a random "
        "direction."
    )
