"""Activations at the generated tokens: a forward pass over the stored ids sees what generation saw."""

import json
from collections import defaultdict

import numpy as np
import pytest
import torch
from writers import ENDS, PROMPTS, row_of

from crosslens.errors import InputError
from crosslens.generation.continuation import encode_continuations, encode_samples
from crosslens.models.hooks import capture
from crosslens.models.inputs import PADDING, Sample, build_inputs, collate, encode
from crosslens.tables.tokens import ROLES

NEW = 14


def _generated(loaded):
    """Rows of a dataset with what model.generate wrote greedily, and by row and block what hooks saw: (T - 1, d).

    Independent of the stage: transformers' own loop on a batch that is padded on the left. The last token is never
    fed back, so nobody saw activations at it.
    """
    samples = [Sample(f"{i}#0", "", prompt) for i, prompt in enumerate(PROMPTS)]
    batch = build_inputs(loaded, samples, images=None, with_caption=False, padding_side="left")
    inputs = {name: batch.inputs[name] for name in ("input_ids", "attention_mask")}
    seen = defaultdict(list)
    handles = [
        block.register_forward_hook(lambda module, args, output, i=i: seen[i].append(output))
        for i, block in enumerate(loaded.adapter.blocks)
    ]
    ids = loaded.model.generate(**inputs, max_new_tokens=NEW, do_sample=False)
    for handle in handles:
        handle.remove()
    width = inputs["input_ids"].shape[1]
    ends = {loaded.tokenizer.eos_token_id, *loaded.model.generation_config.eos_token_id}
    rows, activations = [], []
    for i, sample in enumerate(samples):
        new = ids[i, width:].tolist()
        stop = next((at + 1 for at, token in enumerate(new) if token in ends), NEW)
        kept = slice(int(width - inputs["attention_mask"][i].sum()), width + stop - 1)
        activations.append({block: torch.cat(outputs, dim=1)[i, kept] for block, outputs in seen.items()})
        rows.append(row_of(loaded.tokenizer, sample, new[:stop]))
    return rows, activations


@pytest.fixture(scope="module")
def generated(writer):
    eos = writer.model.generation_config.eos_token_id
    writer.model.generation_config.eos_token_id = eos if isinstance(eos, list) else [eos]
    return _generated(writer)


@pytest.mark.parametrize("side", ["left", "right"])
def test_activations_are_those_of_generation_with_its_cache(writer, generated, side):
    rows, seen = generated
    batch = collate(writer, encode_continuations(writer, rows), [], padding_side=side)
    sites = [str(block) for block in range(writer.n_layers)]
    with torch.inference_mode(), capture(writer, sites) as values:
        writer.model(**batch.inputs, use_cache=False)
    for i, expected in enumerate(seen):
        for block, activations in expected.items():
            found = values[str(block)][i][batch.role[i] != PADDING]
            assert len(found) == len(activations) + 1
            torch.testing.assert_close(found[:-1], activations, rtol=1e-4, atol=1e-4)


def test_a_forward_pass_predicts_the_greedy_ids(writer, generated):
    rows, _ = generated
    batch = collate(writer, encode_continuations(writer, rows), [], padding_side="right")
    with torch.inference_mode():
        best = writer.model(**batch.inputs).logits.argmax(dim=-1)
    for i, row in enumerate(rows):
        ids = json.loads(row["token_ids"])
        length = int((batch.role[i] != PADDING).sum())
        assert best[i, length - len(ids) - 1 : length - 1].tolist() == ids


def test_the_text_tokenized_again_is_other_tokens(writer, generated):
    """The reason for keeping the ids: an untrained model spells as no tokenizer does, and trained ones do at times."""
    rows, _ = generated
    again = writer.tokenizer([row["caption"] for row in rows], add_special_tokens=False)["input_ids"]
    assert any(ids != json.loads(row["token_ids"]) for ids, row in zip(again, rows, strict=True))


def test_roles_and_characters(writer, generated):
    rows, _ = generated
    bare = [Sample(row["sample_id"], "", row["prompt"]) for row in rows]
    special = set(writer.tokenizer.all_special_ids) | set(writer.model.generation_config.eos_token_id)
    for row, prompt, found in zip(
        rows,
        encode(writer, bare, with_caption=False),
        encode_continuations(writer, rows),
        strict=True,
    ):
        ids, cut = json.loads(row["token_ids"]), len(prompt)
        assert found.token_id.tolist() == [*prompt.token_id.tolist(), *ids]
        for column, before in zip(found, prompt, strict=True):
            np.testing.assert_array_equal(column[:cut], before)
            assert column.dtype == before.dtype
        roles = ["special" if id in special else "generated" for id in ids]
        assert [ROLES[role] for role in found.role[cut:]] == roles
        written = found.role[cut:] == ROLES.index("generated")
        assert (found.char_start[cut:][~written] == -1).all()
        spans = np.stack([found.char_start, found.char_end], axis=1)[cut:][written]
        assert spans.max(initial=0) == len(row["caption"])


def test_ends_and_specials_are_no_text(writer):
    ids = [ENDS[3], writer.tokenizer.convert_tokens_to_ids("<start_of_turn>"), 300, 301]
    (found,) = encode_continuations(writer, [row_of(writer.tokenizer, Sample("x", "", PROMPTS[0]), ids)])
    first = "special" if ENDS[3] in np.ravel(writer.model.generation_config.eos_token_id) else "generated"
    expected = [first, "special", "generated", "generated"]
    assert [ROLES[role] for role in found.role[-4:]] == expected


def test_samples_without_ids_are_encoded_with_their_caption(writer):
    rows = [{"sample_id": "x", "prompt": PROMPTS[0], "caption": "A woman."}]
    (found,) = encode_samples(writer, rows)
    (expected,) = encode(writer, [Sample("x", "A woman.", PROMPTS[0])], with_caption=True)
    for column, same in zip(found, expected, strict=True):
        np.testing.assert_array_equal(column, same)
    (generated,) = encode_samples(writer, [row_of(writer.tokenizer, Sample("x", "", PROMPTS[0]), [300])])
    assert generated.role[-1] == ROLES.index("generated")


@pytest.mark.parametrize(
    "changes",
    [
        {"token_ids": "[]"},
        {"token_ids": ""},
        {"token_ids": "[302, 301]"},
        {"char_end": "[1]"},
        {"char_start": ""},
    ],
    ids=str,
)
def test_ids_that_are_not_those_of_the_text_are_refused(writer, changes):
    row = row_of(writer.tokenizer, Sample("x#0", "", PROMPTS[0]), [300, 301])
    encode_continuations(writer, [row])
    with pytest.raises(InputError, match="x#0"):
        encode_continuations(writer, [row | changes])
