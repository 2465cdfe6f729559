"""How good each SAE is in each language, and what it costs the model."""

import math
from pathlib import Path
from typing import Any

from crosslens.summary.reading import Document, split_key
from crosslens.summary.records.base import Files, Record, equal_among_languages, expect

BASELINES = ("pca", "random_dictionary", "token_mean")


def records(files: Files) -> dict[str, list[Record]]:
    """`saes` and `gates_failed`."""
    saes = sae_records(files["quality"], files.get("spliced", {}))
    return {"saes": saes, "gates_failed": gates_failed(saes)}


def sae_records(quality: dict[str, Path], spliced: dict[str, Path]) -> list[dict[str, Any]]:
    """One record per SAE and language: reconstruction, sparsity, baselines, gates, and the loss when spliced in.

    Keys are `{corpus}/{language}`; what has no file in `spliced` is None there.
    """
    records = []
    for key, path in quality.items():
        corpus, language = split_key(key)
        doc = Document(path, "quality")
        record = {"corpus": corpus, "language": language}
        record |= {name: doc(name) for name in ("site", "sae", "architecture", "d_model", "d_sae")}
        record |= {name: doc(name) for name in ("tokens", "samples")}
        record |= {name: doc(name) for name in ("ev", "fvu", "cosine", "live", "dead")}
        record |= {"l0": doc("l0", "mean"), "l0_quantiles": doc("l0", "quantiles")}
        record |= {name: doc("baselines", name, "ev") for name in BASELINES}
        record["decoder_median"] = doc("decoder_cosine", "decoder", "median")
        record["decoder_alike"] = doc("decoder_cosine", "decoder", "alike_share")
        record["decoder_random_median"] = doc("decoder_cosine", "random", "median")
        record["gates"] = [
            {"gate": name, "passed": doc("gates", name, "passed"), "says": doc("gates", name, "says")}
            for name in doc("gates")
        ]
        records.append(record | _spliced(spliced.get(key)))
    return records


def _spliced(path: Path | None) -> dict[str, Any]:
    """Losses in nats a token; `_ci` are [low, high]; `splice_*` say of which SAE and on what they were measured."""
    values = {f"ce_{name}": ("ce", name) for name in ("clean", "spliced", "zero", "mean")}
    values |= {"ce_recovered": ("ce_recovered", "zero"), "ce_recovered_mean": ("ce_recovered", "mean")}
    values |= {"kl": ("kl", "spliced")}
    about = {
        "splice_sae": ("sae",),
        "splice_images": ("images",),
        "splice_tokens": ("tokens",),
        "identity_difference": ("identity", "max_abs_logit_difference"),
    }
    if path is None:
        return dict.fromkeys([*values, *(f"{name}_ci" for name in values), *about])
    doc = Document(path, "spliced")
    record = {name: doc(*keys, "value") for name, keys in values.items()}
    record |= {f"{name}_ci": doc(*keys, "ci") for name, keys in values.items()}
    return record | {name: doc(*keys) for name, keys in about.items()}


def gates_failed(saes: list[Record]) -> list[Record]:
    """One record per gate that an SAE fails in a language."""
    return [
        {"corpus": sae["corpus"], "language": sae["language"], "gate": gate["gate"], "says": gate["says"]}
        for sae in saes
        for gate in sae["gates"]
        if gate["passed"] is False
    ]


def check(summary: dict[str, Any]) -> None:
    """EV = 1 − FVU, live + dead = d_sae, one SAE per corpus, spliced in as measured, on the same samples."""
    site, digests = summary["site"], {}
    for record in summary["saes"]:
        where = f"quality of {record['corpus']}/{record['language']} at {site}"
        expect(where, "site", record["site"], site)
        expect(where, "the SAE's digest", record["sae"], digests.setdefault(record["corpus"], record["sae"]))
        expect(where, "live + dead", record["live"] + record["dead"], record["d_sae"])
        if record["ev"] is not None and not math.isclose(record["ev"], 1 - record["fvu"], abs_tol=1e-9):
            expect(where, "EV", record["ev"], 1 - record["fvu"])
        if not 0 <= record["l0"] <= record["d_sae"]:
            expect(where, "L0", record["l0"], f"0 to {record['d_sae']}")
        if record["splice_sae"] is not None:
            expect(f"spliced, {where}", "the SAE's digest", record["splice_sae"], record["sae"])
    equal_among_languages("test samples", summary["saes"], lambda r: (), lambda r: r["samples"])
