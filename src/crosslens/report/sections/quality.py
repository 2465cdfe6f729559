"""How good the dictionaries are."""

from typing import Any

from markupsafe import Markup

from crosslens.errors import InputError
from crosslens.report.html import details, tag, term
from crosslens.report.numbers import number, plain
from crosslens.report.sections.base import Finding, Record, Results, Section
from crosslens.report.table import Column, Row, language, sae, site, table, text, value
from crosslens.summary.names import case_name, site_name

ORDER = 20
GATES = {"sparse": "sparse", "beats_pca": "better than PCA", "alive": "alive"}
"""A gate's name in quality documents -> its name on the page."""
PASSED = {True: ("pass", "passes"), False: ("fail", "fails"), None: ("missing", "undefined")}
TERMS = {
    "sae": (
        "Sparse autoencoder (SAE)",
        "A dictionary of directions (features) learned for one place in the model: every token's activation is written "
        "as a sum of a few of them. A joint SAE is trained on all languages, the others on one; a pretrained one "
        "was trained by others and is measured on the same tokens.",
    ),
    "architecture": (
        "Architecture",
        "What decides which features fire, by its usual name: the k largest of a token or of a batch, those above a "
        "learned threshold, or those that a penalty leaves.",
    ),
    "ev": (
        "Explained variance (EV)",
        "1 − Σ‖x − x̂‖² / (Σ‖x‖² − ‖Σx‖²/N) over held-out text tokens, in double precision; 1 is perfect, 0 is what "
        "the mean reaches. FVU = 1 − EV.",
    ),
    "cosine": ("Cosine", "Mean cosine of activation and reconstruction over the same tokens."),
    "l0": ("L0", "Mean number of features that fire on a token."),
    "live": (
        "Live, dead",
        "A feature is live if it fires on at least one of the held-out tokens, otherwise dead.",
    ),
    "baselines": (
        "Baselines",
        "Explained variance on the same tokens of a PCA of rank L0, of a random dictionary with as many active directions, "
        "and of predicting the mean activation of the token's id. All are fitted on train.",
    ),
    "decoder": (
        "Nearest feature",
        "Median over features of the largest cosine of a feature's decoder row with that of any other, beside the same "
        "for random directions: far above it, features say the same twice.",
    ),
    "gates": (
        "Gates",
        "Three conditions a usable SAE meets: a token uses few of the live features, it explains more variance than a "
        "PCA of rank L0, at most half of the features are dead.",
    ),
    "ce": (
        "Cross-entropy recovered",
        "(CE ablated − CE spliced) / (CE ablated − CE clean): how much of the model's next-token loss survives when the "
        "reconstruction takes the activation's place at the text tokens, where ablation puts zeros, or the mean activation; "
        "1 is all, negative where the reconstruction is worse than the ablation, and undefined where that costs nothing.",
    ),
    "kl": ("KL", "Mean KL(clean ‖ spliced) of the next-token distributions, in nats per token."),
}


def section(results: Results) -> Section | None:
    """Where an SAE was measured."""
    saes = results.records("saes")
    if not saes:
        return None
    body = [
        table(
            "quality",
            _columns(),
            saes,
            label="SAE quality",
            caption=tag(
                "span", "Held-out test tokens; ", term("baselines", "baselines"), " on the same tokens"
            ),
        ),
        tag("h3", term("gates", "Gates"), " in words"),
        tag("p", _gate_words(saes)),
        table("gates", [site(), sae(), language(), *_gate_columns(saes)], saes, label="Gates"),
        results.shown("quality"),
        *_training(results),
    ]
    return Section("quality", "Quality", "Quality of the dictionaries", body, [finding(saes)], terms=TERMS)


def _columns() -> list[Column]:
    return [
        site(term("site", "site")),
        sae(term("sae", "SAE")),
        language(),
        text(term("architecture", "architecture"), "architecture"),
        value("features", "d_sae"),
        value("tokens", "tokens"),
        value(term("ev", "EV"), "ev"),
        value("PCA", "pca"),
        value("random", "random_dictionary"),
        value("token mean", "token_mean"),
        value(term("l0", "L0"), "l0", 1),
        _recovered(term("ce", "CE recovered") + " (zeros)", "ce_recovered"),
        _recovered("(mean)", "ce_recovered_mean"),
        value(term("kl", "KL"), "kl"),
        value(term("live", "live"), "live"),
        value("dead", "dead"),
        value(term("cosine", "cosine"), "cosine"),
        Column(
            term("decoder", "nearest feature") + ", random",
            lambda row: number(row["decoder_median"], 2) + ", " + number(row["decoder_random_median"], 2),
            "n",
        ),
    ]


