"""Through which places does the difference in gender go, and do the languages use the same state for it?"""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from crosslens.data.languages import language_of
from crosslens.report.html import details, tag, term
from crosslens.report.numbers import interval, level_words, number, plain, score_words
from crosslens.report.sections.base import Finding, Record, Results, Section
from crosslens.report.table import Column, Row, scored, table, value
from crosslens.report.terms import CI
from crosslens.summary.names import short_name
from crosslens.summary.patching_names import KINDS, METHODS, OF_TOWER, POSITIONS
from crosslens.summary.reading import Document

ORDER = 68
TERMS = {
    "ci": CI,
    "patch": (
        "Patch, recovery R",
        "A state of one run of the model put in the place of that of another, which differs from it in what is swapped alone: "
        "R = (m patched − m) / (m of the other run − m), m the log-odds of the two words that are asked for, a mean over pairs "
        "that differ by a declared bound or more. 1: the patch brings all of the difference over, 0: nothing. In the corrupt run "
        "(denoising): how much the place is enough for; in the clean one (noising): how much is lost without it. Positions go "
        "together by words, never by interpolation.",
    ),
    "other_same": (
        "Other − same",
        "R by the state of the other gender less R by that of the own gender, both of the other language. A foreign state "
        "destroys what stood there, which moves the outcome too: only this difference is what that language says of gender.",
    ),
    "between_controls": (
        "States beside the pair's own",
        "Of another pair: both states are those of another sentence, or picture, of the other language; where its other − same "
        "is as large, what is handed over is gender and not what else the two languages say alike. In Latin letters: texts of "
        "a language of another script are written in these, so that what is left is not the script's. Random step: the state "
        "of the same gender, and from it as far as that of the other gender is, in a random direction; only of a state that "
        "goes beyond it is anything told. q: groups change signs, Benjamini and Hochberg over the blocks of a row's exchange.",
    ),
    "patch_controls": (
        "Patched as controls",
        "The state of another pair's run of the same gender and of the other one, and a step in a random direction as long as "
        "the one to the other run's state.",
    ),
    "component": (
        "Component",
        "Of the picture: all that the projector gives to the decoder, in the place of the other picture's, which brings over "
        "everything, for nothing else differs. Of a block: what its attention or its MLP adds, at all positions, and in the "
        "vision tower to all of the picture; components follow one another, so that their R need not add up to 1. Of two "
        "pictures that hide the gender and show different categories the difference is bias.",
    ),
    "circuit": (
        "Circuit, CPR, CMD",
        "All heads and MLPs but a few have the other run's values at all positions: f is the share of what is lost that these "
        "few keep. CPR: the area under f over the share of nodes kept, larger is better; CMD: the area between f and 1, 0 is "
        "best. The words themselves are not patched.",
    ),
    "attribution": (
        "Attribution",
        "What gradients say of a patch without making it. AtP: Δ · gradient. AtP*: with the softmax computed again for queries "
        "and keys, and the mean size over blocks left out of the gradient. Integrated gradients: 10 midpoints between the two "
        "states. RelP: by rules that make norms, activations, gates and attention linear. Compared with patches that were made, "
        "of the same runs and places, over pairs drawn at random; both towards the other run, so that what is said of every "
        "place alike counts for nothing.",
    ),
}
SWAPS = {
    "gender": "gendered words",
    "image": "picture",
    "category": "picture that hides the gender",
    "caption": "words before",
    "language": "language asked",
}
GIVEN = "projector"
BESIDE = {
    "elsewhere": "of another pair",
    "romanised": "in Latin letters",
    "random": "random step",
}
"""Controls of exchanges between languages."""
SHOWN = 5
"""Components of each swap and language in the table."""
RANKINGS = {"effect": "effects of patches", "random": "chance"} | METHODS


