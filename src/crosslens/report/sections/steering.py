"""Can what the model says of gender be steered, and at what cost?"""

from crosslens.report.html import tag, term
from crosslens.report.numbers import bracketed, level_words, plain
from crosslens.report.sections.base import Finding, Record, Results, Section
from crosslens.report.table import Column, bounded, counted, judged, language, sae, site, table, value
from crosslens.summary.claims import steers
from crosslens.summary.names import in_groups, short_name, site_name
from crosslens.summary.steering_names import METHODS

ORDER = 67
TERMS = {
    "steered": (
        "Steering",
        "x + strength × δ in the place of x at all text positions of the site but sinks, in the prompt and in what is written; "
        "of features δ is the sum of their decoder rows, each times the 99th percentile of its activations, of directions "
        "the direction, all as long as each other. P(female): of the female word against the male one in the place of the "
        "model's own word for the person, or of a gendered word of a sentence. Moved: half the difference between both ways, "
        "at the strength that was chosen on select among those that cost little enough elsewhere.",
    ),
    "asked": (
        "Asked for no gender",
        "The same pictures, by a prompt that asks for captions without gender: what steering has to be better than. Tell none: "
        "of the captions that told one, the share that then tells none.",
    ),
    "random_sets": (
        "Random sets",
        "As many live features, as frequent and as strong as those of largest effect and in no arm, with random signs, added at "
        "the same length (at equal damage: at the largest strength that costs no more than is allowed; at equal activations: at "
        "the same multiple of their features' own percentiles, which of features that point apart is a shorter vector). p: how "
        "many of them, and the arm itself, move as far, either way.",
    ),
    "anti_steerable": (
        "Anti-steerable",
        "The share of pictures or sentences whose log-odds fall as the strength rises, by a line through the strengths up to the "
        "chosen one.",
    ),
    "neutralised": (
        "Neutralised",
        "Features (or x along a direction) set to the mean of their means over female and male samples of select. Left: of "
        "pictures that hide the gender the standard deviation of P(female) over categories, of sentences what the words before "
        "change, D.",
    ),
    "disentanglement": (
        "Cause and isolation",
        "Cause: of pictures whose caption was not of the wanted gender, the share that becomes so. Isolation: share of the other "
        "words of the clean caption that are still there. Valid: captions of the grammar that the embedded model was taught.",
    ),
}


def section(results: Results) -> Section | None:
    """Where something was steered."""
    arms, before = results.records("steered"), results.records("steered_languages")
    if not arms:
        return None
    captioned = [row for row in arms if row["cause"] is not None]
    body = [
        tag(
            "p",
            "What moves when features or directions are ",
            term("steered", "added"),
            ", beside ",
            term("random_sets", "random features"),
            "? All is chosen on select and told of test.",
        ),
        table("steered_languages", BEFORE, before, label="What the model says without an edit"),
        table("steered", COLUMNS, arms, label="How far each arm moves P(female)"),
        table("neutralised", NEUTRAL, arms, label="What is left when an arm is neutralised"),
        *(
            [table("steered_captions", CAPTIONS, captioned, label="Captions that are written under steering")]
            if captioned
            else []
        ),
        results.shown(
            *(
                f"{corpus}/{where}/{name}"
                for corpus, where in dict.fromkeys((row["corpus"], row["site"]) for row in arms)
                for name in ("dose_response", "frontier")
            )
        ),
    ]
    findings = [
        finding([arm for arm in arms if arm["language"] == name], results)
        for name in dict.fromkeys(arm["language"] for arm in arms)
    ]
    findings += [found for row in before for found in _not_measured(row)]
    heading = "Can what the model says of gender be steered?"
    return Section("steering", "Steering", heading, body, findings, terms=TERMS)


def arm_name(row: Record) -> str:
    """`attribution, found in Arabic`."""
    return f"{METHODS[row['method']]}, found in {_source(row)}"


def _source(row: Record) -> str:
    return "all languages" if row["found_in"] == "both" else short_name(row["found_in"])


