"""Can it be steered, and at what price?"""

from crosslens.report.answers.base import Answer, Dot
from crosslens.report.numbers import bracketed, level_words, plain
from crosslens.report.sections.base import Record, Results
from crosslens.report.sections.steering import arm_name
from crosslens.summary.claims import steers
from crosslens.summary.names import short_name, site_name

ORDER = 40
QUESTION = "Can it be steered, and at what price?"
SHOWN = 3
"""Arms of a language that the figure has."""


def answer(results: Results) -> Answer:
    """By the arm that moves each language furthest, beside random features as strong."""
    arms = [arm for arm in results.records("steered") if arm["moved"] is not None]
    if not arms:
        return Answer(QUESTION, "warning", "Not asked: add `steering: {}` to the study.")
    tested = results.tested(arms, "random sets")
    told, dots, yes = [], [], [arm for arm in tested if steers(arm, results.level)]
    for code in dict.fromkeys(arm["language"] for arm in arms):
        own = [arm for arm in arms if arm["language"] == code]
        sure = [arm for arm in yes if arm["language"] == code]
        own.sort(key=lambda arm: -arm["moved"])
        beyond = "" if sure or not yes else "not beyond random features: "
        told.append(f"{short_name(code)}: {beyond}{_told(max(sure or own, key=lambda arm: arm['moved']))}")
        dots += [_dot(arm) for arm in own[:SHOWN]]
    lines = [
        f"The furthest of {len(arms)} arms on these data, and so likely less on others; strengths were chosen on select."
    ]
    if yes:
        count = f"{len(yes)} of {len(tested)} arms (q ≤ {level_words(results.level)})"
        kind, verdict = "found", f"Yes, further than by random features in {count}. {' '.join(told)}"
    elif tested:
        kind, verdict = (
            "null",
            f"Not beyond random features as strong, in any of {len(tested)} arms. {' '.join(told)}",
        )
    else:
        because = results.reasons(arms, "random sets")
        kind, verdict = "description", f"Described, not tested, because {because}. {' '.join(told)}"
    return Answer(QUESTION, kind, verdict, lines, dots, "How far P(female) moves", "steering")


def _told(arm: Record) -> str:
    valid = "" if arm["valid"] is None else f", {plain(100 * arm['valid'], 0)} % of captions valid"
    return (
        f"P(female) moves by {plain(arm['moved'], 2)}{bracketed(arm, 'moved', 2)} by {arm_name(arm)} at {site_name(arm['site'])} "
        f"(95 % of random sets: at most {plain(arm['q95_random'], 2)}), at {plain(arm['kl'], 2)} nats a token elsewhere{valid}."
    )


def _dot(arm: Record) -> Dot:
    chance = None if arm["q95_random"] is None else (0.0, arm["q95_random"])
    name = f"{short_name(arm['language'])}: {arm_name(arm)}"
    return Dot(name, arm["moved"], arm["moved_low"], arm["moved_high"], chance, arm["language"])
