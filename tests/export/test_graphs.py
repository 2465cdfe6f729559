"""Attribution graphs of patched features, of real patches in a small model, against the importer's schema and the rows."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft7Validator

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
sys.path.insert(0, str(Path(__file__).parents[1] / "interventions"))
import tiny
from test_feature_patching import DRAWS, SITE, an_sae
from test_patching import CASES, shallow

from crosslens.export.graphs import OUTCOME, Patched, graphs, write_graphs
from crosslens.interventions.feature_patching import FeaturePatcher, told
from crosslens.summary.reading import Document
from crosslens.tables.documents import write_json

TEXT, TEXTS = {"type": "string"}, {"type": "array", "items": {"type": "string"}}


def record(required, **more):
    """A schema of an object with these fields at least."""
    return {"type": "object", "properties": required | more, "required": [*required]}


# Neuronpedia's graph-schema.json, version 1.0.0: what it requires, and the types that it gives
GRAPH = record(
    {
        "metadata": record(
            {"slug": TEXT, "scan": TEXT, "prompt_tokens": TEXTS, "prompt": TEXT},
            feature_details=record({}, neuronpedia_source_set=TEXT),
            info=record(
                {}, description=TEXT, creator_name=TEXT, generator=record({"name": TEXT, "version": TEXT})
            ),
            generation_settings={"type": "object"},
        ),
        "qParams": record(
            {}, pinnedIds=TEXTS, supernodes={"type": "array"}, linkType=TEXT, clickedId=TEXT, sg_pos=TEXT
        ),
        "nodes": {
            "type": "array",
            "items": record(
                {
                    **dict.fromkeys(("node_id", "feature_type", "jsNodeId", "clerp"), TEXT),
                    "feature": {"type": ["integer", "null"]},
                    "layer": {"type": ["string", "integer"]},
                    "ctx_idx": {"type": "integer"},
                }
            ),
        },
        "links": {
            "type": "array",
            "items": record({"source": TEXT, "target": TEXT, "weight": {"type": "number"}}),
        },
    }
)


@pytest.fixture(scope="module")
def patched(tmp_path_factory):
    """Effects of a few pairs of runs, and the document that the stage makes of them."""
    folder = tmp_path_factory.mktemp("graphs")
    model = shallow(tiny.save_tiny_text(folder / "model"))
    effects, _ = FeaturePatcher(model, None, an_sae(), SITE, pictures=False, seed=0).effects(CASES, 3, 16)
    document = {"site": SITE, "bound": DRAWS["bound"], "steps": 10, **told(effects, **DRAWS)}
    write_json(folder / "features.json", "feature_patching", document)
    return Patched(
        SITE, effects, Document(folder / "features.json", "feature_patching"), lambda feature: f"<#{feature}>"
    )


@pytest.fixture(scope="module")
def found(patched):
    given = {
        "slug": "s-joint-res",
        "model": "tiny",
        "source_set": "s-joint-res",
        "depth": 1,
        "creator": "A. Nother",
    }
    return graphs([patched], **given)


def test_graphs_are_as_the_importer_wants_them(found, tmp_path):
    Draft7Validator.check_schema(GRAPH)
    write_graphs(found, tmp_path)
    assert found and {path.stem for path in tmp_path.iterdir()} == found.keys()
    for slug in found:
        graph = json.loads((tmp_path / f"{slug}.json").read_text(encoding="utf-8"))
        assert [*Draft7Validator(GRAPH).iter_errors(graph)] == []
        assert graph["metadata"]["slug"] == slug
        ids = [node["node_id"] for node in graph["nodes"]]
        assert len(ids) == len(set(ids)) and {link["source"] for link in graph["links"]} < set(ids)
        assert all(node["ctx_idx"] < len(graph["metadata"]["prompt_tokens"]) for node in graph["nodes"])


def test_links_lead_to_the_outcome_and_weigh_what_the_document_says(patched, found):
    """No feature leads to another, which nobody measured, and the graph says so."""
    single = [row for row in patched.document("single") if row["chosen"] == "largest"]
    seen = 0
    for (swap, language), _ in patched.effects.groupby(["swap", "language"]):
        graph = found[f"s-joint-res-{swap}-{language}"]
        nodes = {node["node_id"]: node for node in graph["nodes"]}
        weights = {link["source"]: link["weight"] for link in graph["links"]}
        (outcome,) = {link["target"] for link in graph["links"]}
        tokens = graph["metadata"]["prompt_tokens"]
        assert nodes[outcome]["feature_type"] == "logit" and tokens[nodes[outcome]["ctx_idx"]] == OUTCOME
        assert "not measured" in graph["metadata"]["info"]["description"]
        classes = {"word": "<gendered words before>", "last": "<last position>"}
        for row in (row for row in single if (row["swap"], row["language"]) == (swap, language)):
            at = tokens.index(classes[row["positions"]])
            node = nodes[f"{SITE}_{row['feature']}_{at}"]
            assert weights[node["node_id"]] == pytest.approx(row["ig"], rel=1e-5)
            assert node["clerp"].startswith(f"<#{row['feature']}>; R {row['recovery']['value']:.2f}")
            seen += 1
        features = [node for node in nodes.values() if node["feature_type"] == "SAE feature"]
        errors = [node for node in nodes.values() if node["feature_type"] == "reconstruction error"]
        assert {tokens[node["ctx_idx"]] for node in errors} == {tokens[node["ctx_idx"]] for node in features}
    assert seen == len(single) > 3


def test_weights_of_error_and_all_features_are_the_whole_difference(patched, found):
    """What is not shown is the rest: error, and all features by the rows, add up to the effect of the state."""
    rows = patched.effects[patched.effects["positions"] == "word"]
    towards = np.sign(rows["outcome_other"] - rows["outcome"])
    mean = (towards * rows["ig"]).groupby([rows["swap"], rows["language"], rows["part"]]).mean()
    for swap, language in {(swap, language) for swap, language, _ in mean.index}:
        graph = found[f"s-joint-res-{swap}-{language}"]
        (error,) = (link["weight"] for link in graph["links"] if link["source"].startswith(f"{SITE}_error_0"))
        assert error == pytest.approx(mean[swap, language, "error"], rel=1e-5)
        assert error + mean[swap, language, "features"] == pytest.approx(
            mean[swap, language, "site"], rel=1e-4
        )
