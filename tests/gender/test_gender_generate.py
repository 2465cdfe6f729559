"""The model's own captions: seeded, independent of the batch, faithful to transformers' own decoding."""

from pathlib import Path

import numpy as np
import pytest

from crosslens.errors import InputError
from crosslens.figures.gender_study import stereotype_frames
from crosslens.figures.stereotype import stereotype_figure
from crosslens.figures.style import save
from crosslens.gender.generate import draw_uniforms, generate_captions
from crosslens.gender.stereotype import measure_stereotype
from crosslens.report.sections import stereotype as section
from crosslens.summary.stereotype import stereotype_records
from crosslens.tables.documents import read_json, read_table


def _generate(tiny_model, pictures, out, **changes):
    dataset, images = pictures
    settings = {
        "model": {"id": str(tiny_model), "device": "cpu"},
        "split": "test",
        "gender": "unknown",
        "samples_per_image": 3,
        "temperature": 1.0,
        "max_new_tokens": 8,
        "batch": 64,
        "seed": 0,
        "language": "en",
    } | changes
    out.parent.mkdir(parents=True, exist_ok=True)
    generate_captions(dataset=dataset, images=images, out=out, **settings)
    return read_table(out, "generated")


@pytest.fixture(scope="module")
def reference(tiny_model, pictures, tmp_path_factory):
    out = tmp_path_factory.mktemp("generated") / "a" / "en.parquet"
    return _generate(tiny_model, pictures, out), out


def test_only_the_pictures_asked_for(reference):
    table, out = reference
    assert table["image_id"].unique().tolist() == ["p0", "p1", "p2", "p3", "p4"]
    assert table["draw"].tolist() == [0, 1, 2] * 5
    assert table["category"].tolist() == ["nurse"] * 9 + ["guard"] * 6
    assert [path.name for path in out.parent.iterdir()] == ["en.parquet"]
    assert table.groupby("image_id")["text"].nunique().max() > 1, "draws of one picture differ"


def test_same_bytes_again_and_after_a_kill(reference, tiny_model, pictures, tmp_path, monkeypatch):
    import crosslens.gender.generate as module

    table, out = reference
    again = tmp_path / "b" / "en.parquet"
    real, calls = module.sample_captions, []

    def killed(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(module, "sample_captions", killed)
    with pytest.raises(KeyboardInterrupt):
        _generate(tiny_model, pictures, again, batch=9)
    _generate(tiny_model, pictures, again, batch=9)
    assert len(calls) == 3, "the finished batch is not made again"
    assert again.read_bytes() == out.read_bytes()


def test_independent_of_the_batch_and_of_the_other_draws(reference, tiny_model, pictures, tmp_path):
    table, _ = reference
    fewer = _generate(tiny_model, pictures, tmp_path / "c" / "en.parquet", samples_per_image=1, batch=1)
    expected = table[table["draw"] == 0].reset_index(drop=True)
    assert fewer["text"].tolist() == expected["text"].tolist()
    assert [list(x) for x in fewer["tokens"]] == [list(x) for x in expected["tokens"]]
    other = _generate(tiny_model, pictures, tmp_path / "d" / "en.parquet", seed=1)
    assert other["text"].tolist() != table["text"].tolist()


def test_captions_end_at_an_end_token_whoever_ends_before(
    reference, tiny_model, pictures, tmp_path, monkeypatch
):
    """Every fourth id ends a caption: rows leave the batch at different steps and the others must not notice."""
    import crosslens.gender.generate as module

    table, _ = reference
    ends = list(range(0, 640, 4))
    monkeypatch.setattr(module, "end_tokens", lambda loaded: ends)
    found = _generate(tiny_model, pictures, tmp_path / "g" / "en.parquet")
    lengths = []
    for short, whole in zip(found["tokens"], table["tokens"], strict=True):
        stop = next((i for i, token in enumerate(whole) if token in ends), len(whole))
        assert list(short) == list(whole[:stop])
        lengths.append(stop)
    assert min(lengths) < 2 and max(lengths) > 5


def test_greedy_equals_transformers(tiny_model, pictures, tmp_path):
    """Own decoding loop with cache, left padding and dropped rows against model.generate."""
    from crosslens.models.inputs import build_inputs
    from crosslens.models.load import load_model

    dataset, images = pictures
    changes = {
        "samples_per_image": 1,
        "temperature": 0.0,
        "max_new_tokens": 12,
        "split": "all",
        "gender": None,
    }
    found = _generate(tiny_model, pictures, tmp_path / "e" / "en.parquet", **changes)
    loaded = load_model(str(tiny_model), device="cpu")
    rows = read_table(dataset, "dataset").to_dict("records")
    inputs = build_inputs(loaded, rows, images=images, with_caption=False).inputs
    inputs.pop("position_ids")
    ids = loaded.model.generate(**inputs, max_new_tokens=12, do_sample=False)[
        :, inputs["input_ids"].shape[1] :
    ]
    stop = set(loaded.model.generation_config.eos_token_id)
    for tokens, row in zip(found["tokens"], ids.tolist(), strict=True):
        end = next((i for i, token in enumerate(row) if token in stop), len(row))
        assert list(tokens) == row[:end]


def test_sampled_tokens_follow_the_softmax():
    import torch

    from crosslens.generation.sampling import pick_tokens

    logits = torch.tensor([0.0, 1.0, -torch.inf, 2.0])
    uniform = torch.from_numpy(draw_uniforms(0, "en", "p", 0, 40_000))
    ids = pick_tokens(logits.expand(len(uniform), -1), uniform, temperature=2.0).numpy()
    share = np.bincount(ids, minlength=4) / len(ids)
    assert share == pytest.approx((logits / 2).softmax(-1).numpy(), abs=0.01)
    edge = pick_tokens(
        torch.tensor([[-torch.inf, 0.0, -torch.inf]] * 2), torch.tensor([0.0, 1.0 - 1e-16]), 1.0
    )
    assert edge.tolist()[0] == 1


def test_no_picture_hides_its_gender(tiny_model, pictures, tmp_path):
    """A table that says the gender of every picture: nothing is captioned, and that is what is told, to the figure."""
    generated = {language: tmp_path / language / f"{language}.parquet" for language in ("en", "ar")}
    for language, path in generated.items():
        assert _generate(tiny_model, pictures, path, language=language, split="select").empty
    lexicons = {language: Path(f"resources/lexicons/gender_{language}.yaml") for language in generated}
    out = tmp_path / "stereotype.json"
    measure_stereotype(
        generated=generated, lexicons=lexicons, truth=None, alpha=0.05, bootstraps=50, seed=0, out=out
    )
    for told in read_json(out, "stereotype")["languages"].values():
        assert (
            told["categories"] == {} and told["overall"]["images"] == 0 and told["overall"]["share"] is None
        )
    frames = stereotype_frames(out)
    save(stereotype_figure(*frames), tmp_path / "stereotype.png", frames[0])
    assert all("not" in told.title for told in section.findings_of(stereotype_records(out), None))


@pytest.mark.parametrize(
    "changes",
    [{"temperature": 0.0}, {"samples_per_image": 0}, {"temperature": -1.0}],
)
def test_bad_settings_are_told(tiny_model, pictures, tmp_path, changes):
    with pytest.raises(InputError):
        _generate(tiny_model, pictures, tmp_path / "f" / "en.parquet", **changes)
