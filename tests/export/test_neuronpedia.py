"""Neuronpedia's JSON lines, against its own schema written down here and against the artifacts as they lie."""

import gzip
import json
import re
from datetime import datetime
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import zarr
from safetensors.numpy import load_file

import crosslens
from crosslens.cli import parser
from crosslens.errors import InputError
from crosslens.export.neuronpedia import explanations, export_neuronpedia

TEXT, WHOLE, NUMBER, TRUTH = str, int, float, bool
NUMBERS, WHOLES, TEXTS = [float], [int], [str]


def or_null(kind):
    return (kind, None)


# neuronpedia-utils, db_models/*.py, and the columns of the tables that they fill
RELEASE = {
    **dict.fromkeys(["name", "description", "creatorName", "creatorId", "visibility", "createdAt"], TEXT),
    **dict.fromkeys(["isNewUi", "featured"], TRUTH),
    **dict.fromkeys(["descriptionShort", "creatorEmail", "creatorNameShort"], or_null(TEXT)),
    **dict.fromkeys(["defaultSourceSetName", "defaultSourceId"], or_null(TEXT)),
    **dict.fromkeys(["urls", "defaultUmapSourceIds"], TEXTS),
}
MODEL = {
    **dict.fromkeys(["id", "creatorId", "displayNameShort", "displayName", "visibility", "owner"], TEXT),
    **dict.fromkeys(["createdAt", "updatedAt"], TEXT),
    **dict.fromkeys(["instruct", "inferenceEnabled"], TRUTH),
    **dict.fromkeys(["tlensId", "defaultSourceSetName", "defaultSourceId", "website"], or_null(TEXT)),
    **{"dimension": or_null(WHOLE), "layers": WHOLE, "neuronsPerLayer": WHOLE},
}
SOURCE_SET = {
    **dict.fromkeys(["modelId", "name", "creatorId", "visibility", "description", "type"], TEXT),
    **dict.fromkeys(["creatorName", "createdAt"], TEXT),
    **dict.fromkeys(["hasDashboards", "defaultShowBreaks", "showDfa", "showCorrelated"], TRUTH),
    **dict.fromkeys(["showHeadAttribution", "showUmap"], TRUTH),
    **dict.fromkeys(["creatorEmail", "releaseName", "defaultOfModelId"], or_null(TEXT)),
    **{"urls": TEXTS, "defaultRange": WHOLE},
}
SOURCE = {
    **dict.fromkeys(["id", "modelId", "setName", "creatorId", "visibility", "createdAt"], TEXT),
    **dict.fromkeys(["hasDashboards", "inferenceEnabled", "hasUmap"], TRUTH),
    **dict.fromkeys(["hasUmapLogSparsity", "hasUmapClusters"], TRUTH),
    **dict.fromkeys(
        ["saelensConfig", "saelensRelease", "saelensSaeId", "hfRepoId", "hfFolderId"], or_null(TEXT)
    ),
    **dict.fromkeys(["defaultOfModelId", "dataset", "notes"], or_null(TEXT)),
    **dict.fromkeys(["num_prompts", "num_tokens_in_prompt"], or_null(WHOLE)),
    "inferenceHosts": TEXTS,
}
FEATURE = {
    **dict.fromkeys(["modelId", "layer", "index", "createdAt"], TEXT),
    **dict.fromkeys(["creatorId", "vectorLabel", "hookName"], or_null(TEXT)),
    **dict.fromkeys(["maxActApprox", "vectorDefaultSteerStrength"], or_null(NUMBER)),
    **{"hasVector": TRUTH, "frac_nonzero": NUMBER},
    **dict.fromkeys(["topkCosSimIndices", "neuron_alignment_indices"], WHOLES),
    **dict.fromkeys(["correlated_neurons_indices", "correlated_features_indices"], WHOLES),
    **dict.fromkeys(
        ["vector", "topkCosSimValues", "neuron_alignment_values", "neuron_alignment_l1"], NUMBERS
    ),
    **dict.fromkeys(["correlated_neurons_pearson", "correlated_neurons_l1"], NUMBERS),
    **dict.fromkeys(["correlated_features_pearson", "correlated_features_l1"], NUMBERS),
    **dict.fromkeys(["neg_values", "pos_values", "decoder_weights_dist"], NUMBERS),
    **dict.fromkeys(["freq_hist_data_bar_heights", "freq_hist_data_bar_values"], NUMBERS),
    **dict.fromkeys(["logits_hist_data_bar_heights", "logits_hist_data_bar_values"], NUMBERS),
    **dict.fromkeys(["neg_str", "pos_str"], TEXTS),
}
ACTIVATION = {
    **dict.fromkeys(["id", "index", "layer", "modelId", "creatorId", "createdAt"], TEXT),
    **dict.fromkeys(["dataSource", "dataIndex", "logitContributions"], or_null(TEXT)),
    **{"tokens": TEXTS, "maxValue": NUMBER, "minValue": NUMBER, "maxValueTokenIndex": WHOLE},
    **dict.fromkeys(["values", "dfaValues", "lossValues"], NUMBERS),
    **dict.fromkeys(["dfaMaxValue", "binMin", "binMax", "binContains"], or_null(NUMBER)),
    **dict.fromkeys(["dfaTargetIndex", "qualifyingTokenIndex"], or_null(WHOLE)),
}
EXPLANATION = {
    **dict.fromkeys(["id", "modelId", "layer", "index", "description", "authorId", "createdAt"], TEXT),
    **dict.fromkeys(["triggeredById", "typeName", "explanationModelName", "notes"], or_null(TEXT)),
    "embedding": or_null(NUMBERS),
}


