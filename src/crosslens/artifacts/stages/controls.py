"""A study beside its controls: the same measures of all of them in one document and one figure."""

from crosslens.artifacts.kinds import At, Kind, Need, Wildcards, Work
from crosslens.study.controls import controls_of


def compared(at: At) -> list[Need]:
    """The summary of the study, and those of its controls in their order."""
    names = [at["study"], *controls_of(at["study"], at.settings["controls"])]
    return [at.need("summary", study=name) for name in names]


def controlled(at: At) -> list[Wildcards]:
    """Once, where the study names controls."""
    return [{}] if at.settings["controls"] else []


KINDS = [
    Kind(
        "controls",
        "results/{study}/controls.json",
        by="compare_controls",
        module="crosslens.summary.controls",
        params=lambda at: {"controls": at.settings["controls"]},
        needs=compared,
        every=controlled,
        into=("page",),
    ),
    Kind(
        "control_figure",
        "results/{study}/figures",
        by="draw_controls",
        module="crosslens.figures.controls",
        needs=lambda at: [at.need("controls")],
        every=controlled,
        into=("page",),
        files={
            "controls.png": "What was measured per layer, in this study and in its controls, on the same axes."
        },
    ),
]
WORK = [Work("compare_controls", minutes=30, memory=1000), Work("draw_controls", minutes=30, memory=1500)]
