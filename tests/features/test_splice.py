import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from crosslens.errors import InputError
from crosslens.features import splice
from crosslens.models.load import load_model
from crosslens.sae.model import TopKSAE
from crosslens.tables.documents import read_json, read_table, write_table

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
import tiny
from splice_sae import SITE, perfect_sae, save

ROLES = ["prompt", "caption"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A tiny Gemma-3 and 24 pictures: (model arguments, dataset, images)."""
    root = tmp_path_factory.mktemp("splice")
    folder = tiny.save_tiny_vlm(root / "model")
    dataset, images = tiny.save_dataset(root, "en", 24)
    frame = read_table(dataset, "dataset")
    frame["split"] = ["train", "select", "test", "test"] * 6
    write_table(dataset, "dataset", frame)
    return {"id": str(folder), "device": "cpu"}, dataset, images


def measure(study, sae: Path, out: Path, **changes) -> dict:
    model, dataset, images = study
    arguments = {
        "model": model,
        "images": images,
        "splices": [{"dataset": dataset, "sae": sae, "out": out}],
        "site": SITE,
        "roles": ROLES,
        "max_samples": 8,
        "batch": 4,
        **changes,
    }
    splice.splice_saes(**arguments)
    return read_json(out, "spliced")


def test_a_perfect_sae_recovers_everything_and_an_ablating_one_nothing(study, tmp_path):
    perfect = measure(study, save(tmp_path / "perfect", perfect_sae(tiny.D_MODEL)), tmp_path / "a.json")
    assert perfect["identity"]["max_abs_logit_difference"] == 0.0
    assert perfect["largest_logit_difference"]["zero"] > 0.1
    assert perfect["ce"]["spliced"]["value"] == pytest.approx(perfect["ce"]["clean"]["value"], abs=1e-6)
    assert perfect["kl"]["spliced"]["value"] == pytest.approx(0, abs=1e-6)
    assert perfect["ce_recovered"]["mean"]["value"] == pytest.approx(1, abs=1e-4)
    assert perfect["samples"] == perfect["images"] == 8
    measure(study, tmp_path / "perfect", tmp_path / "again.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "again.json").read_bytes()

    model, dataset, images = study
    loaded, frame = load_model(**model), read_table(dataset, "dataset")
    train = splice.choose(frame[frame["split"] == "train"], 8, 0)
    mean, _, _ = splice.mean_activation(loaded, SITE, splice.batches(loaded, train, images, 4), ROLES)
    for name, bias in (("zero", torch.zeros(tiny.D_MODEL)), ("mean", mean.float())):
        constant = TopKSAE(tiny.D_MODEL, 16, 4)
        with torch.no_grad():
            constant.b_dec.copy_(bias)
        document = measure(study, save(tmp_path / name, constant), tmp_path / f"{name}.json")
        assert document["ce"]["spliced"] == document["ce"][name] != document["ce"]["clean"]
        assert document["kl"]["spliced"] == document["kl"][name]
        assert document["kl"][name]["value"] > 1e-3
    assert document["ce_recovered"]["mean"]["value"] == 0.0


def test_a_document_does_not_depend_on_which_other_saes_are_spliced(study, tmp_path):
    model, dataset, images = study
    again = dataset.with_name("again.parquet")
    again.write_bytes(dataset.read_bytes())
    one, other = (
        save(tmp_path / "one", perfect_sae(tiny.D_MODEL)),
        save(tmp_path / "other", TopKSAE(tiny.D_MODEL, 16, 4)),
    )
    measure(study, one, tmp_path / "one.json")
    measure(study, other, tmp_path / "other.json")
    given = [(dataset, one, "a"), (dataset, other, "b"), (again, one, "c")]
    splices = [{"dataset": table, "sae": sae, "out": tmp_path / name} for table, sae, name in given]
    splice.splice_saes(
        model=model, images=images, splices=splices, site=SITE, roles=ROLES, max_samples=8, batch=4
    )
    for name, alone in (("a", "one"), ("b", "other"), ("c", "one")):
        assert (tmp_path / name).read_bytes() == (tmp_path / f"{alone}.json").read_bytes()


def test_the_logits_of_few_tokens_are_there_at_once(study, tmp_path, monkeypatch):
    """Those of a batch are gigabytes with a vocabulary of 262,144."""
    sae = save(tmp_path / "sae", TopKSAE(tiny.D_MODEL, 16, 4))
    whole = measure(study, sae, tmp_path / "whole.json")
    adapter, made = type(load_model(**study[0]).adapter), []
    monkeypatch.setattr(splice, "TOKENS", 7)
    unembed = adapter.unembed
    monkeypatch.setattr(
        adapter, "unembed", property(lambda self: lambda x: made.append(len(x)) or unembed.fget(self)(x))
    )
    parted = measure(study, sae, tmp_path / "parted.json")
    assert max(made) == 7
    for name in ("ce", "kl"):
        for of, value in whole[name].items():
            assert parted[name][of]["value"] == pytest.approx(value["value"], rel=1e-5), (name, of)


def test_clean_loss_is_that_of_transformers_on_the_caption_alone(study, tmp_path):
    """One sample at a time, unpadded, labels -100 outside the caption: the model's own loss."""
    model, dataset, images = study
    document = measure(study, save(tmp_path / "sae", perfect_sae(tiny.D_MODEL)), tmp_path / "a.json", batch=3)
    frame = read_table(dataset, "dataset")
    chosen = splice.choose(frame[frame["split"] == "test"], 8, 0)
    loaded = load_model(**model)
    loss = tokens = 0.0
    for _, batch in splice.batches(loaded, chosen, images, 1):
        labels = batch.inputs["input_ids"].where(batch.has_role(["caption"]), -100)
        count = int((labels != -100).sum())
        with torch.no_grad():
            loss += float(loaded.model(**batch.inputs, labels=labels).loss) * count
        tokens += count
    assert document["tokens"] == tokens
    assert document["ce"]["clean"]["value"] == pytest.approx(loss / tokens, rel=1e-5)


def test_only_the_declared_roles_are_replaced(study):
    model, dataset, images = study
    loaded = load_model(**model)
    frame = read_table(dataset, "dataset").head(3)
    _, batch = next(splice.batches(loaded, frame, images, 3))
    mask = batch.has_role(["caption"])
    value = torch.randn(*mask.shape, tiny.D_MODEL, generator=torch.Generator().manual_seed(0))
    edited = splice.replace_at(mask, torch.zeros_like)(value)
    assert (edited[mask] == 0).all()
    assert torch.equal(edited[~mask], value[~mask])


def test_a_sink_stays_as_it_is(study, tmp_path, monkeypatch):
    """A sink is in no SAE's training, and one that nothing can rebuild must not be what a splice costs."""
    model, dataset, images = study
    loaded = load_model(**model)
    frame = read_table(dataset, "dataset")
    rows, batch = next(splice.batches(loaded, frame[frame["split"] == "test"].head(4), images, 4))
    with splice.capture(loaded, [SITE]) as captured:
        loaded.model(**batch.inputs, use_cache=False)
    value, mask = captured[SITE].clone(), batch.has_role(ROLES)
    first = mask.int().argmax(dim=1)
    value[torch.arange(4), first] *= 1000
    limit = 10 * float(splice.norms(value)[mask].median())
    edited = splice.replace_at(mask, torch.zeros_like, limit)(value)
    assert torch.equal(edited[torch.arange(4), first], value[torch.arange(4), first])
    mask[torch.arange(4), first] = False
    assert (edited[mask] == 0).all() and torch.equal(edited[~mask], value[~mask])
    plain = measure(study, save(tmp_path / "sae", perfect_sae(tiny.D_MODEL)), tmp_path / "plain.json")
    assert plain["sinks"] == 0
    # half of the positions are sinks now: they are spared, and counted
    monkeypatch.setattr(splice, "SINK_FACTOR", 1.0)
    spared = measure(study, tmp_path / "sae", tmp_path / "spared.json")
    assert spared["sinks"] > 0 and spared["tokens_replaced"] + spared["sinks"] == plain["tokens_replaced"]
    assert spared["ce"]["zero"]["value"] != plain["ce"]["zero"]["value"]


def test_broken_edits_are_errors():
    with pytest.raises(RuntimeError, match="by themselves"):
        splice.check_edits(1e-7, 1.0)
    with pytest.raises(RuntimeError, match="does not reach"):
        splice.check_edits(0.0, 0.0)


def test_an_sae_of_another_site_or_model_is_refused(study, tmp_path):
    with pytest.raises(InputError, match="other"):
        measure(study, save(tmp_path / "m", perfect_sae(tiny.D_MODEL), model="other"), tmp_path / "a.json")
    with pytest.raises(InputError, match="site"):
        measure(study, save(tmp_path / "sae", perfect_sae(tiny.D_MODEL), site="2"), tmp_path / "a.json")


def test_recovered_is_one_for_clean_zero_for_the_ablation_and_undefined_without_a_cost():
    clean, ablated = np.array([1.0, 1.0, 2.0]), np.array([3.0, 3.0, 1.0])
    spliced = np.array([1.0, 3.0, 1.5])
    np.testing.assert_array_equal(splice.recovered(ablated, spliced, clean), [1.0, 0.0, np.nan])


def test_kl_of_hand_computed_distributions():
    p, q = torch.tensor([[0.5, 0.5]]), torch.tensor([[0.25, 0.75]])
    expected = 0.5 * np.log(2) + 0.5 * np.log(2 / 3)
    assert float(splice.kl_divergence(p.log(), q.log())) == pytest.approx(expected, rel=1e-6)


def test_bootstrap_resamples_images_not_samples():
    """Five captions of each picture that say the same add no certainty."""
    rng = np.random.default_rng(0)
    ce = rng.normal(2, 0.5, 40)

    def losses(copies: int) -> pd.DataFrame:
        base = {"group": np.repeat(np.arange(40), copies), "tokens": np.ones(40 * copies)}
        columns = ("ce_clean", "ce_spliced", "ce_zero", "ce_mean", "kl_spliced", "kl_zero", "kl_mean")
        return pd.DataFrame(base | {name: np.repeat(ce, copies) for name in columns})

    one, five = splice.summarise(losses(1), 0), splice.summarise(losses(5), 0)
    np.testing.assert_allclose(one["ce"]["clean"]["ci"], five["ce"]["clean"]["ci"])
    low, high = one["ce"]["clean"]["ci"]
    half_width = 1.96 * ce.std() / np.sqrt(40)
    assert high - low == pytest.approx(2 * half_width, rel=0.15)
    assert splice.summarise(losses(1).iloc[:1], 0)["ce"]["clean"]["ci"] is None, "one image says of no other"


def test_choice_is_balanced_and_takes_one_caption_an_image_first():
    frame = pd.DataFrame(
        {
            "image_id": np.repeat(np.arange(60), 3),
            "gender": np.repeat(["male"] * 40 + ["female"] * 20, 3),
            "category": "nurse",
        }
    )
    chosen = splice.choose(frame, 30, 0)
    assert chosen["image_id"].nunique() == 30
    assert chosen["gender"].value_counts().to_dict() == {"male": 15, "female": 15}
    assert len(splice.choose(frame, 1000, 0)) == 180