def is_a(value, kind):
    if isinstance(kind, tuple):
        return value is None or is_a(value, kind[0])
    if isinstance(kind, list):
        return isinstance(value, list) and all(is_a(each, kind[0]) for each in value)
    if kind in (float, int):
        allowed = (int, float) if kind is float else int
        return isinstance(value, allowed) and not isinstance(value, bool)
    return isinstance(value, kind)


def check(records, schema):
    assert records
    for record in records:
        assert record.keys() == schema.keys(), record.keys() ^ schema.keys()
        wrong = {name: value for name, value in record.items() if not is_a(value, schema[name])}
        assert not wrong


def lines(path):
    data = path.read_bytes()
    text = gzip.decompress(data) if path.suffix == ".gz" else data
    return [json.loads(line) for line in text.decode("utf-8").splitlines()]


@pytest.fixture(scope="module")
def folder(built_once, tmp_path_factory):
    out = tmp_path_factory.mktemp("neuronpedia") / "exported"
    study = crosslens.open_study(built_once.folder / "results/toy")
    (made,) = export_neuronpedia(study, out, creator="A. Nother", url="https://example.org")
    assert made == out / "planted/1-toy-joint-res"
    return made


@pytest.fixture(scope="module")
def results(built_once):
    return built_once.folder / "results/toy"


@pytest.fixture(scope="module")
def fired(results):
    """language → (dense codes without sinks (m, F), token rows), by the words of docs/storage.md."""
    found = {}
    for language in ("en", "ar"):
        group = zarr.open_group(results / f"codes/joint/{language}/layer_1.zarr", mode="r")
        arrays = {name: group[name][:] for name in ("token", "norm", "indptr", "indices", "values")}
        dense = np.zeros((len(arrays["token"]), group.attrs["d_sae"]), dtype=np.float32)
        rows = np.repeat(np.arange(len(dense)), np.diff(arrays["indptr"]))
        dense[rows, arrays["indices"]] = arrays["values"]
        keep = arrays["norm"] <= 10 * np.median(arrays["norm"])
        found[language] = dense[keep], arrays["token"][keep]
    return found


def test_files_have_the_fields_of_the_importer(folder):
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names == {
        *(f"{name}.jsonl" for name in ("release", "model", "sourceset", "source")),
        "features/batch-0.jsonl.gz",
        "activations/batch-0.jsonl.gz",
    }
    for name, schema in {
        "release": RELEASE,
        "model": MODEL,
        "sourceset": SOURCE_SET,
        "source": SOURCE,
    }.items():
        check(found := lines(folder / f"{name}.jsonl"), schema)
        assert len(found) == 1
        datetime.fromisoformat(found[0]["createdAt"])
    check(lines(folder / "features/batch-0.jsonl.gz"), FEATURE)
    check(lines(folder / "activations/batch-0.jsonl.gz"), ACTIVATION)
    (release,), (of_set,) = lines(folder / "release.jsonl"), lines(folder / "sourceset.jsonl")
    (source,), (model,) = lines(folder / "source.jsonl"), lines(folder / "model.jsonl")
    assert source["id"] == f"1-{source['setName']}" == release["defaultSourceId"] == folder.name
    assert (of_set["name"], of_set["releaseName"]) == (source["setName"], release["name"])
    assert (release["creatorName"], release["urls"]) == ("A. Nother", ["https://example.org"])
    assert source["modelId"] == of_set["modelId"] == model["id"] == folder.parent.name
    assert re.fullmatch(r"[A-Za-z0-9.-]+", folder.name)


