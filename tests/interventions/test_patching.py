"""Patches: what is written where, what must be recovered, and what attributions say in models whose answer is known."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import pearsonr, spearmanr
from torch import nn

from crosslens.data.minimal_pairs import differing
from crosslens.errors import InputError
from crosslens.interventions import attribution, cases, circuits, recovery
from crosslens.interventions.nodes import Place, at, read, slots
from crosslens.interventions.outcomes import Case, Laid, Side
from crosslens.interventions.patching import Patcher, check_controls
from crosslens.interventions.relp import knows, relevance
from crosslens.interventions.runs import Donation, Runs, donors, read_cases
from crosslens.models.hooks import capture
from crosslens.models.load import load_model
from crosslens.models.resume import Replay
from crosslens.tables.documents import read_table

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
import tiny

FORMS = (" b", " s")
LAYERS = 2
"""Of the tiny model, the first: patches are made of every place."""
LAST = LAYERS - 1


def a_case(group: str, language: str = "en", tail: str = " holds a") -> Case:
    """Two texts that differ in one word of as many pieces: a space and a byte, as the tokenizer learnt neither letter."""
    sides = []
    for gender, word in (("female", "q"), ("male", "j")):
        prefix = f"{group} {word}{tail}"
        start = len(group) + 1
        sides.append(Side(language, gender, "", prefix, [(start, start + len(word))], FORMS))
    return Case("gender", group, tuple(sides))


CASES = [a_case("The street"), a_case("A very long scarf"), a_case("In the park"), a_case("A driver")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.save_tiny_text(tmp_path_factory.mktemp("patching") / "model")


def shallow(folder):
    loaded = load_model(id=str(folder), device="cpu")
    decoder = loaded.adapter.decoder
    decoder.layers = decoder.layers[:LAYERS]
    return loaded


@pytest.fixture(scope="module")
def loaded(folder):
    return shallow(folder)


@pytest.fixture(scope="module")
def patcher(loaded):
    return Patcher(loaded, None, heads=True, seed=0)


@pytest.fixture(scope="module")
def effects(patcher):
    table, left_out = patcher.effects(CASES, 2, 16)
    assert left_out == 0
    return table


def runs_of(patcher, some):
    return read_cases(patcher.loaded, some, None)


def own(effects, donor="other", **where):
    rows = effects[effects["donor"] == donor]
    for name, value in where.items():
        rows = rows[rows[name] == value]
    assert len(rows)
    return rows


def recovered(rows):
    return (
        (rows["outcome_patched"] - rows["outcome"]) / (rows["outcome_other"] - rows["outcome"])
    ).to_numpy()


def test_what_must_be_recovered_is(patcher, effects):
    """All of the other run; its last state at the last position, where both forms are one piece; one's own states: nothing."""
    assert patcher.identity == 0
    check_controls(effects, patcher.identity)
    pieces = [run for _, runs in runs_of(patcher, CASES) for run in runs]
    assert all(len(run.texts) == 1 for run in pieces)
    assert recovered(own(effects, kind="resid_post", positions="all")) == pytest.approx(1, abs=1e-3)
    last = own(effects, kind="resid_post", layer=LAST, positions="last")
    assert recovered(last) == pytest.approx(1, abs=1e-3)
    word = own(effects, kind="resid_post", layer=LAST, positions="word")
    assert recovered(word) == pytest.approx(0, abs=1e-6)
    # a run's partner in both directions, by each other's outcome
    pair = last[last["case"] == 0]
    assert pair["outcome"].tolist() == pair["outcome_other"].tolist()[::-1]
    assert pair["direction"].tolist() == ["noising", "denoising"]


