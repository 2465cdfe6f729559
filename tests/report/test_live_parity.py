"""The page that runs the model computes what PyTorch computes: crosslens.generation, .sae and .interventions are the truth."""

import html
import json
import re
import subprocess
from base64 import b64encode
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browser import BROWSER
from live_scripts import answers, needs_javascript
from transformers import Gemma3Config, Gemma3ForConditionalGeneration, Gemma3TextConfig, SiglipVisionConfig

from crosslens.data.lexicons import load_lexicon
from crosslens.generation.decode import decode
from crosslens.generation.ids import end_tokens, text_of
from crosslens.interventions.cases import Words
from crosslens.interventions.edits import Edit, Rows, editing, of_features
from crosslens.interventions.nodes import Place
from crosslens.interventions.outcomes import Case, Side
from crosslens.interventions.person_words import person_word, word_pairs
from crosslens.interventions.reading import Question, Questions
from crosslens.interventions.runs import Runs, read_cases
from crosslens.models.adapters import adapter_for
from crosslens.models.head import Head
from crosslens.models.inputs import Encoded, Sample, collate, encode, load_images
from crosslens.models.load import LoadedModel, load_model
from crosslens.report.live.weights import as_text, model_tensors, smallest
from crosslens.sae.io import load_sae
from crosslens.tables.documents import read_table
from crosslens.tables.roles import ROLES

pytestmark = needs_javascript
ROOT = Path(__file__).parents[2]
ALLOWED = 1e-3
"""Of logits and codes: the page adds in float64 where PyTorch adds in float32."""
FORMS = {"en": ("woman", "man"), "ar": ("امرأة", "رجل")}
MAX_NEW = 12


class Packed:
    """A packed page beside the study that it is of."""

    def __init__(self, results: Path, model: Path, work: Path):
        self.page, self.work = results / "report/live", work
        data = (self.page / "data/study.js").read_text(encoding="utf-8")
        self.study = json.loads(data.removeprefix('Live.provide("study",').removesuffix(");\n"))
        data = (self.page / "data/sae_0.js").read_text(encoding="utf-8")
        self.own = json.loads(data.removeprefix('Live.provide("sae_0",').removesuffix(");\n"))
        self.loaded = load_model(id=str(model), device="cpu")
        corpus, _, site = self.study["saes"][0]["name"].partition(".")
        self.site = site
        self.sae = load_sae(results / f"sae/{corpus}/layer_{site}/seed_0")
        self.images = results / "source/images"
        frames = {
            language: read_table(results / f"dataset/{language}.parquet", "dataset") for language in FORMS
        }
        self.rows = {language: frame.set_index("image_id") for language, frame in frames.items()}

    def ask(self, requests: list[dict[str, Any]]) -> list[Any]:
        """What the page answers."""
        return answers(requests, self.work, self.page, ("study", "model", "sae_0"))

    def sample(self, picture: str, language: str, caption: str = "") -> Sample:
        row = self.rows[language].loc[picture]
        return Sample(picture, caption, row["prompt"], row["image"], row["image_sha256"])

    def begun(self, sample: Sample) -> Encoded:
        """Its tokens up to the end of its caption."""
        (tokens,) = encode(self.loaded, [sample], with_caption=True, images=self.images)
        inside = np.flatnonzero(tokens.char_start >= 0)
        (asked,) = encode(self.loaded, [sample], with_caption=False, images=self.images)
        end = max(len(asked), int(inside[-1]) + 1)
        return Encoded(*(column[:end] for column in tokens))

    def batch(self, sample: Sample):
        tokens = self.begun(sample)
        return tokens, collate(self.loaded, [tokens], load_images(self.loaded, [sample], self.images))

    @torch.inference_mode()
    def caption(
        self, sample: Sample, edits: list[tuple[Edit, float]], limit: float, length: int = MAX_NEW
    ) -> tuple[torch.Tensor, list[int], torch.Tensor]:
        """Logits (T, vocabulary), the ids that are written, and codes (T + written, F) before the edits of the last of them."""
        tokens, batch = self.batch(sample)
        uniforms = torch.zeros(1, length)
        read = []

        def run(what):
            with torch.inference_mode():
                if not edits:
                    return what(None)
                rows = [Rows(batch.has_role(self.own["roles"]), s, limit=limit) for _, s in edits]
                followed = Together(rows)
                with editing_all(self.loaded, [edit for edit, _ in edits], rows):
                    return what(followed)

        logits = run(lambda _: self.loaded.model(**batch.inputs).logits[0])
        handle = self.loaded.adapter.blocks[int(self.site)].register_forward_hook(
            lambda module, args, output: read.append(output[0]), prepend=True
        )
        try:
            (ids,) = run(
                lambda rows: decode(
                    self.loaded,
                    batch,
                    uniforms,
                    draws=1,
                    temperature=0,
                    ends=end_tokens(self.loaded),
                    rows=rows,
                )
            )
        finally:
            handle.remove()
        ids = [id for id in ids if id not in end_tokens(self.loaded)]
        states = torch.cat(read)[: len(tokens) + len(ids)]
        return logits, ids, self.sae.encode_dense(states)