def test_numbers_of_features_are_those_of_the_artifacts(folder, results, fired):
    features = lines(folder / "features/batch-0.jsonl.gz")
    weights = load_file(results / "sae/joint/layer_1/seed_0/sae_weights.safetensors")["W_dec"]
    unit = weights / np.linalg.norm(weights, axis=1, keepdims=True)
    promoted = pq.read_table(results / "lens/promoted/joint/layer_1/tokens.parquet").to_pandas()
    every = np.concatenate([dense for dense, _ in fired.values()])
    assert [feature["index"] for feature in features] == [str(i) for i in range(len(weights))]
    assert (every > 0).any(axis=0).sum() > 20
    for number, feature in enumerate(features):
        active = every[every[:, number] > 0, number]
        assert feature["frac_nonzero"] == pytest.approx(len(active) / len(every), rel=1e-5)
        assert feature["maxActApprox"] == pytest.approx(active.max() if len(active) else 0, rel=1e-5)
        assert feature["vectorDefaultSteerStrength"] == feature["maxActApprox"]
        assert sum(feature["freq_hist_data_bar_heights"]) == len(active)
        bars = feature["freq_hist_data_bar_values"]
        assert len(bars) == len(feature["freq_hist_data_bar_heights"]) and bars == sorted(bars)
        if len(active):
            mean = np.dot(bars, feature["freq_hist_data_bar_heights"]) / len(active)
            assert abs(mean - active.mean()) <= active.max() / 50
        assert np.allclose(feature["vector"], weights[number], rtol=1e-5, atol=1e-8)
        assert feature["hookName"] == "blocks.1.hook_resid_post" and feature["hasVector"]
        for name, side in (("pos", "promoted"), ("neg", "suppressed")):
            own = promoted[(promoted["feature"] == number) & (promoted["side"] == side)].sort_values("rank")
            assert feature[f"{name}_str"] == own["token"].tolist()
            assert np.allclose(feature[f"{name}_values"], own["logit"], rtol=1e-5)
        cosines = unit @ unit[number]
        near = feature["topkCosSimIndices"]
        assert number not in near and len(near) == 10
        assert np.allclose(cosines[near], feature["topkCosSimValues"], atol=1e-5)
        assert sorted(np.delete(cosines, number))[-10:] == pytest.approx(
            feature["topkCosSimValues"][::-1], abs=1e-5
        )
        aligned = feature["neuron_alignment_indices"]
        assert feature["neuron_alignment_values"] == pytest.approx(
            np.sort(weights[number])[::-1][:3], rel=1e-4
        )
        assert np.allclose(
            weights[number][aligned] / np.abs(weights[number]).sum(),
            feature["neuron_alignment_l1"],
            rtol=1e-4,
        )