_ARM = [
    site(),
    sae(),
    language(),
    Column("arm", lambda row: METHODS[row["method"]]),
    Column("found in", _source),
]
BEFORE = [
    site(),
    sae(),
    language(),
    counted("pictures or sentences", "items"),
    value("left out", "left_out"),
    bounded("P(female)", "p_female"),
    bounded("bias (or D)", "left"),
    value("captions valid", "valid"),
    value("female words per 100", "female_per_100_words"),
    value("male", "male_per_100_words"),
    value(term("asked", "asked for no gender: female"), "asked_female_per_100_words"),
    value("male", "asked_male_per_100_words"),
    value("tell none", "asked_cause"),
    value("other words kept", "asked_isolation"),
]
COLUMNS = [
    *_ARM,
    value("features", "features"),
    value("strength", "strength", 1),
    Column("within the cost allowed", lambda row: plain(row["within_budget"])),
    bounded("moved", "moved"),
    value("random, 95 %", "q95_random"),
    value("times", "ratio_random", 1),
    value("at equal damage", "ratio_same_damage", 1),
    value("at equal activations", "ratio_same_activations", 1),
    judged("p", "p"),
    judged("q"),
    bounded("slope, nats", "slope"),
    value(term("anti_steerable", "anti-steerable"), "anti_steerable"),
    value("KL elsewhere", "kl"),
]
NEUTRAL = [
    *_ARM,
    bounded(term("neutralised", "left"), "left"),
    bounded("removed", "removed"),
    value("random, 5 %", "left_random"),
    value("p (not corrected)", "left_p"),
    value("KL elsewhere", "left_kl"),
]
CAPTIONS = [
    *_ARM,
    value(term("disentanglement", "cause"), "cause"),
    value("isolation", "isolation"),
    value("disentanglement", "disentanglement"),
    value("valid", "valid"),
    value("words", "words_per_caption", 1),
    value("repetition", "repetition"),
    value("perplexity", "perplexity", 2),
]


def finding(arms: list[Record], results: Results) -> Finding:
    """Which arms move the language further than random features do?"""
    name = short_name(arms[0]["language"])
    idle = [f"{arm_name(arm)}: {arm['because']}." for arm in arms if arm["because"]]
    tested = results.tested(arms, "random sets")
    if not tested:
        because = results.reasons(arms, "random sets")
        return Finding(
            "warning", f"{name}: whether gender can be steered was not tested, because {because}.", idle
        )
    yes = [arm for arm in tested if steers(arm, results.level)]
    best = max(yes or tested, key=lambda arm: arm["moved"])
    lines = [_told(best), *idle, results.corrected("steered", "steering")]
    count = f"{len(yes)} of {len(tested)} arms (q ≤ {level_words(results.level)})"
    if yes:
        title = (
            f"{name}: what the model says of gender is steered further than by random features in {count}; furthest by "
            f"{arm_name(best)}, which moves P(female) by {plain(best['moved'], 2)}."
        )
        return Finding("found", title, lines)
    title = f"{name}: no arm moves what the model says of gender further than random features do: in {count}."
    return Finding("null", title, lines)


def _not_measured(row: Record) -> list[Finding]:
    """What of a language was not, and why."""
    where = f"{site_name(row['site'])}, {short_name(row['language'])}"
    lines = []
    if not row["hidden"]:
        lines.append("The bias was not measured, because no picture of test hides the gender.")
    if row["outcome"] == "pictures" and row["asked_because"]:
        lines.append(f"A prompt that asks for no gender was not tried, because {row['asked_because']}.")
    lines += [
        f"{arm_name(arm)}: there is no such arm, because {arm['because']}." for arm in row["empty_arms"]
    ]
    return [Finding("warning", f"{where}: not all of it was measured.", lines)] if lines else []


def _told(arm: Record) -> str:
    return (
        f"{site_name(arm['site'])}, {arm_name(arm)}, strength {plain(arm['strength'], 1)}: P(female) moves by "
        f"{plain(arm['moved'])}{bracketed(arm, 'moved')}, 95 % of random sets by at most {plain(arm['q95_random'])}; "
        f"{plain(arm['anti_steerable'], 2)} of {plain(arm['items'])}{in_groups(arm['items'], arm['groups'])} go the other way; "
        f"KL elsewhere {plain(arm['kl'])} nats."
    )
