"""Groups of gendered features: which they are, what a language loses with one computed another way, and what is said."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from crosslens.features.splice import batches
from crosslens.gender.agreement import Place, log_odds
from crosslens.interventions import groups
from crosslens.interventions.arms import Level
from crosslens.interventions.edits import Edit, Rows, editing, of_features
from crosslens.models.load import load_model
from crosslens.report.sections import groups as section
from crosslens.sae.model import TopKSAE
from crosslens.tables.documents import write_json

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
import tiny
from stand_in import StandIn

SITE, ROLES, WIDTH = "1", ["prompt", "caption"], 40
NAMES = ["The street", "A driver", "In the park", "A very long scarf"]


def sentences():
    """Each in two genders: a word, and another one that goes with it behind it."""
    rows = []
    for name in NAMES:
        for gender, first, second in (("female", "q", "b"), ("male", "j", "s")):
            caption = f"{name} {first} holds {second} here."
            spans = [[at, at + 1] for at in (len(name) + 1, caption.index(f" {second} ") + 1)]
            rows.append({"group": name, "gender": gender, "caption": caption, "label_spans": str(spans)})
    frame = pd.DataFrame(rows)
    blank = dict.fromkeys(("prompt", "image", "image_sha256", "category"), "")
    return frame.assign(split="test", image_id=frame["group"], sample_id=frame.index.astype(str), **blank)


@pytest.fixture(scope="module")
def sae():
    rng = torch.Generator().manual_seed(0)
    sae = TopKSAE(d_in=tiny.D_MODEL, d_sae=WIDTH, k=8)
    for tensor in sae.state_dict().values():
        tensor.copy_(torch.randn(tensor.shape, generator=rng) * 0.3)
    return sae


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    loaded = load_model(id=str(tiny.save_tiny_text(tmp_path_factory.mktemp("groups") / "m")), device="cpu")
    frame = sentences()
    return groups.Texts(loaded, SITE, frame, frame, None, ROLES, 4, 4, np.random.default_rng(0))


def test_groups_are_by_what_both_languages_tell():
    first, second = np.array([1, 1, -1, 0, 1, 0]), np.array([1, 0, -1, -1, -1, 0])
    found = {name: ids.tolist() for name, ids in groups.groups_of(first, second).items()}
    assert found == {"shared": [0, 2], "first": [1], "second": [3], "all": [0, 1, 2, 3, 4]}


def test_what_is_lost_is_what_whole_passes_say(texts, sae):
    """D by the forward passes of agreement, without and with the features at 0; and the cost by cross-entropies of torch."""
    loaded, group = texts.loaded, [0, 3, 7, 21]
    suppress = of_features(sae, group, "suppress")
    texts.before |= {"tested": True}
    lost = texts.lost({"identity": of_features(sae, group, "amplify"), "0": suppress})
    assert (texts.before["places"], texts.before["groups"]) == (2 * len(NAMES), len(NAMES))

    def edited(batch):
        return editing(loaded, [Edit(SITE, suppress)], Rows(batch.has_role(ROLES), limit=texts.limit))

    asked = [Place("", f"{name} {word} holds ", "b", "s") for name in NAMES for word in "qj"]
    clean, without = (
        np.array([one.log_odds for one in log_odds(loaded, asked, batch=4, **more)]).reshape(-1, 2)
        for more in ({}, {"editing": edited})
    )
    d = [float((of[:, 0] - of[:, 1]).mean()) for of in (clean, without)]
    assert texts.before["difference"]["value"] == pytest.approx(d[0], abs=1e-4)
    assert lost.removed[0]["value"] == pytest.approx(d[0] - d[1], abs=1e-4)
    assert abs(d[0] - d[1]) > 1e-3
    total = tokens = 0
    for _, batch in batches(loaded, texts.samples, None, 1):
        ids, counted = batch.inputs["input_ids"], batch.has_role(["caption"])[0, 1:]
        for sign, context in ((-1, editing(loaded, [], Rows(batch.has_role(ROLES)))), (1, edited(batch))):
            with torch.no_grad(), context:
                logits = loaded.model(**batch.inputs, use_cache=False).logits[0, :-1][counted]
            loss = torch.nn.functional.cross_entropy(logits.float(), ids[0, 1:][counted], reduction="sum")
            total += sign * float(loss)
        tokens += int(counted.sum())
    assert lost.cost[0, 0] == pytest.approx(total / tokens, abs=1e-4)


def test_a_group_without_features_or_without_others_beside_it_is_not_tested(sae):
    high = np.zeros(WIDTH)
    high[:6] = 1
    level = dict.fromkeys(("en", "ar"), Level(np.full(WIDTH, 0.1), high))
    signs = {"en": np.zeros(WIDTH), "ar": np.zeros(WIDTH)}
    signs["en"][:4] = signs["ar"][1:4] = 1

    def losing(changes):
        return groups.Lost([], np.zeros((3, len(changes) - 1)), 4)

    texts = dict.fromkeys(level, SimpleNamespace(lost=losing, before={"difference": {"value": None}}))
    told = groups.told(("en", "ar"), texts, sae, signs, level, np.random.default_rng(0))
    by_name = {entry["group"]: entry for entry in told}
    assert by_name["second"]["because"] == "no feature is so on select"
    assert by_name["all"]["because"].startswith(
        "2 live features are gendered in neither language, and it takes 8"
    )
    assert by_name["first"]["tested"] and len(by_name["first"]["of"]) == 2
    assert by_name["first"]["of"][0]["removed"] is None and by_name["first"]["of"][0]["cost_random"]["p"] == 1


def beside(p):
    return {"mean": 0.0, "q95": 0.1, "ratio": 1.0, "p": p, "least_p": 1 / 21}


def shown(folder, p, low=2.0, level=0.05, **of):
    """The finding on a shared group that removes six tenths in English, and as much of nothing that is known in Arabic."""
    score = {"value": 3.0, "low": 2.0, "high": 4.0}
    english = {"language": "en", "removed": score | {"low": low}, "share": 0.6, "removed_random": beside(p)}
    arabic = dict.fromkeys(("removed", "share", "removed_random")) | {"language": "ar"}
    cost = {"cost": {"value": 0.1, "low": 0.0, "high": 0.2}, "cost_random": beside(0.5)}
    group = {"group": "shared", "features": 7, "tested": True, "because": None} | {
        "of": [english | cost, arabic | cost]
    }
    none = {
        "group": "first",
        "features": 0,
        "tested": False,
        "because": "no feature is so on select",
        "of": [],
    }
    known = {"difference": {"value": 5.0, "low": 4.0, "high": 6.0}, "tested": True, "because": None}
    unknown = {
        "difference": dict.fromkeys(score),
        "tested": False,
        "because": "there is no such place in test",
    }
    pair = {"languages": ["en", "ar"], "groups": [group | of, none]}
    document = {"site": "4", "of": {"en": known, "ar": unknown}, "pairs": [pair]}
    write_json(folder / "groups.json", "group_ablation", document)
    files = {"group_ablation": {"joint/4": folder / "groups.json"}}
    return section.section(StandIn({}, files=files, level=level))


def test_shares_are_said_with_their_p_and_what_was_not_tested_as_that(tmp_path):
    (finding,) = shown(tmp_path, 0.048).findings
    assert (
        finding.kind == "description"
        and "60 % of what words hang on gender is gone in English" in finding.title
    )
    assert "not corrected" in finding.title and "Arabic" not in finding.title.split(":", 1)[1]
    assert "Arabic: not measured, because there is no such place in test." in finding.lines
    assert "Features of English alone: not tested, because no feature is so on select." in finding.lines
    (finding,) = shown(tmp_path, 0.3).findings
    assert finding.kind == "null" and "does not fall further than without random groups" in finding.title
    assert shown(tmp_path, 0.048, low=-0.1).findings[0].kind == "null", "nothing may be gone at all"
    (finding,) = shown(tmp_path, 0.048, level=0.01).findings
    assert finding.kind == "warning" and "give no p below 0.048, and the level is .01" in finding.title
    (finding,) = shown(tmp_path, 0.3, tested=False, because="there is none", of=[]).findings
    assert finding.kind == "warning" and "was not tested, because there is none" in finding.title