def test_activations_are_texts_of_the_study_with_the_codes_of_their_tokens(folder, results, fired):
    activations = lines(folder / "activations/batch-0.jsonl.gz")
    assert len({activation["id"] for activation in activations}) == len(activations)
    assert all(re.fullmatch(r"c[0-9a-z]{24}", activation["id"]) for activation in activations)
    tokens, tables = {}, {}
    for language in ("en", "ar"):
        parts = sorted(results.glob(f"activations/{language}/tokens/part_*.zarr"))
        groups = [zarr.open_group(part, mode="r") for part in parts]
        lengths = np.concatenate([np.diff(group["offsets"][:]) for group in groups])
        ids = [sample for group in groups for sample in group.attrs["sample_ids"]]
        ends = np.cumsum(lengths)
        tokens[language] = {
            id: (end - length, end) for id, end, length in zip(ids, ends, lengths, strict=True)
        }
        tables[language] = (
            pq.read_table(results / f"dataset/{language}.parquet").to_pandas().set_index("sample_id")
        )
    whole = np.concatenate([dense for dense, _ in fired.values()])
    active = [column[column > 0] for column in whole.T]
    strongest = {}
    # every third: a feature has more than three
    for activation in activations[::3]:
        study, language, split = activation["dataSource"].split("/")
        row = tables[language].loc[activation["dataIndex"]]
        assert (study, split) == ("toy", row["split"])
        said = "".join(token for token in activation["tokens"] if token not in ("<prompt>", "<caption>"))
        assert said == f"{row['prompt']}\n{row['caption']}"
        start, stop = tokens[language][activation["dataIndex"]]
        dense, place = fired[language]
        expected = np.zeros(stop - start, dtype=np.float32)
        own = (place >= start) & (place < stop)
        expected[place[own] - start] = dense[own, int(activation["index"])]
        values = np.array(activation["values"])
        assert len(activation["tokens"]) == len(values) and np.allclose(values, expected, rtol=1e-5)
        assert activation["maxValue"] == values.max() == values[activation["maxValueTokenIndex"]] > 0
        assert activation["minValue"] == values.min()
        shown = values[activation["qualifyingTokenIndex"]]
        if activation["binMin"] == -1:
            assert shown == activation["maxValue"] == activation["binMax"]
            strongest.setdefault((activation["index"], language), []).append(shown)
        else:
            assert activation["binMin"] * (1 - 1e-5) <= shown <= activation["binMax"] * (1 + 1e-5)
            every = active[int(activation["index"])]
            low, high = (activation[name] * (1 + 1e-5) for name in ("binMin", "binMax"))
            share = ((every > low) & (every <= high)).mean()
            assert activation["binContains"] == pytest.approx(share, abs=2 / len(every))
    for found in strongest.values():
        assert found == sorted(found, reverse=True) and len(found) <= 10
    assert {language for _, language in strongest} == {"en", "ar"}
    dead = {
        feature["index"]
        for feature in lines(folder / "features/batch-0.jsonl.gz")
        if not feature["frac_nonzero"]
    }
    assert dead and dead.isdisjoint(activation["index"] for activation in activations)


def test_the_same_study_gives_the_same_bytes_by_the_command(folder, built_once, tmp_path, monkeypatch):
    monkeypatch.chdir(built_once.folder)
    command = ["export", "neuronpedia", "toy", "--out", str(tmp_path / "again"), "--sae", "joint/1"]
    args = parser().parse_args([*command, "--creator", "A. Nother", "--url", "https://example.org"])
    assert args.run(args) == 0
    for path in folder.rglob("*"):
        if path.is_file():
            again = tmp_path / "again" / path.relative_to(folder.parents[1])
            assert again.read_bytes() == path.read_bytes(), path.name
    with pytest.raises(InputError, match="something that is there"):
        args.run(args)
    args = parser().parse_args([*command[:-1], "joint/7"])
    with pytest.raises(InputError, match="found joint/7; expected some of joint/1"):
        args.run(args)


def test_labels_are_explanations_that_say_what_they_are_worth(tmp_path):
    """Of a study with labels: a language each; one that has none is left out."""
    row = {
        **{"method": "ngrams", "feature": 3, "language": "ar", "label": "امرأة", "p": 0.01, "shuffled": 0.5},
        **{"accuracy": {"value": 0.9, "low": 0.7, "high": 0.97}, "because": None},
    }
    asked = row | {"method": "endpoint", "language": "en", "label": "a woman"}
    path = tmp_path / "descriptions.json"
    path.write_text(
        json.dumps(
            {"rows": [row, asked, row | {"feature": 4, "label": None}], "endpoint": {"model": "a-model"}}
        )
    )
    sae = SimpleNamespace(study=SimpleNamespace(path=lambda kind, **of: path), corpus="joint", site="1")
    place = {"modelId": "m", "layer": "1-s"}
    found = [place | of for of in explanations(sae, place, "2026-01-01T00:00:00")]
    check(found, EXPLANATION)
    assert [(of["index"], of["description"], of["typeName"], of["explanationModelName"]) for of in found] == [
        ("3", "امرأة", "crosslens_ngrams", None),
        ("3", "a woman", "crosslens_endpoint", "a-model"),
    ]
    assert json.loads(found[0]["notes"])["accuracy"] == {"value": 0.9, "low": 0.7, "high": 0.97}
