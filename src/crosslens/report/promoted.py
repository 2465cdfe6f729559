"""The tokens that a feature promotes and suppresses, in a line."""

from markupsafe import Markup

from crosslens.features.promoted import Promoted
from crosslens.report.html import tag, term
from crosslens.report.sections.base import Results

SHOWN = 8
"""Of a side."""
TERM = (
    "Promotes, suppresses",
    "The tokens whose logits the feature's decoder row raises and lowers most where it is added behind the last block: the row "
    "through the model's own final norm and unembedding (logit lens). What later blocks make of it is not in it, so that of "
    "an early layer it says little.",
)
Tokens = dict[tuple[str, str], Promoted]
"""(corpus, site) to the tokens of that SAE."""


def read_promoted(results: Results) -> Tokens:
    """All that a study has."""
    found = results.files.get("promoted", {})
    return {tuple(key.split("/")): Promoted(folder) for key, folder in found.items()}


def promoted_line(promoted: Promoted, feature: int) -> Markup:
    """`Promotes she, her; suppresses he, his.`; nothing of a row of zeros."""
    sides = {side: promoted.tokens(feature, side, SHOWN) for side in ("promoted", "suppressed")}
    if not sides["promoted"]:
        return Markup("")
    named = {side: Markup(", ").join(tag("bdi", token) for token in tokens) for side, tokens in sides.items()}
    line = Markup("{} {}; suppresses {}. ")
    return line.format(term("promoted", "Promotes"), named["promoted"], named["suppressed"])
