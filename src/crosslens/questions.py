"""What a study is asked: the order of the written summary, and the categories of `snakemake --report`."""

from typing import NamedTuple


class Question(NamedTuple):
    """One question, with what answers it."""

    name: str
    """Folder of its tables."""
    asks: str
    sections: tuple[str, ...]
    """Members of crosslens.report.sections, in the order in which they are read."""
    figures: tuple[str, ...] = ()
    """Pictures by their file's stem."""


STUDIED = Question("studied", "What was studied?", ("data",))
QUESTIONS = (
    Question(
        "quality",
        "How good are the dictionaries?",
        ("quality", "sweep"),
        ("quality", "training", "density", "decoder", "pareto"),
    ),
    Question(
        "biased",
        "Is the model biased, and by how much?",
        ("stereotype", "agreement"),
        ("stereotype", "agreement"),
    ),
    Question(
        "represented",
        "What tells the genders apart inside the model?",
        ("gender", "robustness", "features"),
        ("gender_features", "probes", "sparse_probes", "robustness"),
    ),
    Question(
        "shared",
        "Do the languages share it?",
        ("transfer", "cross_lingual", "retrieval", "sharing", "matching", "substitution", "ablation"),
        ("transfer", "effect_sizes", "retrieval", "sharing", "matching", "substitution", "ablation"),
    ),
    Question("diverge", "Where do the languages part, layer by layer?", ("divergence",), ("divergence",)),
    Question(
        "steered",
        "Can it be steered, and at what price?",
        ("steering", "groups", "clamp"),
        ("dose_response", "frontier"),
    ),
    Question(
        "carried",
        "Which parts of the model carry it?",
        ("patching", "feature_patching", "lens", "attention"),
        (
            *("patching", "patched_heads", "interchange", "attribution"),
            *("lens", "attention", "attention_pictures"),
        ),
    ),
    Question("grammatical", "Is it the gender of persons or of grammar?", ("grammar",), ("grammar",)),
    Question(
        "meaning",
        "What do features stand for, and what shape have they?",
        ("rankings", "concepts", "descriptions", "geometry", "maps"),
        ("specialists", "samples_map", "decoder_map", "geometry", "circuits"),
    ),
    Question("controls", "What do controls reach?", ("controls", "verdicts"), ("controls",)),
    Question("statements", "Which statements of others live here?", ("verdicts",)),
)
"""What the results answer."""
OTHER = Question("other", "What else was measured?", ())
"""Of sections and figures that no question names."""
SETTINGS = Question("settings", "Where does it come from?", ("provenance",))
ALL = (STUDIED, *QUESTIONS, OTHER, SETTINGS)
"""In the order of the written summary."""
STUDY = "The whole study"
"""Category of what is of no question: the pages."""


def of_section(name: str) -> Question:
    """The question that a section answers."""
    return next((question for question in ALL if name in question.sections), OTHER)


def of_figure(stem: str) -> Question:
    """The question that a picture answers."""
    return next((question for question in ALL if stem in question.figures), OTHER)


def asks(name: str) -> str:
    """The words of the question of that name."""
    return next(question.asks for question in ALL if question.name == name)