def test_one_patch_by_hand(patcher, effects):
    """With torch hooks on transformers' own modules alone, unpadded: the word's state behind block 0, and one head's output."""
    loaded = patcher.loaded
    model, blocks = loaded.model, loaded.adapter.blocks
    runs = runs_of(patcher, CASES[:1])[0][1]
    tokens = [torch.tensor(run.texts[0][0].token_id[None].astype(np.int64)) for run in runs]
    position = runs[0].at["word"][0]
    assert "q" in loaded.tokenizer.decode(tokens[0][0, : position + 1])
    assert "q" not in loaded.tokenizer.decode(tokens[0][0, :position])
    ids = [ids for _, ids, _ in runs[0].texts[0][1]]

    def outcome(given):
        told = model(input_ids=given, use_cache=False).logits[0, -1].log_softmax(-1)
        return float(told[ids[0][0]] - told[ids[1][0]])

    width = loaded.adapter.text_config.head_dim
    for kind, node, module, channels in (
        ("resid_post", 0, blocks[0], slice(None)),
        ("head", 1, blocks[0].self_attn.o_proj, slice(width, 2 * width)),
    ):
        kept = {}

        def keep(_, args, output=None, kind=kind, kept=kept):
            kept["value"] = (output if kind == "resid_post" else args[0]).clone()

        def put(_, args, output=None, kind=kind, kept=kept, channels=channels):
            value = (output if kind == "resid_post" else args[0]).clone()
            value[0, position, channels] = kept["value"][0, position, channels]
            return value if kind == "resid_post" else (value,)

        hook = module.register_forward_hook if kind == "resid_post" else module.register_forward_pre_hook
        with torch.no_grad():
            handle = hook(keep)
            outcome(tokens[0])
            handle.remove()
            handle = hook(put)
            by_hand = outcome(tokens[1])
            handle.remove()
            plain = outcome(tokens[1])
        row = own(effects, kind=kind, layer=0, node=node, positions="word", case=0, direction="denoising")
        assert row["outcome"].item() == pytest.approx(plain, abs=1e-4)
        assert row["outcome_patched"].item() == pytest.approx(by_hand, abs=1e-4)
        assert abs(by_hand - plain) > 1e-5


def test_outcomes_that_are_no_numbers_are_refused(folder):
    """A NaN would be left out of every mean without a word."""
    broken = shallow(folder)
    with torch.no_grad():
        broken.adapter.blocks[LAST].mlp.down_proj.weight[0, 0] = torch.nan
    with pytest.raises(InputError, match="no number.*model.dtype"):
        Patcher(broken, None, heads=False, seed=0).effects(CASES[:2], 0, 16)


def test_a_pass_from_the_record_is_the_pass(patcher):
    laid, replay = Laid(patcher.loaded, runs_of(patcher, CASES), None), Replay(patcher.loaded)

    def last():
        with capture(patcher.loaded, [str(LAST)], stop=True) as captured:
            patcher.loaded.model(**laid.batch.inputs, use_cache=False)
        return captured[str(LAST)]

    with torch.no_grad():
        with replay.record():
            whole = last()
        for place in (Place(kind, layer) for layer in range(LAYERS) for kind in ("mlp_out", "resid_post")):
            with replay.up_to(place), at(patcher.loaded, place, lambda value: value):
                assert torch.equal(last(), whole)
        assert torch.equal(last(), whole)
    assert not any("forward" in block.__dict__ for block in patcher.loaded.adapter.blocks)


def test_integrated_gradients_are_complete(effects):
    made = effects[effects["ig"].notna()]
    assert {*made["kind"]} == {"resid_post", "attn_out", "mlp_out"}
    effect = made["outcome_patched"] - made["outcome"]
    assert (made["ig"] - effect).abs().sum() <= 0.02 * effect.abs().sum()


def test_of_the_others_only_the_random_sample_is_attributed(effects):
    assert (
        effects[effects["case"] < 2]["atp"].notna().any()
        and effects[effects["case"] >= 2]["atp"].isna().all()
    )


def test_controls_are_as_far_and_elsewhere(effects):
    for donor in ("random", "same_elsewhere", "other_elsewhere"):
        rows = own(effects, donor=donor)
        assert {*rows["kind"]} == {"resid_post"} and {*rows["positions"]} == {"word", "last"}
    random = own(effects, donor="random", layer=LAST, positions="last")
    assert np.abs(recovered(random) - 1).min() > 1e-3


ARABIC = {"q": "\u0642", "j": "\u062c"}
"""Letters of another language for those of CASES."""


def in_two_languages(case: Case) -> Case:
    """With the same text in Arabic, of which in Latin letters the English one is left."""
    theirs = [
        side._replace(language="ar", prefix=side.prefix.translate(str.maketrans(ARABIC)))
        for side in case.sides
    ]
    return case._replace(sides=(*case.sides, *theirs))


LETTERS = {"ar": {arabic: latin for latin, arabic in ARABIC.items()}}


@pytest.fixture(scope="module")
def exchanged(loaded):
    """Effects of exchanges between two languages."""
    table, _ = Patcher(loaded, None, heads=False, seed=0, letters=LETTERS).effects(
        [in_two_languages(case) for case in CASES[:3]], 0, 16
    )
    return table