class Together:
    """Rows of several edits, told as one of what becomes of the batch."""

    def __init__(self, rows: list[Rows]):
        self.rows = rows

    def repeat(self, times):
        [own.repeat(times) for own in self.rows]

    def keep(self, rows):
        [own.keep(rows) for own in self.rows]

    def step(self):
        [own.step() for own in self.rows]


class editing_all:
    """Edits one behind the other, each with rows of its own."""

    def __init__(self, loaded, edits, rows):
        self.contexts = [editing(loaded, [edit], own) for edit, own in zip(edits, rows, strict=True)]

    def __enter__(self):
        for context in self.contexts:
            context.__enter__()

    def __exit__(self, *told):
        for context in reversed(self.contexts):
            context.__exit__(*told)


def same_codes(told: dict[str, float], expected: torch.Tensor) -> bool:
    """Whether the same features fire as strongly; at the k-th place features may change places that are as strong."""
    values = {int(feature): value for feature, value in told.items()}
    active = {int(feature): float(expected[feature]) for feature in expected.nonzero()[:, 0]}
    shared = values.keys() & active.keys()
    if any(abs(values[feature] - active[feature]) > ALLOWED for feature in shared):
        return False
    only = [sorted(of[f] for f in of.keys() - shared) for of in (values, active)]
    least = min(active.values(), default=0)
    ties = [value for own in only for value in own]
    return len(only[0]) == len(only[1]) and all(abs(value - least) < ALLOWED for value in ties)


def check_captions(packed: Packed, pictures: list[str]) -> dict[str, Any]:
    """Of every picture, language and change: prompt, logits, caption and codes; the figures that were found."""
    steered = max(range(packed.sae.d_sae), key=lambda f: min(packed.own["levels"][l][f] for l in FORMS))
    requests, expected = [], []
    for picture in pictures:
        for language in FORMS:
            levels, limit = packed.own["levels"][language], packed.own["limits"][language]
            _, _, codes = packed.caption(packed.sample(picture, language), [], limit)
            off = codes.sum(dim=0).topk(5).indices.tolist()
            suppress = Edit(packed.site, of_features(packed.sae, off, "suppress"))
            steer = Edit(packed.site, of_features(packed.sae, [steered], "steer", levels=[levels[steered]]))
            for typed, changes, edits in (
                ("", {"logits": True}, []),
                (FORMS[language][0], {}, []),
                ("", {"logits": True, "off": off}, [(suppress, 1.0)]),
                ("", {"logits": True, "push": {steered: 4.0}}, [(steer, 4.0)]),
                ("", {"off": off, "push": {steered: -2.5}}, [(suppress, 1.0), (steer, -2.5)]),
            ):
                where = {"picture": picture, "language": language, "typed": typed, "max_new": MAX_NEW}
                requests.append({"what": "caption", **where, **changes})
                sample = packed.sample(picture, language, typed)
                expected.append((packed.begun(sample), packed.caption(sample, edits, limit), edits))
    found: dict[str, Any] = {"captions": 0, "changed": 0, "logits": 0.0, "tokens": 0}
    plain: dict[tuple[str, str], list[int]] = {}
    for request, told, (tokens, (logits, ids, codes), edits) in zip(
        requests, packed.ask(requests), expected, strict=True
    ):
        assert told["ids"] == tokens.token_id.tolist()
        assert told["roles"] == [ROLES[role] for role in tokens.role]
        assert told["written"] == ids, request
        # PyTorch does not read the token behind which it stops
        assert len(told["codes"]) - len(codes) in (0, 1)
        assert all(same_codes(*pair) for pair in zip(told["codes"], codes, strict=False)), request
        if told["logits"]:
            found["logits"] = max(found["logits"], float((torch.tensor(told["logits"]) - logits).abs().max()))
        place = (request["picture"], request["language"])
        plain.setdefault(place, ids)
        found["captions"] += 1
        found["changed"] += bool(edits) and ids != plain[place]
        found["tokens"] += len(codes)
    assert found["logits"] < ALLOWED
    return found


