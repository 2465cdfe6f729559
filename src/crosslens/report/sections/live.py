"""Where the model can be run, and why not where it cannot."""

from crosslens.report.html import missing, tag
from crosslens.report.links import PAGES
from crosslens.report.sections.base import Results, Section

ORDER = 998


def section(results: Results) -> Section:
    """Every study has the page, or a reason why it has none."""
    if "live" in results.files:
        body = tag(
            "p",
            tag("a", "The model, live", href=PAGES["live"][0]),
            ": a page, in the folder beside this one, that runs the model of this study in the browser. Begin a caption, see the "
            "features fire, switch one off, steer along it, or patch the states of a run in the other language into it, and read "
            "what the model writes then.",
        )
    else:
        why = results.absent.get("live") or "it was not made"
        body = missing(f"No page runs the model of this study, because {why}.")
    return Section("live", "Live", "The model, live", [body])