def test_in_latin_letters_a_language_gives_what_its_text_there_gives(exchanged):
    """The Arabic texts are then the English ones: their states bring over what English does, and of the own gender nothing."""
    own = exchanged[(exchanged["source"] == "en") & (exchanged["language"] == "en")]
    names = ["case", "variant", "layer", "positions"]
    of = own[(own["donor"] == "other") & (own["kind"] == "resid_post")].set_index(names)
    latin = exchanged[exchanged["language"] == "en"].set_index(names)
    given, same = (latin[latin["donor"] == f"{name}_romanised"] for name in ("other", "same"))
    assert len(given) == len(same) == 3 * 2 * 2 * LAYERS and {*given["source"]} == {"ar"}
    assert given["outcome_patched"].to_numpy() == pytest.approx(
        of.loc[given.index]["outcome_patched"].to_numpy(), abs=1e-5
    )
    assert same["outcome_patched"].to_numpy() == pytest.approx(same["outcome"].to_numpy(), abs=1e-5)
    plain = latin[(latin["donor"] == "other") & (latin["source"] == "ar")].loc[given.index]
    assert (plain["outcome_patched"] - given["outcome_patched"]).abs().max() > 1e-3
    # into Arabic in these letters, too: there the outcome is the English text's
    theirs = exchanged[(exchanged["language"] == "ar") & (exchanged["donor"] == "other_romanised")]
    assert theirs["outcome_patched"].to_numpy() == pytest.approx(
        given["outcome_patched"].to_numpy(), abs=1e-5
    )


def test_between_languages_every_control_is_made(exchanged):
    across = exchanged[exchanged["source"] != exchanged["language"]]
    expected = {"other", "same", "other_elsewhere", "same_elsewhere", "random"}
    assert {*across["donor"]} == expected | {"other_romanised", "same_romanised"}
    cells = across.groupby(["language", "donor", "positions"]).size()
    assert {*cells} == {3 * 2 * LAYERS} and {*across["kind"]} == {"resid_post"}


def test_a_random_step_is_from_the_same_gender_as_far_as_to_the_other(patcher):
    cases_ = runs_of(patcher, [in_two_languages(case) for case in CASES[:2]])
    place = Place("resid_post", 0)
    with torch.no_grad():
        runs = Runs(patcher.loaded, patcher.head, cases_, None, [place])
    found, sides = donors(runs), runs.laid.sides
    for name, alike in (("other", False), ("same", True), ("random", False)):
        source, givers = found[Donation(name, 1)]
        for side, of, giver in zip(sides, source, givers, strict=True):
            assert of == sides[giver].language != side.language
            assert (sides[giver].variant == side.variant) == alike
    exchange, base = runs.laid.both("word", found[Donation("random", 1)].of, found[Donation("same", 1)].of)
    assert torch.equal(exchange.rows, base.rows) and torch.equal(exchange.positions, base.positions)
    same, other = (of.donated(runs.states[place]) for of in (base, exchange))
    given = Patcher._random(exchange, runs.laid, same, other, np.random.default_rng(0))
    torch.testing.assert_close((given - same).norm(dim=1), (other - same).norm(dim=1))
    cosine = torch.cosine_similarity(given - same, other - same, dim=1)
    assert cosine.abs().max() < 0.6


def straight(folder, *, queries: bool):
    """The tiny model without norms and MLPs: all but the attention pattern is linear; without `queries` that is uniform."""
    loaded = shallow(folder)
    for block in loaded.adapter.blocks:
        for name, module in block.named_children():
            if name.endswith("layernorm"):
                setattr(block, name, nn.Identity())
            if name == "mlp":
                module.down_proj.weight.zero_()
        if not queries:
            block.self_attn.q_proj.weight.zero_()
    loaded.adapter.decoder.norm = nn.Identity()
    return loaded


@pytest.fixture
def two_steps(monkeypatch):
    """Of integrated gradients, enough where gradients are constant."""
    monkeypatch.setattr(attribution, "STEPS", 2)


