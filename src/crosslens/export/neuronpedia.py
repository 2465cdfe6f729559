"""SAEs of a built study as Neuronpedia's own JSON lines, for its importer.

Fields and types are those of neuronpedia-utils' `db_models`, the values those that its converter of SAEDashboard's outputs
gives them; what a study does not know (correlated neurons, attention heads, histograms of logits) is empty.
"""

import gzip
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from crosslens.errors import InputError
from crosslens.export.firing import Firing, Shown, pieces, read_texts
from crosslens.export.firing import firings as firings_of
from crosslens.export.graphs import Patched, graphs, write_graphs
from crosslens.results.built import Built
from crosslens.results.sae import OpenSAE
from crosslens.results.study import OpenStudy
from crosslens.sae.io import hook_name, sae_origin
from crosslens.sae.model import SAE
from crosslens.store.maintenance import explain
from crosslens.summary.reading import Document
from crosslens.tables.documents import read_table
from crosslens.tables.of_sae import check_of_sae

CREATOR = "clkht01d40000jv08hvalcvly"
"""Neuronpedia's default creator: its importer asks for one."""
BATCH = 1024
"""Features of one file, and of one pass over the codes."""
BINS, NEAREST, ALIGNED, PROMOTED = 50, 10, 3, 3
KINDS = {"resid_post": "res", "resid_pre": "res-pre", "attn_out": "att", "mlp_out": "mlp"}