def section(results: Results) -> Section | None:
    """Where states were patched."""
    files = results.files.get("patching", {})
    if not files:
        return None
    (folder,) = files.values()
    doc = Document(folder / "patching.json", "patching")
    overall = [row for row in doc("attribution") if row["layer"] is None]
    between = doc("interchange") if len(doc("languages")) > 1 else []
    body = [
        tag(
            "p",
            "Two runs of the model differ in what is swapped alone. Where does a ",
            term("patch", "patch"),
            " of one run's state make the other say what the first says?",
        ),
        tag("p", _unmeasured(doc)),
        table("patched-pairs", PAIRS, _pairs(doc), label="Pairs of runs"),
        results.shown("patching", "patched_heads"),
        table(
            "patch-controls",
            CONTROLS,
            doc("controls"),
            label="Patches and controls by block",
            caption=caption("R of the residual stream, both runs of a pair"),
        ),
    ]
    if doc("components"):
        body += [
            table(
                "components",
                COMPONENTS,
                _largest(doc("components")),
                label="Components by what they bring over",
                caption=caption(
                    f"R of what is given of the picture, and of the {SHOWN} halves of blocks that add most of the difference in "
                    "the vision tower and behind it, both runs of a pair"
                ),
            )
        ]
    if most := _at_most(between):
        body += [
            results.shown("interchange"),
            table(
                "interchange",
                INTERCHANGE,
                most,
                label="States of one language in another",
                caption=caption(
                    "R of the residual stream, behind the block where other − same of the pair's own states is largest, which "
                    "flatters it; beside controls, and the language's own states"
                ),
            ),
            details(
                "States of one language in another, behind every block",
                table("interchange_all", INTERCHANGE, between, label="The same behind every block"),
            ),
        ]
    if overall:
        body += [
            results.shown("attribution"),
            table(
                "attribution",
                ATTRIBUTION,
                overall,
                label="Attributions beside patches",
                caption=caption("All blocks together"),
            ),
        ]
    if doc("circuits"):
        body += [
            table(
                "circuits",
                CIRCUITS,
                doc("circuits"),
                label="Circuits by ranking",
                caption=caption("Other pairs than those by which heads and MLPs are ranked"),
            )
        ]
    findings = [*_recovered(doc), *_without_pairs(doc), *_interchanged(doc), *_attributed(overall)]
    heading = "Through which places does the difference go?"
    return Section("patching", "Patched states", heading, body, findings, terms=TERMS)


def _pairs(doc: Document) -> list[Record]:
    """Pairs of runs, in Latin letters those of languages that have others."""
    return [pair for pair in doc("pairs") if not pair["text"] or _other_script(pair["language"])]


def _largest(rows: list[Record]) -> list[Record]:
    """Of each swap and language the SHOWN components of the vision tower of largest R, what the decoder is given, and as many of
    its blocks'."""
    found = []
    for swap, language in dict.fromkeys((row["swap"], row["language"]) for row in rows):
        own = [row for row in rows if (row["swap"], row["language"]) == (swap, language)]
        own.sort(key=lambda row: -abs(row["recovery"]["value"]))
        inside = [row for row in own if row["kind"] in OF_TOWER]
        added = [row for row in own if row["kind"] in KINDS]
        found += inside[:SHOWN]
        found += [row for row in own if row["kind"] == "resid_pre"]
        found += added[:SHOWN]
    return found


def caption(words: str) -> Any:
    return tag("span", f"{words}; ", term("ci", "95 % CI"), " over groups in brackets")


def _unmeasured(doc: Document) -> str:
    empty = [SWAPS[name] for name, of in doc("swaps").items() if not of["drawn"]]
    error = doc("all_patched", "largest_error")
    words = (
        "Checked in this run: a run's own states in their place change nothing"
        + (
            ""
            if error is None
            else f", and all states of the other run at once leave {plain(error)} of R = 1 at most"
        )
        + "."
    )
    if empty:
        words += f" Not measured, for want of pairs: {', '.join(empty)}."
    if not doc("circuits"):
        words += f" Circuits were not measured, for want of pairs beyond the {doc('attributed')} by which they are ranked."
    return words