PATCHED = {"image": "picture", "prompt": "prompt", "last": "last"}
"""Classes of positions of crosslens.interventions, and the columns of the page that they are."""


def check_words(packed: Packed, pairs: list[tuple[str, str]]) -> dict[str, float]:
    """The words' log-odds with and without an edit, and under every patch of the other language's run of another picture."""
    requests, expected = [], []
    steered = max(range(packed.sae.d_sae), key=lambda f: packed.own["levels"]["en"][f])
    prefix = {"en": "a ", "ar": ""}
    for picture, other in pairs:
        for language, source in (("en", "ar"), ("ar", "en")):
            level = packed.own["levels"][language][steered]
            where = {"picture": picture, "language": language}
            asked = {**where, "prefix": prefix[language], "forms": FORMS[language]}
            requests.append({"what": "odds", **asked, "push": {steered: 3.0}})
            row = packed.sample(picture, language)
            question = Question(
                "q", row.prompt, prefix[language], *FORMS[language], row.image, row.image_sha256
            )
            questions = Questions(
                packed.loaded,
                packed.site,
                [question],
                roles=packed.own["roles"],
                images=packed.images,
                batch=2,
            )
            edit = Edit(packed.site, of_features(packed.sae, [steered], "steer", levels=[level]))
            expected.append([float(questions.log_odds(*args)[0]) for args in ((), ([edit], 3.0))])
            there = {"picture": other, "language": source, "typed": prefix[source].strip()}
            here = where | {"typed": prefix[language].strip()}
            requests.append(
                {
                    "what": "patches",
                    "here": here,
                    "there": there,
                    "columns": [*PATCHED.values()],
                    **{name: asked[name] for name in ("prefix", "forms")},
                }
            )
            expected.append(patched(packed, here, there, prefix))
    found = {"odds": 0.0, "patches": 0, "patched": 0.0, "moved": 0.0}
    for request, told, own in zip(requests, packed.ask(requests), expected, strict=True):
        if request["what"] == "odds":
            assert abs(own[0] - own[1]) > 0.01
            found["odds"] = max(found["odds"], *np.abs(np.subtract(told, own)))
            continue
        plain, patches = own
        assert told["begins"] and patches.keys() == told["found"].keys()
        for cell, m in patches.items():
            found["patches"] += 1
            found["patched"] = max(found["patched"], *(abs(value - m) for value in told["found"][cell]))
            found["moved"] = max(found["moved"], abs(m - plain))
    assert found["odds"] < ALLOWED and found["patched"] < ALLOWED and found["moved"] > 0.5
    return found


def patched(packed: Packed, here: dict, there: dict, prefix: Words) -> tuple[float, dict[str, float]]:
    """m of the run, and by `block.column` under the patches that crosslens.interventions makes of it."""
    sides = []
    for run in (here, there):
        row, language = packed.sample(run["picture"], run["language"]), run["language"]
        sides.append(
            Side(language, "", row.prompt, prefix[language], [], FORMS[language], row.image, row.image_sha256)
        )
    blocks = range(packed.loaded.n_layers)
    places = [Place("resid_post", block) for block in blocks]
    cases = read_cases(packed.loaded, [Case("language", "g", tuple(sides))], packed.images)
    with torch.inference_mode():
        runs = Runs(packed.loaded, Head(packed.loaded), cases, packed.images, places)
        found = {}
        for name, column in PATCHED.items():
            exchange = runs.laid.exchange(name, [1, None])
            for place in places:
                given = exchange.donated(runs.states[place])
                found[f"{place.layer}.{column}"] = float(runs.patched(place, exchange, slice(None), given)[0])
    return float(runs.outcome[0]), found


@pytest.fixture(scope="module")
def packed(built_once, tmp_path_factory):
    results = built_once.folder / "results/toy"
    return Packed(results, built_once.folder / "resources/planted", tmp_path_factory.mktemp("live"))


def test_captions_and_codes_with_and_without_edits(packed):
    found = check_captions(packed, [packed.study["pictures"][0]["id"]])
    assert found["changed"] > 0


def test_words_and_patches(packed):
    first, *_, last = [picture["id"] for picture in packed.study["pictures"]]
    check_words(packed, [(first, last)])


