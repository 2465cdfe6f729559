"""Statements of claims/, tried on a study, its controls and others."""

from crosslens.artifacts.kinds import At, Kind, Need, Wildcards, Work
from crosslens.study.claims import read_claims
from crosslens.study.controls import controls_of


def roles(at: At) -> dict[str, str]:
    """Study -> what it is to the claims: see summary.verdicts."""
    asked, own = at.settings["claims"], at["study"]
    return {
        own: "",
        **dict.fromkeys(asked["over"], ""),
        **controls_of(own, at.settings["controls"]),
        **dict.fromkeys(asked["without"], "without"),
    }


def summed_up(at: At) -> list[Need]:
    """The summaries of them all."""
    return [at.need("summary", study=name) for name in roles(at)]


def asked(at: At) -> list[Wildcards]:
    """Once, where the study asks for it."""
    return [{}] if at.settings["claims"] else []


KINDS = [
    Kind(
        "verdicts",
        "results/{study}/verdicts.json",
        by="judge_claims",
        module="crosslens.summary.verdicts",
        params=lambda at: {"claims": read_claims(at.settings["claims"]["statements"]), "roles": roles(at)},
        needs=summed_up,
        every=asked,
        into=("page",),
    ),
]
WORK = [Work("judge_claims", minutes=30, memory=1000)]