def _point(share: float) -> Column:
    """f of the circuit that is nearest to that share of the nodes."""

    def show(row: Row) -> Any:
        nearest = min(row["points"], key=lambda point: abs(point["nodes"] / row["total"] - share))
        of = nearest["f"]
        return Markup("{}: {}{}").format(
            nearest["nodes"], number(of["value"]), interval(of["low"], of["high"])
        )

    return Column(f"f at {100 * share:g} %", show, "n")


def language_words(row: Row) -> str:
    """The language of a run, or the two in which it may be asked."""
    return " or ".join(map(short_name, row["language"].split("-")))


SWAP = Column("swapped", lambda row: SWAPS[row["swap"]], "row")
LANGUAGE = Column("language", language_words)
PLACE = [
    Column("positions", lambda row: POSITIONS[row["positions"]]),
    Column("behind block", lambda row: str(row["layer"]), "n"),
]
PAIRS = [
    SWAP,
    Column("language", lambda row: language_words(row) + (f" {BESIDE['romanised']}" if row["text"] else "")),
    value("pairs", "pairs"),
    value("of these differ enough", "kept"),
    value("mean difference, nats", "difference"),
    value("share above 0", "positive"),
]
COMPONENTS = [
    SWAP,
    LANGUAGE,
    Column("component", lambda row: (KINDS | OF_TOWER).get(row["kind"], GIVEN)),
    Column("of block", lambda row: "" if row["kind"] == "resid_pre" else str(row["layer"]), "n"),
    Column("groups", lambda row: str(row["recovery"]["n"]), "n"),
    scored(term("component", "R"), "recovery"),
]
CONTROLS = [
    SWAP,
    LANGUAGE,
    *PLACE,
    Column("groups", lambda row: str(row["other"]["n"]), "n"),
    scored(term("patch", "R"), "other"),
    scored("in the corrupt run", "denoising"),
    scored("in the clean run", "noising"),
    scored(term("patch_controls", "another pair, same"), "same_elsewhere"),
    scored("another pair, other", "other_elsewhere"),
    scored("random", "random"),
]
INTERCHANGE = [
    SWAP,
    Column("from", lambda row: short_name(row["source"])),
    Column("into", language_words),
    *PLACE,
    Column(term("between_controls", "states"), lambda row: BESIDE.get(row["control"], "of the pair")),
    Column("groups", lambda row: str(row["difference"]["n"]), "n"),
    scored("other gender", "other"),
    scored("same gender", "same"),
    scored(term("other_same", "other − same"), "difference"),
    value("q", "q"),
    scored("the pair's, less this", "beyond"),
]
ATTRIBUTION = [
    SWAP,
    LANGUAGE,
    Column("place", lambda row: KINDS[row["kind"]]),
    Column(term("attribution", "method"), lambda row: METHODS[row["method"]]),
    value("patches", "n"),
    scored("Pearson", "pearson"),
    value("Spearman", "spearman"),
    value("same sign", "sign"),
    value("of the largest tenth", "top"),
    value("missed", "missed"),
    value("false positives", "false_positives"),
    value("error, share of effect", "total_error"),
]
CIRCUITS = [
    SWAP,
    LANGUAGE,
    Column("ranked by", lambda row: RANKINGS[row["by"]]),
    value("heads and MLPs", "total"),
    Column("groups", lambda row: str(row["cpr"]["n"]), "n"),
    *(_point(share) for share in (0.05, 0.2, 0.5)),
    scored(term("circuit", "CPR"), "cpr"),
    scored("CMD", "cmd"),
]