def test_texts_of_all_sorts(packed):
    """Ids both ways; half a word is completed, a whole one is left as it is; the word for the person as the study finds it."""
    tokenizer = packed.loaded.tokenizer
    texts = [
        "",
        " ",
        "a  b",
        "<bos>x<end_of_turn>",
        "a woman's ▁ é 中 👩🏽‍🌾\t\n\n",
        "صف المدرسةَ ــ \u200f",
        "<0x41>",
    ]
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    mixed = [*ids, *np.random.default_rng(0).integers(0, len(tokenizer), (20, 9)).tolist()]
    picture = packed.study["pictures"][0]["id"]
    typed = [("a wom", "en"), ("a woman", "en"), ("هذ", "ar")]
    spoken = [
        ("a woman is reading", "en"),
        ("he sees it", "en"),
        ("a cat", "en"),
        ("والرجل يقرأ", "ar"),
        ("صورة", "ar"),
    ]
    told = packed.ask(
        [{"what": "encode", "text": text} for text in texts]
        + [{"what": "decode", "ids": own} for own in mixed]
        + [
            {"what": "begin", "picture": picture, "language": language, "typed": text}
            for text, language in typed
        ]
        + [{"what": "word", "text": text, "language": language} for text, language in spoken]
        + [{"what": "caption", "picture": picture, "language": "en", "typed": "a <end_of_turn>"}]
    )
    assert told[: len(texts)] == ids
    assert told[len(texts) : len(texts) + len(mixed)] == [
        tokenizer.decode(own, skip_special_tokens=True) for own in mixed
    ]
    begun = told[len(texts) + len(mixed) :][: len(typed)]
    assert all(own["text"].startswith(text) for own, (text, _) in zip(begun, typed, strict=True))
    assert begun[0]["ids"] == begun[1]["ids"]
    words = told[-1 - len(spoken) : -1]
    for (text, language), own in zip(spoken, words, strict=True):
        file = ROOT / f"resources/lexicons/planted_{language}.yaml"
        expected = person_word(text, language, load_lexicon(file, language), word_pairs(file, None))
        found = own and (own["start"], own["female"], own["male"])
        assert found == (expected and (expected.start, expected.female, expected.male))
    # what a reader types is text, whatever it spells
    plain = packed.begun(packed.sample(picture, "en"))
    assert told[-1]["roles"].count("special") == sum(ROLES[role] == "special" for role in plain.role)


@pytest.mark.long
def test_every_picture_of_the_page(packed):
    pictures = [picture["id"] for picture in packed.study["pictures"]]
    pairs = list(zip(pictures, pictures[1:] + pictures[:1], strict=True))
    print(check_captions(packed, pictures), check_words(packed, pairs))