def test_in_a_linear_model_attributions_are_the_effects(folder, two_steps):
    with torch.no_grad():
        loaded = straight(folder, queries=False)
    table, _ = Patcher(loaded, None, heads=True, seed=0).effects(CASES[:2], 2, 16)
    made = table[table["atp"].notna()]
    effect = (made["outcome_patched"] - made["outcome"]).to_numpy()
    assert np.abs(effect).max() > 1e-3
    assert made["atp"].to_numpy() == pytest.approx(effect, abs=1e-3 * np.abs(effect).max())
    whole = made["ig"].notna()
    assert made["ig"][whole].to_numpy() == pytest.approx(effect[whole], abs=1e-3 * np.abs(effect).max())


def test_of_queries_the_softmax_is_computed_again(folder, two_steps):
    """In the last block, behind whose pattern all is linear, AtP* is the effect of queries and keys, and AtP is not."""
    with torch.no_grad():
        loaded = straight(folder, queries=True)
        for block in loaded.adapter.blocks:
            block.self_attn.q_proj.weight.mul_(3)
    table, _ = Patcher(loaded, None, heads=True, seed=0).effects(CASES[:2], 2, 16)
    for kind in ("query", "key"):
        made = own(table, kind=kind, layer=LAST)
        made = made[made["atp"].notna()]
        effect = (made["outcome_patched"] - made["outcome"]).to_numpy()
        size = np.abs(effect).max()
        assert size > 1e-6
        assert made["atp_star"].to_numpy() == pytest.approx(effect, abs=1e-2 * size)
        assert np.abs(made["atp"].to_numpy() - effect).max() > 2e-2 * size


def test_relevance_is_conserved(loaded, patcher):
    """Values stay; and without biases the outcome is Σ x · ∇m over any block's residual stream: what the rules are made for."""
    assert knows(loaded)
    laid = Laid(loaded, runs_of(patcher, CASES), None)
    places = [Place("resid_post", layer) for layer in range(LAYERS)]

    def outcome():
        with capture(loaded, [str(LAST)], stop=True) as captured:
            loaded.model(**laid.batch.inputs, use_cache=False)
        return laid.outcome(patcher.head, captured[str(LAST)])

    with torch.no_grad():
        plain = outcome()
    from crosslens.interventions.nodes import from_embedding

    with relevance(loaded), from_embedding(loaded), read(loaded, places) as values:
        m = outcome()
        grads = torch.autograd.grad(m.sum(), [values[place] for place in places])
    torch.testing.assert_close(m.detach(), plain, atol=1e-5, rtol=1e-5)
    for place, grad in zip(places, grads, strict=True):
        total = (grad * values[place]).sum((1, 2)).detach()
        torch.testing.assert_close(total, plain, atol=1e-3, rtol=1e-3)


def test_forms_of_several_pieces_are_their_products(patcher):
    side = CASES[0].sides[0]._replace(forms=(" umbrellas", " scarf"))
    (case,) = runs_of(patcher, [Case("gender", "x", (side,))])
    assert len(case[1][0].texts) == 2
    laid = Laid(patcher.loaded, [case], None)
    with torch.no_grad(), capture(patcher.loaded, [str(LAST)]) as captured:
        patcher.loaded.model(**laid.batch.inputs, use_cache=False)
        found = laid.by_run(laid.outcome(patcher.head, captured[str(LAST)]))
    from crosslens.gender.agreement import Place as Asked
    from crosslens.gender.agreement import log_odds

    (told,) = log_odds(patcher.loaded, [Asked("", side.prefix, *side.forms)], batch=2)
    assert float(found[0]) == pytest.approx(told.log_odds, abs=1e-4)


def test_key_value_heads_are_fewer(loaded):
    config = loaded.adapter.text_config
    assert len(slots(loaded, Place("key", 0), 64)) == config.num_key_value_heads
    assert len(slots(loaded, Place("query", 0), 64)) == config.num_attention_heads


def test_agreement_is_what_scipy_says():
    rng = np.random.default_rng(0)
    true = rng.standard_normal(200)
    true[:40] = 0
    said = true + 0.3 * rng.standard_normal(200)
    told = recovery.compared(true, said, np.arange(200), 500, rng)
    assert told["pearson"]["value"] == pytest.approx(pearsonr(true, said).statistic)
    interval = pearsonr(true, said).confidence_interval()
    assert (told["pearson"]["low"], told["pearson"]["high"]) == pytest.approx(
        (interval.low, interval.high), abs=0.03
    )
    assert told["spearman"] == pytest.approx(spearmanr(true, said).statistic)
    assert told["none"] == 40 + (np.abs(true[40:]) <= recovery.ZERO).sum()
    assert recovery.compared(true, 2 * true, np.arange(200), 50, rng)["total_error"] == pytest.approx(1)
    perfect = recovery.compared(true, true, np.arange(200), 50, rng)
    assert (perfect["top"], perfect["missed"], perfect["false_positives"], perfect["sign"]) == (1, 0, 0, 1)
    assert recovery.compared(true, -true, np.arange(200), 50, rng)["sign"] == 0