def _recovered(doc: Document) -> list[Finding]:
    """Of each swap and language: from where to where the difference moves, in numbers that claim nothing."""
    found = []
    for pair in doc("pairs"):
        if pair["text"]:
            continue
        own = [
            row
            for row in doc("controls")
            if (row["swap"], row["language"]) == (pair["swap"], pair["language"])
            and row["other"]["value"] is not None
        ]
        name = f"{language_words(pair)}, {SWAPS[pair['swap']]} swapped"
        if not own:
            title = f"{name}: patches were not told, because no pair differs by {doc('bound'):g} nats."
            found.append(Finding("warning", title))
            continue
        lines = []
        for positions, words in POSITIONS.items():
            rows = [row for row in own if row["positions"] == positions]
            if rows:
                most = max(rows, key=lambda row: row["other"]["value"])
                lines.append(
                    f"At the {words} a patch brings over most behind block {most['layer']}: R = {score_words(most['other'])}; "
                    f"there the state of another pair's run of the same kind {score_words(most['same_elsewhere'])}, and a random "
                    f"step as long {score_words(most['random'])}."
                )
        title = (
            f"{name}: of {plain(pair['pairs'])} pairs {plain(pair['kept'])} differ enough; where the difference is, "
            "block by block, in the residual stream."
        )
        found.append(Finding("description", title, lines))
    return found


def _without_pairs(doc: Document) -> list[Finding]:
    """Swaps and languages of which there are runs, and no pair could be patched."""
    told = {(pair["swap"], pair["language"]) for pair in doc("pairs") if not pair["text"]}
    found = []
    for swap, of in doc("swaps").items():
        if not of["drawn"]:
            continue
        if of["first_token"] == of["drawn"]:
            title = (
                f"{SWAPS[swap]} swapped: patches were not made, because the two words that are asked for differ in the first "
                "token of all, before which nothing stands."
            )
            found.append(Finding("warning", title[0].upper() + title[1:]))
            continue
        found += [
            Finding(
                "warning",
                f"{short_name(language)}, {SWAPS[swap]} swapped: patches were not made, because no two runs of test in it "
                "differ in a gendered word with another one behind it.",
            )
            for language in doc("languages")
            if swap != "language" and (swap, language) not in told
        ]
    return found


def _interchanged(doc: Document) -> list[Finding]:
    """One language's state in another: behind which blocks it tells gender beyond the controls, and what these tell there."""
    rows = doc("interchange")
    beside = {(*_exchange(row), row["layer"], row["control"]): row for row in rows}
    found = []
    for key in dict.fromkeys(_exchange(row) for row in rows if row["source"] != row["language"]):
        swap, source, language, positions = key
        name = (
            f"{short_name(source)} into {short_name(language)}, {SWAPS[swap]} swapped, {POSITIONS[positions]}"
        )
        own = [row for row in rows if _exchange(row) == key and row["control"] == ""]
        if not own:
            continue
        groups = max(row["difference"]["n"] for row in own)
        least = 2.0 ** (1 - groups)
        if least > doc("level"):
            title = (
                f"{name}: whether the state tells gender was not tested, because there are {plain(groups)} groups of pairs, "
                f"whose signs give no p below {plain(least)}."
            )
            found.append(Finding("warning", title))
            continue
        claimed = [
            row for row in own if _claimed(row, beside.get((*key, row["layer"], "random")), doc("level"))
        ]
        most = max(claimed or own, key=lambda row: row["difference"]["value"])
        there = {control: beside.get((*key, most["layer"], control)) for control in BESIDE}
        ceiling = beside.get((swap, language, language, positions, most["layer"], ""))
        told = f"the most behind block {most['layer']}, other − same = {score_words(most['difference'])}"
        if claimed:
            blocks = ", ".join(str(row["layer"]) for row in claimed)
            title = (
                f"{name}: the other language's state of the other gender moves the outcome further than that of the same gender, "
                f"and than a random step as long, behind blocks {blocks} (signs of {plain(groups)} groups, q ≤ "
                f"{level_words(doc('level'))} over blocks); {told}."
            )
        else:
            title = (
                f"{name}: behind no block does the other language's state of the other gender move the outcome beyond both "
                f"that of the same gender and a random step as long; {told}."
            )
        lines = [*_ceiling(ceiling, language), *_controls_there(doc, key, there, beside)]
        found.append(Finding("description" if claimed else "null", title, lines))
    return found