def export_neuronpedia(
    study: OpenStudy,
    out: Path,
    *,
    saes: Iterable[str] | None = None,
    creator: str = "crosslens",
    url: str | None = None,
) -> list[Path]:
    """Write a folder `{model}/{layer}-{source set}` for each SAE below `out`, and return them.

    In it are release, model, sourceset and source.jsonl, and features, activations and (of studies with labels) explanations
    as `batch-N.jsonl.gz`. Where features were patched `{model}/graphs` has the attribution graphs (see `export.graphs`), and is
    the last that is returned. saes: some of `study.saes`, all by default. Activations are those of all texts of the study, of
    every split and language that the SAE is read in, sinks left out. The same study gives the same bytes. Raises InputError
    for a folder that is not empty, an SAE that the study has not, and what was not built.
    """
    chosen = list(study.saes) if saes is None else list(saes)
    unknown = [name for name in chosen if name not in study.saes]
    if unknown or not chosen:
        raise InputError(
            f"SAEs of {study.name}",
            found=", ".join(unknown) or "none",
            expected=f"some of {', '.join(study.saes)}" if study.saes else "a study with SAEs",
            mend="name them as {corpus}/{site}, or export another study",
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(
            out, found="something that is there", expected="a new or empty folder", mend="name another"
        )
    made = [_export(study.saes[name], out, creator, url) for name in chosen]
    return made + _graphs(study, [study.saes[name] for name in chosen], out, creator)


def _graphs(study: OpenStudy, saes: Sequence[OpenSAE], out: Path, creator: str) -> list[Path]:
    """The folder of the graphs; none of a study in which no feature was patched."""
    folders = []
    for corpus in dict.fromkeys(sae.corpus for sae in saes):
        of = [sae for sae in saes if sae.corpus == corpus]
        of = [sae for sae in of if study.has("feature_patching", corpus=corpus, site=sae.site)]
        # source sets hold one kind of site
        for kind in dict.fromkeys(sae.site.partition(".")[2] for sae in of):
            own = [sae for sae in of if sae.site.partition(".")[2] == kind]
            found = graphs(
                [_patched(sae) for sae in own],
                slug=_set_name(own[0]),
                model=_model_name(study),
                source_set=_set_name(own[0]),
                depth=_depth(study),
                creator=creator,
            )
            folders.append(out / _model_name(study) / "graphs")
            write_graphs(found, folders[-1])
    return folders[:1]


def _patched(sae: OpenSAE) -> Patched:
    folder = sae.study.path("feature_patching", corpus=sae.corpus, site=sae.site)
    document = Document(folder / "features.json", "feature_patching")
    check_of_sae(document.path, "patched features", document("sae"), sae.digest)
    tokens = sae.promoted[sae.promoted["side"] == "promoted"].sort_values("rank")
    promoted = {feature: of["token"].tolist()[:PROMOTED] for feature, of in tokens.groupby("feature")}

    def label(feature: int) -> str:
        return f"#{feature}, promotes {', '.join(promoted.get(feature, [])) or 'nothing'}"

    return Patched(sae.site, read_table(folder / "effects.parquet", "feature_patches"), document, label)


def _model_name(study: OpenStudy) -> str:
    with study.there():
        return _plain(study.at().study.model.name.split("/")[-1])


def _depth(study: OpenStudy) -> int:
    with study.there():
        return study.at().study.model.depth or 0


def _set_name(sae: OpenSAE) -> str:
    """Of the source set: SAEs of one corpus at one kind of site."""
    kind = sae.site.partition(".")[2] or "resid_post"
    return f"{_plain(sae.study.name)}-{_plain(sae.corpus)}-{KINDS[kind]}"


def _export(sae: OpenSAE, out: Path, creator: str, url: str | None) -> Path:
    study, identity = sae.study, sae.identity
    model, release, of_set = _model_name(study), _plain(study.name), _set_name(sae)
    source = f"{sae.site.partition('.')[0]}-{of_set}"
    folder = out / model / source
    made = explain(sae.folder / "cfg.json")["made"].removesuffix("+00:00")  # its importer reads naive times
    texts = read_texts(sae)
    own = {"creatorId": CREATOR, "createdAt": made}
    by = {"creatorName": creator, "urls": [url] if url else [], "creatorEmail": None}
    place = {"modelId": model, "layer": source}
    lengths = np.concatenate([np.diff(of.tokens.offsets) for of in texts])
    folder.mkdir(parents=True)
    _lines(folder / "release.jsonl", [_release(release, study, by, creator, source, of_set) | own])
    _lines(folder / "model.jsonl", [_model(model, study) | own | {"updatedAt": made}])
    _lines(
        folder / "sourceset.jsonl",
        [_source_set(model, of_set, release, f"{sae.corpus} SAEs of {study.name}", by) | own],
    )
    _lines(
        folder / "source.jsonl",
        [
            {
                **{"id": source, "modelId": model, "setName": of_set, "hasDashboards": True},
                **{"inferenceEnabled": False, "inferenceHosts": [], "saelensConfig": None},
                **{"saelensRelease": None, "saelensSaeId": None, "hfRepoId": None, "hfFolderId": None},
                **{"visibility": "PUBLIC", "defaultOfModelId": None, "hasUmap": False},
                **{"hasUmapLogSparsity": False, "hasUmapClusters": False, "num_prompts": len(lengths)},
                **{"num_tokens_in_prompt": int(lengths.max()), "dataset": _dataset(study, sae)},
                "notes": f"sha256 of the weights {sae.digest}; {sae_origin(sae.folder)[0]}, seed {identity['seed']}",
                **own,
            }
        ],
    )
    weights = sae.weights
    told = _Features(sae, weights)
    for number, start in enumerate(range(0, weights.d_sae, BATCH)):
        ids = np.arange(start, min(start + BATCH, weights.d_sae))
        found = list(firings_of(texts, ids))
        _packed(folder / f"features/batch-{number}.jsonl.gz", (place | told.record(of) | own for of in found))
        activations = (
            _activation(of.feature, shown, place, study.name) | own for of in found for shown in of.shown
        )
        _packed(folder / f"activations/batch-{number}.jsonl.gz", activations)
    if study.has("descriptions", corpus=sae.corpus, site=sae.site):
        _packed(
            folder / "explanations/batch-0.jsonl.gz", (place | of for of in explanations(sae, place, made))
        )
    return folder


def _release(
    name: str, study: Built, by: dict[str, Any], creator: str, source: str, of_set: str
) -> dict[str, Any]:
    return {
        **{"name": name, "description": f"SAEs of the study {study.name} (crosslens)"},
        **{"descriptionShort": study.name, "visibility": "PUBLIC", "isNewUi": False, "featured": False},
        **by,
        **{"creatorNameShort": creator, "defaultSourceSetName": of_set, "defaultSourceId": source},
        "defaultUmapSourceIds": [],
    }


def _model(name: str, study: Built) -> dict[str, Any]:
    with study.there():
        model = study.at().study.model
        d_model, depth = model.d_model, model.depth
    return {
        **{"id": name, "instruct": name.endswith("-it"), "displayNameShort": name, "displayName": name},
        **{"tlensId": None, "dimension": d_model, "visibility": "PUBLIC", "defaultSourceSetName": None},
        **{"defaultSourceId": None, "inferenceEnabled": False, "layers": depth or 0},
        **{"neuronsPerLayer": 0, "owner": "", "website": None},
    }


def _source_set(model: str, name: str, release: str, description: str, by: dict[str, Any]) -> dict[str, Any]:
    return {
        **{"modelId": model, "name": name, "hasDashboards": True, "visibility": "PUBLIC"},
        **{"description": description, "type": "", **by, "releaseName": release, "defaultOfModelId": None},
        **{"defaultRange": 1, "defaultShowBreaks": True, "showDfa": False, "showCorrelated": False},
        **{"showHeadAttribution": False, "showUmap": False},
    }


def _dataset(study: Built, sae: OpenSAE) -> str:
    return f"{study.name} ({', '.join(sae.languages)})"


class _Features:
    """What is told of each feature of one SAE."""

    def __init__(self, sae: OpenSAE, weights: SAE):
        promoted = sae.promoted.sort_values("rank")
        self.sides = {side: dict(list(of.groupby("feature"))) for side, of in promoted.groupby("side")}
        self.rows = weights.W_dec
        self.unit = torch.nn.functional.normalize(weights.W_dec, dim=1)
        target = sae_origin(sae.folder)[1]
        self.hook = hook_name(target or sae.site)

    def record(self, of: Firing) -> dict[str, Any]:
        """The fields of a feature but those of its place and maker."""
        row = self.rows[of.feature]
        largest = max((float(shown.values.max()) for shown in of.shown), default=0.0)
        heights, edges = (
            np.histogram(of.values, bins=BINS, range=(0, of.values.max())) if len(of.values) else ([], [])
        )
        aligned = row.topk(min(ALIGNED, len(row)))
        cosines = self.unit @ self.unit[of.feature]
        cosines[of.feature] = -2
        nearest = cosines.topk(min(NEAREST, len(cosines) - 1)) if bool(row.any()) else None
        return {
            **{"index": str(of.feature), "maxActApprox": _short(largest), "hasVector": True},
            **{"vector": _shortened(row.tolist()), "vectorLabel": None},
            **{"vectorDefaultSteerStrength": _short(largest), "hookName": self.hook},
            "topkCosSimIndices": [] if nearest is None else nearest.indices.tolist(),
            "topkCosSimValues": [] if nearest is None else _shortened(nearest.values.tolist()),
            "neuron_alignment_indices": aligned.indices.tolist(),
            "neuron_alignment_values": _shortened(aligned.values.tolist()),
            "neuron_alignment_l1": _shortened((aligned.values / row.abs().sum().clamp_min(1e-30)).tolist()),
            **{f"correlated_neurons_{of}": [] for of in ("indices", "pearson", "l1")},
            **{f"correlated_features_{of}": [] for of in ("indices", "pearson", "l1")},
            **self._tokens("neg", "suppressed", of.feature),
            **self._tokens("pos", "promoted", of.feature),
            "frac_nonzero": _short(len(of.values) / max(of.tokens, 1)),
            "freq_hist_data_bar_heights": [int(height) for height in heights],
            "freq_hist_data_bar_values": _shortened(
                [(a + b) / 2 for a, b in zip(edges, edges[1:], strict=False)]
            ),
            **{
                "logits_hist_data_bar_heights": [],
                "logits_hist_data_bar_values": [],
                "decoder_weights_dist": [],
            },
        }

    def _tokens(self, name: str, side: str, feature: int) -> dict[str, Any]:
        table = self.sides.get(side, {}).get(feature)
        return {
            f"{name}_str": [] if table is None else table["token"].tolist(),
            f"{name}_values": [] if table is None else _shortened(table["logit"].tolist()),
        }


def _activation(feature: int, shown: Shown, place: dict[str, str], study: str) -> dict[str, Any]:
    text = shown.text
    sample = text.tokens.sample_ids[shown.sample]
    values = _shortened(shown.values.tolist())
    # the strongest are marked as SAEDashboard marks them
    low, high, share = shown.interval or (-1.0, float(shown.values.max()), -1.0)
    return {
        "id": _id(*place.values(), str(feature), text.language, sample, str(shown.qualifying), str(low)),
        **place,
        **{"index": str(feature), "tokens": pieces(text, shown.sample), "values": values},
        **{"maxValue": max(values), "maxValueTokenIndex": values.index(max(values)), "minValue": min(values)},
        **{"dataSource": f"{study}/{text.language}/{text.rows[sample]['split']}", "dataIndex": sample},
        **{"dfaValues": [], "dfaTargetIndex": None, "dfaMaxValue": None},
        **{"lossValues": [], "logitContributions": None},
        **{"binMin": _short(low), "binMax": _short(high), "binContains": _short(share)},
        "qualifyingTokenIndex": shown.qualifying,
    }


def explanations(sae: OpenSAE, place: dict[str, str], made: str) -> Iterator[dict[str, Any]]:
    """A label in a language each; what it is worth is in `notes`."""
    path = sae.study.path("descriptions", corpus=sae.corpus, site=sae.site)
    document = json.loads(path.read_text(encoding="utf-8"))
    for row in document["rows"]:
        if row["label"] is None:
            continue
        worth = {name: row[name] for name in ("language", "accuracy", "p", "shuffled", "because")}
        asked = row["method"] == "endpoint"
        yield {
            "id": _id(*place.values(), str(row["feature"]), row["method"], row["language"]),
            **{"index": str(row["feature"]), "description": row["label"], "authorId": CREATOR},
            **{"embedding": None, "triggeredById": None, "typeName": f"crosslens_{row['method']}"},
            "explanationModelName": document["endpoint"]["model"] if asked else None,
            **{"notes": json.dumps(worth, ensure_ascii=False), "createdAt": made},
        }


def _id(*of: str) -> str:
    """25 characters that begin with c, as a cuid, the same for the same record."""
    return "c" + hashlib.sha256("\0".join(of).encode()).hexdigest()[:24]


def _plain(name: str) -> str:
    """Letters, digits, dots and dashes: part of an address."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-")


def _short(value: float) -> float:
    """To six digits, which float32 has."""
    return float(f"{value:.6g}")


def _shortened(values: Iterable[float]) -> list[float]:
    return [_short(value) for value in values]


def _text(records: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for record in records)


def _lines(path: Path, records: Iterable[dict[str, Any]]) -> None:
    path.write_text(_text(records), encoding="utf-8")


def _packed(path: Path, records: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(_text(records).encode(), compresslevel=5, mtime=0))