def test_recovery_by_hand():
    """(patched − own) / (other − own): of 1 → 5 patched to 2 a quarter; a pair that hardly differs is left out."""
    effects = pd.DataFrame(
        {
            "outcome": [1.0, 5.0, 1.0],
            "outcome_other": [5.0, 1.0, 1.5],
            "outcome_patched": [2.0, 5.0, 9.0],
        }
    )
    kept = recovery.recoveries(effects, 1.0)
    assert kept["recovery"].tolist() == [0.25, 0.0]


def test_intervals_hold_the_mean():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(100):
        values = rng.standard_normal((12, 1))
        _, _, low, high = recovery.means(values, 400, rng)[0]
        held += low <= 0 <= high
    assert held >= 88
    assert np.isnan(recovery.means(np.array([[1.0], [np.nan]]), 20, rng)[0, 2:]).all()


WORDS = {"en": {"female": "here a woman and her", "male": "here a man and his"}}


def a_dataset(n=8):
    genders = ["female", "male", "unknown", "female"] * (n // 4)
    return pd.DataFrame(
        {
            "image_id": [f"i{k}" for k in range(n)],
            "split": "test",
            "gender": genders,
            "category": ["nurse", "nurse", "guard", "guard"] * (n // 4),
            "image": [f"i{k}.png" for k in range(n)],
            "image_sha256": "",
            "prompt": "p",
        }
    )


def test_pictures_of_one_category_are_paired_each_once():
    found = cases.image_swaps({"en": a_dataset()}, WORDS, 0)
    assert len(found) == 2
    shown = [side.image for case in found for side in case.sides]
    assert len({*shown}) == 4
    for case in found:
        female, male = case.sides
        assert (
            female.forms == male.forms == ("woman", "man") and female.prefix == "here a " and not female.read
        )


def test_pictures_that_hide_the_gender_are_paired_across_categories():
    """Each once; in what is asked nothing differs but the picture."""
    found = cases.category_swaps({"en": a_dataset().assign(gender="unknown")}, WORDS, 0)
    category = a_dataset().set_index("image")["category"]
    shown = [side.image for case in found for side in case.sides]
    assert len(found) == 4 and len({*shown}) == 8
    for case in found:
        one, other = case.sides
        assert {category[one.image], category[other.image]} == {"nurse", "guard"}
        assert (one.variant, other.variant) == ("one", "other")
        assert one._replace(image=other.image, variant="other") == other
    alike = a_dataset().assign(gender="unknown", category="nurse")
    assert cases.category_swaps({"en": alike}, WORDS, 0) == []


def test_all_of_a_picture_goes_through_the_projector(tmp_path):
    """Two pictures in the place of each other as the decoder is given them: R is 1; and each half of a block is patched."""
    loaded = load_model(id=str(tiny.save_tiny_vlm(tmp_path / "model")), device="cpu")
    dataset, images = tiny.save_dataset(tmp_path, "en", 2)
    frame = read_table(dataset, "dataset").assign(split="test", gender="unknown", category=["a", "b"])
    loaded.adapter.decoder.layers = loaded.adapter.decoder.layers[:LAYERS]
    swaps = cases.category_swaps({"en": frame}, WORDS, 0)
    table, _ = Patcher(loaded, images, heads=False, seed=0).effects(swaps, 0, 8)
    told = recovery.components(recovery.recoveries(table, 1e-9), bootstraps=20, seed=0)
    found = {(row["kind"], row["layer"]): row["recovery"]["value"] for row in told}
    assert found.pop(("resid_pre", 0)) == pytest.approx(1, abs=1e-3)
    tower = loaded.adapter.vision_tower.config.num_hidden_layers
    assert len(loaded.adapter.tower_halves) == tower > 0
    assert {*found} == {
        *((kind, layer) for kind in ("attn_out", "mlp_out") for layer in range(LAYERS)),
        *((kind, layer) for kind in ("tower_attn", "tower_mlp") for layer in range(tower)),
    }
    _one_picture_by_hand(loaded, images, swaps[0], table)


def _one_picture_by_hand(loaded, images, case, table):
    """What the first tower block's halves add to one picture, from a run of the other alone, with hooks on torch's modules."""
    ((_, runs),) = read_cases(loaded, [case], images)
    singles = [
        Laid(loaded, [(case._replace(sides=(side,)), [run])], images)
        for side, run in zip(case.sides, runs, strict=True)
    ]
    head = Patcher(loaded, images, heads=False, seed=0).head

    def outcome(laid):
        with capture(loaded, [str(LAST)], stop=True) as captured:
            loaded.model(**laid.batch.inputs, use_cache=False)
        return float(laid.by_run(laid.outcome(head, captured[str(LAST)])))

    for kind, module in zip(("tower_attn", "tower_mlp"), loaded.adapter.tower_halves[0], strict=True):
        kept = []

        def keep(_, args, output, kept=kept):
            kept.append(output[0] if isinstance(output, tuple) else output)

        def put(_, args, output, kept=kept):
            return (kept[0], *output[1:]) if isinstance(output, tuple) else kept[0]

        with torch.no_grad():
            handle = module.register_forward_hook(keep)
            plain = outcome(singles[0])
            kept.clear()
            outcome(singles[1])
            handle.remove()
            handle = module.register_forward_hook(put)
            by_hand = outcome(singles[0])
            handle.remove()
        row = own(table, kind=kind, layer=0, variant="one")
        assert row["outcome"].item() == pytest.approx(plain, abs=1e-4)
        assert row["outcome_patched"].item() == pytest.approx(by_hand, abs=1e-4)
        assert abs(by_hand - plain) > 1e-6


def test_hidden_pictures_are_read_behind_words():
    (first, second) = cases.caption_swaps({"en": a_dataset()}, WORDS)
    female, male = first.sides
    assert (female.prefix, female.forms) == ("here a woman and ", ("her", "his"))
    assert female.prefix[slice(*female.read[0])] == "woman" and male.prefix[slice(*male.read[0])] == "man"
    assert {first.group, second.group} == {"i2", "i6"} and female.image == male.image
    alone = {"en": {"female": "a woman", "male": "a man"}}
    assert cases.caption_swaps({"en": a_dataset()}, alone) == []


def test_texts_of_unequal_words_are_refused():
    for texts in ({"female": "a woman", "male": "man"}, {"female": "a nurse", "male": "a nurse"}):
        with pytest.raises(InputError, match="of which some differ"):
            differing(texts, "patching.words.en")
    assert differing({"female": "this woman reads", "male": "this man reads"}, "x") == [1]


def test_circuits_of_everything_and_nothing(loaded, patcher, effects):
    """All heads and MLPs kept is the run itself, f = 1; none is f = 0; areas are those of the curve."""
    rows = pd.concat(patcher.kept, ignore_index=True)
    assert {"effect", "atp", "atp_star", "relp", "random"} == {*rows["by"]}
    total = rows["total"].iloc[0]
    assert total == LAYERS * (loaded.adapter.text_config.num_attention_heads + 1)
    whole = rows[rows["nodes"] == total]
    assert whole["outcome_kept"].to_numpy() == pytest.approx(whole["outcome"].to_numpy(), abs=1e-5)
    none = rows[rows["nodes"] == 0]
    assert (none["outcome_kept"] == none["outcome_none"]).all()
    assert (none["outcome_none"] - none["outcome"]).abs().max() > 1e-4
    for found in circuits.curves(patcher.kept, bound=1e-6, bootstraps=20, seed=0):
        first, *_, last = found["points"]
        assert (first["f"]["value"], last["f"]["value"]) == (0, pytest.approx(1, abs=1e-2))


def test_areas_by_hand():
    """f of 0, 1 and 1 at no node, half of them and all: a triangle and a square."""
    cpr, cmd = circuits.areas(np.array([[1.0, 1.0], [0.0, 2.0]]), np.array([0.5, 1.0]))
    assert cpr.tolist() == [0.75, 0.5]
    assert cmd[0] == 0.25
    assert cmd[1] == pytest.approx(0.5 + 0.5)
    flat, _ = circuits.areas(np.array([[0.25, 0.5, 1.0]]), np.array([0.25, 0.5, 1.0]))
    assert flat.tolist() == [0.5]