def _exchange(row: Record) -> tuple[str, str, str, str]:
    return row["swap"], row["source"], row["language"], row["positions"]


def _claimed(row: Record, random: Record | None, level: float) -> bool:
    """Whether a block's state is said to tell gender: other − same is above 0 and beyond that of a random step."""
    beyond = random and random["beyond"]["low"]
    return row["difference"]["value"] > 0 and row["q"] <= level and beyond is not None and beyond > 0


def _ceiling(own: Record | None, language: str) -> list[str]:
    if own is None:
        return []
    return [f"{short_name(language)}'s own state of the other gender there: R = {score_words(own['other'])}."]


def _controls_there(
    doc: Document,
    key: tuple[str, str, str, str],
    there: Mapping[str, Record | None],
    beside: Mapping[tuple[Any, ...], Record],
) -> list[str]:
    """Of each control other − same at the block that is told of, and behind which blocks the pair's own goes further."""
    lines = []
    for control, words in BESIDE.items():
        row = there[control]
        title = words[0].upper() + words[1:]
        if row is not None:
            further = [
                str(at)
                for (*of, at, which), one in beside.items()
                if (*of,) == key and which == control and (one["beyond"]["low"] or 0) > 0
            ]
            behind = f"blocks {', '.join(further)}" if further else "no block"
            lines.append(
                f"{title} there: other − same = {score_words(row['difference'])}, of "
                f"{plain(row['difference']['n'])} groups; the pair's own state goes further behind {behind} (interval above 0, "
                "not corrected over blocks)."
            )
        if control == "romanised":
            swap, *languages, _ = key
            lines += [
                f"{title}: of {plain(pair['pairs'])} pairs of {short_name(pair['language'])} {plain(pair['kept'])} differ by "
                f"{doc('bound'):g} nats; of others nothing can be brought over."
                for pair in doc("pairs")
                if pair["text"] and pair["swap"] == swap and pair["language"] in languages
                if _other_script(pair["language"])
            ]
    return lines


def _other_script(language: str) -> bool:
    return bool(language_of(language).romanisation)


def _at_most(rows: list[Record]) -> list[Record]:
    """Of each exchange between languages the block of largest other − same, with its controls, and the own language's there."""
    found = []
    for key in dict.fromkeys(_exchange(row) for row in rows if row["source"] != row["language"]):
        swap, _, language, positions = key
        plain_rows = [
            row
            for row in rows
            if _exchange(row) == key and row["control"] == "" and row["difference"]["value"] is not None
        ]
        if plain_rows:
            layer = max(plain_rows, key=lambda row: row["difference"]["value"])["layer"]
            found += [
                row
                for row in rows
                if row["layer"] == layer
                and (_exchange(row) == key or _exchange(row) == (swap, language, language, positions))
            ]
    return found


def _attributed(overall: list[Record]) -> list[Finding]:
    """Which method is nearest to the patches, of each kind of place."""
    if not overall:
        return []
    lines = []
    for swap, language, kind in dict.fromkeys((row["swap"], row["language"], row["kind"]) for row in overall):
        rows = [
            row
            for row in overall
            if (row["swap"], row["language"], row["kind"]) == (swap, language, kind)
            and row["pearson"]["value"] is not None
        ]
        if rows:
            told = ", ".join(f"{METHODS[row['method']]} {score_words(row['pearson'])}" for row in rows)
            lines.append(f"{language_words(rows[0])}, {SWAPS[swap]} swapped, {KINDS[kind]}: {told}.")
    return [
        Finding(
            "description",
            "How far attributions tell the effects of patches: Pearson's r, nats against nats.",
            lines,
        )
    ]