def odd_model() -> Gemma3ForConditionalGeneration:
    """A random Gemma-3 whose numbers differ where the shipped model's agree, so that mistakes show which do not show there:
    head_dim and query_pre_attn_scalar, heads × head_dim and width, a rope factor, a window that picture and text exceed, a
    head of its own."""
    text = Gemma3TextConfig(
        vocab_size=203,
        hidden_size=48,
        intermediate_size=77,
        num_hidden_layers=5,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=16,
        query_pre_attn_scalar=23,
        sliding_window=7,
        rms_norm_eps=1e-3,
        max_position_embeddings=512,
        layer_types=["sliding_attention", "full_attention"] * 2 + ["sliding_attention"],
        rope_parameters={
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1_000_000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
        },
        tie_word_embeddings=False,
    )
    vision = SiglipVisionConfig(
        hidden_size=36,
        intermediate_size=50,
        num_hidden_layers=2,
        num_attention_heads=3,
        image_size=32,
        patch_size=4,
        layer_norm_eps=1e-3,
        vision_use_head=False,
    )
    config = Gemma3Config(
        text_config=text,
        vision_config=vision,
        mm_tokens_per_image=16,
        image_token_index=9,
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    model = Gemma3ForConditionalGeneration(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            # Norm weights too: at their initial value a forgotten (1 + w) would not show.
            scale = 0.5 if parameter.ndim == 1 else parameter.shape[-1] ** -0.5
            parameter.normal_(0, scale)
            parameter.copy_(parameter.bfloat16())
    return model


def test_a_model_in_which_every_detail_matters(tmp_path):
    model = odd_model()
    loaded = LoadedModel("odd", model, None, None, adapter_for("gemma3", "odd")(model, None, None), "cpu")
    rng = np.random.default_rng(0)
    ids = [2, *rng.integers(10, 203, 3).tolist(), *[9] * 16, *rng.integers(10, 203, 21).tolist()]
    rgb = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    pixels = {"size": 32, "mean": [0.5, 0.4, 0.6], "std": [0.5, 0.6, 0.7], "factor": 1 / 255}
    values = (rgb / 255 - pixels["mean"]) / pixels["std"]
    tokens = torch.tensor([ids])
    with torch.inference_mode():
        planes = torch.from_numpy(values).float().permute(2, 0, 1)[None]
        vectors = model.get_image_features(planes).pooler_output[0]
        logits = model(
            input_ids=tokens,
            pixel_values=planes,
            attention_mask=torch.ones_like(tokens),
            token_type_ids=(tokens == 9).long(),
        ).logits[0]
    tensors = {name: smallest(tensor) for name, tensor in model_tensors(loaded).items()}
    assert {tensor.dtype for tensor in tensors.values()} <= {torch.float16, torch.bfloat16}
    (told,) = answers(
        [
            {
                "what": "bare",
                "config": json.loads(model.config.to_json_string(use_diff=False)),
                "tensors": as_text(tensors),
                "ids": ids,
                "rgb": b64encode(rgb.tobytes()).decode(),
                "pixels": pixels,
                "prefilled": 30,
            }
        ],
        tmp_path,
    )
    assert np.abs(np.array(told["vectors"]) - vectors.flatten().numpy()).max() < ALLOWED
    assert np.abs(np.array(told["logits"]) - logits.numpy()).max() < ALLOWED


def test_a_permalink_is_what_it_was_made_of(tmp_path):
    """And what it says of another study is left out."""
    study = {
        "pictures": [{"id": "a"}, {"id": "b"}],
        "languages": {"en": {}, "ar": {}},
        "saes": [{"name": "joint.2", "features": 40, "gendered": 0, "languages": ["en", "ar"]}],
        "config": {"text_config": {"num_hidden_layers": 8}},
    }
    whole = (
        "#picture=b&language=ar&text=%D9%87%D8%B0%D9%87&feature=7&scope=all&other=ar&otherPicture=a&otherText=a+man"
        "&off=3.5&push=7*-2.5&patch=4.last_0.picture"
    )
    hashes = ["", whole, "#picture=z&language=fr&feature=40&off=99&push=7*6&patch=9.last_4.a<b&sae=x"]
    told = answers([{"what": "state", "hash": hash, "study": study} for hash in hashes], tmp_path)
    assert told[0] == "#" and told[2] == "#"
    assert sorted(told[1][1:].split("&")) == sorted(whole[1:].split("&"))


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here: THE PAGE ITSELF IS NOT TESTED")
def test_the_page_in_a_browser_from_a_file(packed, tmp_path):
    """Permalinks with a steered feature and a patch, in Arabic: the captions of PyTorch, and nothing on the console."""
    picture, language = packed.study["pictures"][0]["id"], "ar"
    name = packed.study["saes"][0]["name"]
    steered = int(np.argmax(packed.own["levels"][language]))
    level, limit = packed.own["levels"][language][steered], packed.own["limits"][language]
    steer = Edit(packed.site, of_features(packed.sae, [steered], "steer", levels=[level]))
    sample = packed.sample(picture, language)
    captions = []
    for edits in ([], [(steer, 3.0)]):
        _, ids, _ = packed.caption(sample, edits, limit, length=packed.study["max_new"])
        captions.append(text_of(packed.loaded.tokenizer, ids))
    # nothing reads the picture's tokens behind the last block
    last = packed.loaded.n_layers - 1
    hash = f"#picture={picture}&language={language}&sae={name}&push={steered}*3&patch={last}.picture"
    dom, said = dumped(packed.page / "index.html", hash, tmp_path)
    for of, caption in zip(("plain", "edited"), captions, strict=True):
        shown = re.search(rf'<p id="{of}" class="caption"[^>]*>(.*?)</p>', dom, re.S)[0]
        assert 'dir="rtl"' in shown and 'lang="ar"' in shown
        assert words(shown) == caption.strip()
    assert "Written in" in dom and "CONSOLE" not in said, said
    cells = re.findall(r'<button type="button"[^>]*data-cell="[^"]*"[^>]*>([^<]*)</button>', dom)
    assert len(cells) >= 4 * (last + 1) and all(re.fullmatch(r"[+−]?\d+\.\d", cell) for cell in cells)
    assert re.search(rf'aria-pressed="true"[^>]*data-cell="{last}.picture"', dom)


def words(markup: str) -> str:
    """The text of a paragraph."""
    return html.unescape(re.sub(r"<[^>]+>", "", markup)).strip()


def dumped(page: Path, hash: str, work: Path) -> tuple[str, str]:
    """The page as it is when it has come to rest, and what the browser logged."""
    command = [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    command += [f"--user-data-dir={work / 'profile'}", "--virtual-time-budget=60000", "--dump-dom"]
    ended = subprocess.run(
        [*command, page.absolute().as_uri() + hash], capture_output=True, text=True, timeout=200
    )
    return ended.stdout, ended.stderr
