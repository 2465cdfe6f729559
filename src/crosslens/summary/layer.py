"""One layer's summary: the headline numbers of all corpora and languages in one document."""

import math
from pathlib import Path
from typing import Any

from crosslens.errors import InputError
from crosslens.summary.records import (
    cka_records,
    cross_lingual_records,
    direction_records,
    gender_records,
    probe_records,
    ranking_records,
    retrieval_records,
    sae_records,
    training_records,
    transfer_records,
)
from crosslens.tables.documents import write_json


def layer_summary(
    *,
    site: str,
    training: dict[str, Path],
    quality: dict[str, Path],
    spliced: dict[str, Path],
    rankings: dict[str, Path],
    gender: dict[str, Path],
    probes: dict[str, Path],
    cross_lingual: dict[str, Path],
    transfer: Path | None = None,
    retrieval: Path | None = None,
    out: Path,
) -> None:
    """Gather the analysis files of `site` into `out`, JSON of kind `layer`, after checking them against each other.

    Keys: `training` and `cross_lingual` by corpus, the others by `{corpus}/{language}`; transfer: JSON of kind
    gender_transfer; retrieval: JSON of kind retrieval. Any of them may be empty: a study of one language or without
    gender. Each of `saes`, `training`, `gender`, `probes`, `cross_lingual`, `transfer`, `directions`, `retrieval`, `cka`
    and `rankings` is a list of flat records; what was not measured is None. Raises InputError where a file or field is
    missing or a check fails: EV = 1 − FVU, live + dead = d_sae, the same site everywhere, one SAE per corpus, and the
    same number of test samples and pictures in all languages.
    """
    summary: dict[str, Any] = {
        "site": site,
        "saes": sae_records(quality, spliced),
        "training": training_records(training),
        "gender": gender_records(gender),
        "probes": probe_records(probes),
        "cross_lingual": cross_lingual_records(cross_lingual),
        "transfer": transfer_records(transfer),
        "directions": direction_records(transfer),
        "retrieval": retrieval_records(retrieval),
        "cka": cka_records(retrieval),
        "rankings": ranking_records(rankings),
    }
    check(summary)
    summary["corpora"] = list(dict.fromkeys(record["corpus"] for record in summary["saes"]))
    summary["languages"] = list(dict.fromkeys(record["language"] for record in summary["saes"]))
    summary["gates_failed"] = [
        {
            "corpus": record["corpus"],
            "language": record["language"],
            "gate": gate["gate"],
            "says": gate["says"],
        }
        for record in summary["saes"]
        for gate in record["gates"]
        if gate["passed"] is False
    ]
    write_json(out, "layer", summary)


def check(summary: dict[str, Any]) -> None:
    """Raise InputError where the numbers of a layer contradict each other."""
    site, digests = summary["site"], {}
    for record in summary["saes"]:
        where = f"quality of {record['corpus']}/{record['language']} at {site}"
        _expect(where, "site", record["site"], site)
        _expect(where, "the SAE's digest", record["sae"], digests.setdefault(record["corpus"], record["sae"]))
        _expect(where, "live + dead", record["live"] + record["dead"], record["d_sae"])
        if record["ev"] is not None and not math.isclose(record["ev"], 1 - record["fvu"], abs_tol=1e-9):
            _expect(where, "EV", record["ev"], 1 - record["fvu"])
        if not 0 <= record["l0"] <= record["d_sae"]:
            _expect(where, "L0", record["l0"], f"0 to {record['d_sae']}")
        if record["splice_sae"] is not None:
            _expect(f"spliced, {where}", "the SAE's digest", record["splice_sae"], record["sae"])
    for kind in ("rankings", "probes"):
        for record in summary[kind]:
            where = f"{kind} of {record['corpus']}/{record['language']} at {site}"
            _expect(where, "site", record["site"], site)
            if record["sae"] is not None:
                _expect(where, "the SAE's digest", record["sae"], digests.get(record["corpus"]))
    for kind in ("transfer", "retrieval"):
        for record in summary[kind]:
            where = f"{kind} from {record['source']} to {record['target']} at {site}"
            _expect(where, "site", record["site"], site)
    for record in summary["gender"]:
        where = f"gender of {record['corpus']}/{record['language']} at {site}"
        _expect(where, "site", record["site"], site)
        _expect(where, "the SAE's digest", record["sae"], digests.get(record["corpus"]))
        if record["significant"] > record["live"]:
            _expect(
                where, "significant features", record["significant"], f"at most {record['live']} live ones"
            )
    _equal_among_languages("test samples", summary["saes"], lambda r: (), lambda r: r["samples"])
    _equal_among_languages(
        "test pictures", summary["gender"], lambda r: r["condition"], lambda r: _pictures(r["images"]["test"])
    )


def _pictures(counts: dict[str, int]) -> int | None:
    """Pictures of any gender: the languages may disagree on the gender, not on the pictures.

    None where samples had nothing to pool and were dropped (and counted): then the languages may differ.
    """
    if counts["dropped_samples"]:
        return None
    return sum(number for name, number in counts.items() if name != "dropped_samples")


def _expect(where: str, what: str, found: Any, expected: Any) -> None:
    if found != expected:
        raise InputError(
            where,
            found=f"{what} {found}",
            expected=str(expected),
            mend="rebuild the files of this layer from one run",
        )


def _equal_among_languages(what: str, records: list[dict], group, value) -> None:
    seen: dict[Any, tuple[str, Any]] = {}
    for record in records:
        if value(record) is None:
            continue
        language, number = seen.setdefault(group(record), (record["language"], value(record)))
        if number != value(record):
            raise InputError(
                f"{record['corpus']}/{record['language']}",
                found=f"{value(record)} {what}",
                expected=f"{number}, as in {language}",
                mend="rebuild the activations of both languages from one dataset",
            )