def _recovered(title: str, field: str) -> Column:
    """Undefined where the ablation costs nothing that could be recovered."""

    def show(row: Row) -> Markup:
        if row[field] is None and row["kl"] is not None:
            return tag("span", "undefined", class_="missing")
        return number(row[field])

    return Column(title, show, "n")


def _gate_columns(saes: list[Record]) -> list[Column]:
    """The gates' names as headings; every SAE must have the same, in the same order."""
    names = [[gate["gate"] for gate in record["gates"]] for record in saes]
    for record, other in zip(saes, names, strict=True):
        if other != names[0]:
            where = f"quality of {record['corpus']}/{record['language']} at {record['site']}"
            raise InputError(where, found=other, expected=names[0], mend="rebuild the layers' summaries")

    def column(i: int, name: str) -> Column:
        def show(row: Row) -> Markup:
            mark, word = PASSED[row["gates"][i]["passed"]]
            return tag("span", word, class_=mark) + ": " + row["gates"][i]["says"]

        return Column(GATES.get(name, name), show)

    return [column(i, name) for i, name in enumerate(names[0])]


def _gate_words(saes: list[Record]) -> str:
    failed = [gate for record in saes for gate in record["gates"] if gate["passed"] is not True]
    gates = sum(len(record["gates"]) for record in saes)
    if not failed:
        return f"All {plain(gates)} gates are passed."
    return f"{plain(gates - len(failed))} of {plain(gates)} gates are passed; the table says which are not, and why."


def _training(results: Results) -> list[Any]:
    """The pictures of each layer, folded."""
    found = {
        site: results.shown(*(f"{site}/{name}" for name in ("training", "density", "decoder")))
        for site in results.sites
    }
    return [
        details(f"Training, feature density and decoder, {site_name(site)}", pictures)
        for site, pictures in found.items()
        if pictures
    ]


def finding(saes: list[Record]) -> Finding:
    """How well the dictionaries reconstruct, which fail a gate, and which serve the model less than one constant vector."""
    measured = [record for record in saes if record["ev"] is not None]
    failed, undefined = (
        [(record, gate) for record in saes for gate in record["gates"] if gate["passed"] is passed]
        for passed in (False, None)
    )
    lines = []
    if measured:
        low, high = (function(record["ev"] for record in measured) for function in (min, max))
        lines.append(
            f"{len(saes)} combinations of dictionary, language and layer were measured; explained variance on test "
            f"lies between {plain(low)} and {plain(high)}."
        )
    spliced = [record for record in saes if record["ce_recovered_mean"] is not None]
    worse = [record for record in spliced if record["ce_recovered_mean"] < 0]
    if worse:
        of = "; ".join(f"{_where(record)} ({plain(record['ce_recovered_mean'], 2)})" for record in worse)
        lines.append(f"Cross-entropy recovered against the mean activation is below 0: {of}.")
    lines += [f"{_where(record)}: {gate['says']}." for record, gate in failed]
    lines += [f"{_where(record)}, undefined: {gate['says']}." for record, gate in undefined]
    if not failed and not undefined and not worse:
        return Finding("found", "All dictionaries pass all quality gates.", lines)
    said = ["all gates are passed"] if not failed and not undefined else []
    for gates, one, several in (
        (failed, "fails", "fail"),
        (undefined, "is undefined", "are undefined"),
    ):
        if gates:
            said.append(f"{len(gates)} quality {f'gate {one}' if len(gates) == 1 else f'gates {several}'}")
    if worse:
        said.append(
            f"in {len(worse)} of {len(spliced)} cases the model does worse with the reconstruction than with the mean activation"
        )
    title = f"{', and '.join(said)}: read what follows with care."
    return Finding("warning", title[:1].upper() + title[1:], lines)


def _where(record: Record) -> str:
    where = case_name(record["site"], record["corpus"], record["language"])
    return where[:1].upper() + where[1:]
