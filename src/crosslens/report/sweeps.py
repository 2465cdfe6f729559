"""The sweeps of SAE settings, as the page shows them."""

from pathlib import Path
from typing import Any

from crosslens.errors import InputError
from crosslens.report.pictures import Picture
from crosslens.summary.names import corpus_name, language_name, site_name, site_order
from crosslens.summary.reading import Document
from crosslens.summary.sweep import OWN

GATES = {"sparse": "sparse", "beats_pca": "better than PCA", "alive": "alive"}
"""A gate's name in quality documents -> its name on the page."""


def sweep_views(sweeps: dict[str, Path], pictures: dict[str, Picture]) -> list[dict[str, Any]]:
    """A table, the recommendation in words and the figure of each sweep, by depth.

    sweeps: `{corpus}/{site}` -> JSON of kind sweep; its figure is `{corpus}/{site}/pareto` of `pictures`.
    """
    views = []
    for key, path in sorted(sweeps.items(), key=lambda item: site_order(item[0].rpartition("/")[2])):
        doc = Document(path, "sweep")
        if f"{doc('corpus')}/{doc('site')}" != key:
            found = f"the sweep of {doc('corpus')}/{doc('site')}"
            raise InputError(path, found=found, expected=key, mend="name the right file")
        views.append(
            {
                "title": f"{corpus_name(doc('corpus'))}, {site_name(doc('site'))}",
                "settings": [_row(setting, doc("recommended")) for setting in doc("settings")],
                "why": f"Recommended: {_named(doc('recommended'))}, as it has {doc('why')}.",
                "figure": pictures.get(f"{key}/pareto"),
            }
        )
    return views


def _named(name: str) -> str:
    return "the study's own settings" if name == OWN else name


def _row(setting: dict[str, Any], recommended: str) -> dict[str, Any]:
    failed = [
        f"{GATES.get(gate['gate'], gate['gate'])} ({language_name(gate['language'])}): {gate['says']}"
        for gate in setting["gates_failed"]
    ]
    names = ("architecture", "d_sae", "l0", "fvu", "ce_recovered", "dead", "pareto")
    return {
        "name": _named(setting["name"]),
        "recommended": setting["name"] == recommended,
        "failed": "; ".join(failed),
        **{name: setting[name] for name in names},
    }
