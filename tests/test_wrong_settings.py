"""Settings that are wrong: each is told before anything runs, in one line that names file and key, and several at once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from checkouts import START, Checkout
from study_folder import CONFIG, GOOD, changed, read, write_files, write_study

from crosslens.errors import InputError, InputErrors
from crosslens.store.digests import FileDigests
from crosslens.study.study import Study

ROOT = Path(__file__).parents[1]
GOOD_TEXT = yaml.safe_dump(GOOD, allow_unicode=True)
GENERATED = {
    **{name: GOOD[name] for name in ("model", "sites")},
    "languages": ["en"],
    "source": {"prompts": ["Who?", "What?", "Where?", "Why?"]},
    "activations": {"roles": ["prompt", "generated"]},
    "sae": {"roles": ["generated"]},
}


def generated(**sections) -> dict:
    """A right study of texts that the model writes, with other sections."""
    return {**GENERATED, **sections}


ENGLISH = GOOD | {
    "languages": ["en"],
    **{name: {"en": GOOD[name]["en"]} for name in ("prompts", "lexicons")},
}

WRONG = [
    # place, value (or a whole study, or its text), words of the message
    ("sae.widht", 3, ["key sae: found unknown key widht", "one of architecture, ", "config/README.md"]),
    ("sae.expasion", 3, ["unknown key expasion (did you mean expansion?)"]),
    ("sitess", ["1"], ["studies/mine.yaml: found unknown key sitess (did you mean sites?)"]),
    ("sae.lr", "1e-3", ["key sae.lr: found '1e-3'", "a number", "1.0e-3", "YAML reads 1e-3 as text"]),
    ("sae.lr", -1.0, ["key sae.lr: found -1.0; expected a number greater than 0"]),
    ("sae.lr", float("nan"), ["key sae.lr: found nan; expected a finite number"]),
    ("sae.k", "16", ["key sae.k: found '16'", "a whole number", "without quotes"]),
    ("sae.k", 0, ["key sae.k: found 0", "at least 1"]),
    ("sae.k", 1.5, ["key sae.k: found 1.5", "a whole number"]),
    ("sae.k", 16.0, ["key sae.k: found 16.0", "a whole number"]),
    ("sae.k", True, ["key sae.k: found true", "a whole number"]),
    ("sae.k", 129, ["key sae.k: found 129; expected at most d_sae = 128"]),
    ("sae", {"d_sae": 30}, ["key sae.k: found 32; expected at most d_sae = 30"]),
    ("sweep.k", [8, 500], ["key sweep.k: found 500 (k_500); expected at most d_sae = 128"]),
    ("sweep.d_sae", [16], ["key sae.k: found 32 (d_sae_16); expected at most d_sae = 16"]),
    ("sae.architecture", "vanilla", ["key sae.architecture: found 'vanilla'", "topk", "gated"]),
    ("sae.architecture", "batch_topk", ["found 'batch_topk'", "(did you mean batchtopk?)"]),
    ("sae", {"architecture": "gated", "tied": True}, ["key sae.tied: found True", "gated"]),
    (
        "sae",
        {"architecture": "matryoshka", "matryoshka_fractions": [0.5, 0.25, 1]},
        ["key sae.matryoshka_fractions", "rising"],
    ),
    ("sae", {"architecture": "relu", "k": 16}, ["key sae.k: found 16, which relu does not read", "topk"]),
    # written down, if only what stands there anyway
    ("sae", {"architecture": "relu", "k": 32}, ["key sae.k: found 32, which relu does not read", "topk"]),
    ("sae", {"train_tokens": 4096, "epochs": 1}, ["key sae.epochs: found 1 beside sae.train_tokens 4096"]),
    ("sae.l1", 0.3, ["key sae.l1: found 0.3, which topk does not read; expected it with gated, relu alone"]),
    ("sae.matryoshka_fractions", [0.5, 1], ["which topk does not read; expected it with matryoshka alone"]),
    ("sweep.l1", [0.1, 0.3], ["key sweep.l1: found [0.1, 0.3], which topk does not read"]),
    (
        "sae",
        {"d_sae": 64, "expansion": 4},
        ["key sae.expansion: found 4 beside sae.d_sae 64, so that nothing"],
    ),
    ("sae", {"train_tokens": 900, "epochs": 3}, ["key sae.epochs: found 3 beside sae.train_tokens 900"]),
    ("sae", {"exclude_sinks": False, "sink_factor": 5}, ["key sae.sink_factor", "sae.exclude_sinks False"]),
    ("sae", {"aux_k": 0, "aux_alpha": 0.5}, ["key sae.aux_alpha", "sae.aux_k 0"]),
    # what nothing of such a study reads
    (
        changed(
            "sae",
            {"corpora": [], "pretrained": {"scope": {"0": "hf:a/b@main"}}, "k": 8, "epochs": 2, "seeds": [3]},
        ),
        None,
        [
            "key sae.k: found 8, which nothing reads; expected it with SAEs that are trained (sae.corpora) alone"
        ],
    ),
    (
        ENGLISH | {"gender": {"grammar_permutations": 500}},
        None,
        ["key gender.grammar_permutations: found 500"],
    ),
    (
        ENGLISH | {"gender": {"transfer_permutations": 2000}},
        None,
        ["key gender.transfer_permutations", "two"],
    ),
    ("gender", {"conditions": ["prompt"], "grammar_permutations": 9999}, ["key gender.grammar_permutations"]),
    ("compare.draws", 9, ["key compare.draws: found 9, which nothing reads", "compare.with"]),
    ("generation.seed", 3, ["key generation.seed: found 3, which nothing reads", "source.prompts"]),
    (generated(generation={"seed": 3}), None, ["key generation.seed: found 3", "a temperature above 0"]),
    (generated(gender={"alpha": 0.1}), None, ["key gender.alpha: found 0.1", "given texts"]),
    (generated(prompts={"en": "Describe."}), None, ["key prompts: found prompts before given texts"]),
    (GOOD | {"gender": None, "stereotype": {"batch": 3}}, None, ["key stereotype.batch: found 3"]),
    ("embeddings", {"methods": ["pca"], "perplexity": 9}, ["key embeddings.perplexity", "tsne"]),
    (
        "describe",
        {"endpoint": {"url": "http://localhost/v1", "model": "m"}},
        ["key describe.endpoint: found a server", "method: endpoint"],
    ),
    ("prompts.en", "  ", ["key prompts.en: found '  ', which is blank", "for none"]),
    ("prompts.ar", "\u2800\u200f", ["key prompts.ar", "which is blank"]),
    (
        ENGLISH | {"causal": {}},
        None,
        ["key causal: found tests of what languages share, and en alone; expected two languages"],
    ),
    (ENGLISH | {"steering": {}}, None, ["key steering: found no SAE of all of two languages or more"]),
    ("pages", {"features": 0}, ["key pages.features: found 0"]),
    ("steering", {"sites": ["9"]}, ["key steering.sites: found ['9']", "some of the study's sites"]),
    ("steering", {"strengths": [0]}, ["key steering.strengths.0: found 0; expected a number greater than 0"]),
    ("steering", {"strengths": []}, ["key steering.strengths"]),
    ("steering", {"strengths": [float("inf")]}, ["key steering.strengths.0: found"]),
    ("steering", {"strengths": [float("nan")]}, ["key steering.strengths.0: found"]),
    ("steering", {"random_sets": 19}, ["key steering.random_sets: found 19", "at least 20"]),
    ("steering", {"words": {"fr": [["femme", "homme"]]}}, ["key steering.words: found 'fr'"]),
    ("steering", {"words": {"en": [["woman"]]}}, ["key steering.words.en.0"]),
    ("clamp", {}, ["key clamp: found texts that are given", "source.prompts"]),
    ("clamp", {"features": [10**6]}, ["key clamp.features: found feature 1000000"]),
    (
        "clamp",
        {"features": [3]},
        [
            "key clamp.features: found features of one SAE, and 2 that are clamped: joint at 0, joint at 3.attn_out"
        ],
    ),
    (
        GOOD | {"sae": {"sites": ["0"]}, "clamp": {"sites": ["3.attn_out"]}},
        None,
        ["key clamp.sites: found ['3.attn_out'], where no SAE is; expected some of ['0']"],
    ),
    (
        GOOD | {"sae": {"sites": ["0"]}, "steering": {"sites": ["3.attn_out"]}},
        None,
        ["key steering.sites: found ['3.attn_out'], where no SAE is"],
    ),
    (
        ENGLISH | {"gender": {"morphology": "camel_tools"}},
        None,
        ["key gender.morphology: found camel_tools, and no Arabic"],
    ),
    ("concepts", {"every": [f"i{n}" for n in range(5)]}, ["key concepts.every: found all 5 of the source"]),
    (
        "source.columns",
        {"en": "english_prompt", "ar": "english_prompt"},
        ["key source.columns: found one column, 'english_prompt', for ar and en"],
    ),
    ("source.columns", {"en": "image_id", "image_id": "image_id"}, ["for en and image_id"]),
    ("sae.batch_tokens", 0, ["key sae.batch_tokens: found 0; expected a number of at least 1"]),
    ("sae.epochs", 0, ["key sae.epochs: found 0; expected a number greater than 0"]),
    ("sae.betas", [0.9, 1], ["key sae.betas.1: found 1; expected a number less than 1"]),
    ("sae.betas", [0.9], ["key sae.betas", "a list of at least 2"]),
    ("sae.warmup_fraction", 1.5, ["key sae.warmup_fraction: found 1.5; expected a number of at most 1"]),
    ("sae.seeds", [-1], ["key sae.seeds.0: found -1", "at least 0"]),
    ("sae", [], ["key sae: found []; expected a section of keys"]),
    ("sae.buffer_tokens", 512, ["key sae: found unknown key buffer_tokens", "buffer_mb"]),
    ("sae.d_sae", 0, ["key sae.d_sae: found 0", "at least 1"]),
    ("sae.corpora", [], ["key sae.corpora: found none", "a corpus, or a pretrained SAE"]),
    ("sae.corpora", ["joint", "fr"], ["key sae.corpora: found 'fr'", "joint or one of ['en', 'ar']"]),
    ("sae.corpora", ["jont"], ["key sae.corpora: found 'jont'", "(did you mean joint?)"]),
    ("sae.sites", ["9"], ["key sae.sites: found ['9']", "['0', '3.attn_out']"]),
    ("sae.roles", ["image", "caption"], ["key sae.roles: found ['image']", "activations.roles"]),
    ("sae.pretrained", {"fr": {"0": "hf:a/b"}}, ["key sae.pretrained: found 'fr'", "four or more"]),
    ("sae.pretrained", {"joint": {"0": "hf:a/b"}}, ["key sae.pretrained: found 'joint'"]),
    (
        "sae.pretrained",
        {"scope": {"2": "hf:a/b"}},
        ["key sae.pretrained.scope: found site '2'", "['0', '3.attn_out']"],
    ),
    (
        "sae.pretrained",
        {"scope": {"0": "nowhere"}},
        ["key sae.pretrained.scope.0: found nothing at nowhere", "hf:owner/name/folder"],
    ),
    ("sae.pretrained", {"scope": {"0": "hf:a"}}, ["key sae.pretrained.scope.0: found 'hf:a'"]),
    (
        "sae.pretrained",
        {"scope": {"0": "saes/wide"}},
        ["key sae.pretrained.scope.0: found an SAE for width 32", "width 16"],
    ),
    (
        "sae.pretrained",
        {"scope": {"0": "saes/elsewhere"}},
        ["scope.0: found an SAE of site 3.mlp_out", "site 0"],
    ),
    ("sae.pretrained", {"scope": {"0": "saes/transcoder"}}, ["scope.0: found a transcoder"]),
    ("sae.pretrained", {"scope": {"0": "saes/other"}}, ["scope.0: found an SAE of the model pythia-70m"]),
    (
        "sae.pretrained",
        {"scope": {"0": "saes/head"}},
        ["scope.0: found an SAE of no such site (blocks.0.attn.hook_z)"],
    ),
    ("sae.pretrained", {"scope": {"0": "saes/layers.0"}}, ["scope.0: found a transcoder at saes/layers.0"]),
    ("sae.pretrained", {"scope": {"0": "saes/in_and_out"}}, ["scope.0: found a transcoder"]),
    ("sae.pretrained", {"scope": {"0": "saes/trainer_0"}}, ["scope.0: found an SAE of site 3", "site 0"]),
    ("sae.pretrained", {"scope": {"0": "saes/trainer_0"}}, ["scope.0: found an SAE for width 32"]),
    ("sae.pretrained", {"scope": {"0": "saes/nobodys"}}, ["cfg.json: found configuration keys ['layers']"]),
    ("sae.pretrained", {"scope": {"0": "saes"}}, ["saes: found broken, ", "expected one of sae_weights"]),
    ("sae.pretrained", {"scope": {"0": "saes/broken"}}, ["saes/broken/cfg.json: found ", "JSON"]),
    (
        "sae",
        {"corpora": [], "pretrained": {"scope": {"0": "hf:a/b"}}},
        ["key sae.pretrained: found no SAE for ['3.attn_out']"],
    ),
    ("sweep.architecture", ["vanilla"], ["key sweep.architecture.0: found 'vanilla'", "topk"]),
    ("sweep.k", [], ["key sweep.k: found []"]),
    ("sweep.epochs", [1], ["key sweep: found unknown key epochs"]),
    (
        "languages",
        ["en", False],
        ["key languages.1: found false", 'quote it: languages and sites are strings ("no", "14")'],
    ),
    ("languages", ["en", "English"], ["key languages.1: found 'English'", "small letters such as en"]),
    ("languages", [], ["key languages: found []"]),
    ("sites", [1], ["key sites.0: found 1", "quote it"]),
    ("sites", ["1.mlp"], ["key sites.0: found '1.mlp'", "a block number, alone or with .resid_pre"]),
    ("sites", ["4"], ["key sites: found layer 4", "0 to 3: model has 4 blocks, counted from 0"]),
    ("sites", ["7.attn_out"], ["key sites: found layer 7.attn_out", "0 to 3"]),
    ("sites", ["1", "1"], ["key sites", "each entry once"]),
    ("sites", None, ["found no key sites", "config/README.md"]),
    ("sites", [], ["key sites: found []; expected a list of at least 1"]),
    ("sites", ["1", "01"], ["key sites.1: found '01'", "a block number"]),
    ("sites", ["-1"], ["key sites.0: found '-1'", "a block number"]),
    ("languages", ["en", "en"], ["key languages: found ['en', 'en']; expected each entry once"]),
    ("sae.seeds", [0, 0], ["key sae.seeds: found [0, 0]; expected each entry once"]),
    ("sae.seeds", [2**32], ["key sae.seeds.0: found 4294967296; expected a number of at most 4294967295"]),
    ("gender.seed", 2**70, ["key gender.seed: found 118", "at most 4294967295"]),
    ("embeddings", {"seed": 2**32}, ["key embeddings.seed: found 4294967296", "at most 4294967295"]),
    ("geometry", {"seed": 2**32}, ["key geometry.seed: found 4294967296", "at most 4294967295"]),
    ("describe", {"seed": 2**32}, ["key describe.seed: found 4294967296", "at most 4294967295"]),
    ("model.random_init", 2**64, ["key model.random_init: found 18446744073709551616", "at most 4294967295"]),
    ("sae.k", -1, ["key sae.k: found -1", "at least 1"]),
    ("sae.epochs", -1, ["key sae.epochs: found -1", "greater than 0"]),
    ("splits", {"train": -0.5, "select": 1, "test": 0.5}, ["key splits.train: found -0.5"]),
    *(
        (key, "x" * 300, [f"key {key}: found 'xxx", "names of at most 255 bytes"])
        for key in ("model.id", "model.adapter", "source.captions", "source.images", "lexicons.en")
    ),
    ("model.id", "models/" + "ا" * 130, ["key model.id: found 'models/ا", "names of at most 255 bytes"]),
    ("model.id", "", ["key model.id: found ''; expected some text"]),
    ("sae.pretrained", {"scope": {"0": "x" * 300}}, ["key sae.pretrained.scope.0: found 'xxx", "255 bytes"]),
    ("sae.pretrained", {"s" * 61: {"0": "hf:a/b"}}, ["key sae.pretrained: found 'sss", "at most 60"]),
    ("tokens", {"sites": ["2"]}, ["key tokens.sites: found ['2']"]),
    ("tokens", {"texts": [{"language": "English", "text": "x"}]}, ["key tokens.texts.0.language"]),
    ("tokens", {"samples": ["i1#0", "i9#0"]}, ["key tokens.samples: found i9#0 (1 such)", "such as i0#0"]),
    ("tokens", {}, ["key tokens: found neither texts nor samples"]),
    ("concepts", {"some": ["i1", "i9"]}, ["key concepts.some: found i9 (1 such)", "image_ids of the source"]),
    ("pairs", [["en", "fr"]], ["key pairs: found 'fr'; expected two of ['en', 'ar']"]),
    ("pairs", [["en", "ar"], ["ar", "en"]], ["key pairs: found ['ar', 'en'] a second time"]),
    ("pairs", [["en", "en"]], ["key pairs.0: found ['en', 'en']; expected each entry once"]),
    ("pairs", [["en"]], ["key pairs.0: found ['en']; expected a list of at least 2"]),
    ("prompts", {"en": "x"}, ["key prompts: found no prompt for 'ar'"]),
    ("prompts", {"en": "x", "ar": "x", "fr": "x"}, ["key prompts: found 'fr'", "['en', 'ar']"]),
    ("prompts", {"en": "x", "ar": 1}, ["key prompts.ar: found 1"]),
    ("prompts", {"en": "", "ar": "x"}, ["key gender.conditions: found prompt, and no prompt in en"]),
    ("lexicons", {"en": "lexicon_en.yaml"}, ["key lexicons: found no lexicon for 'ar'", "gender: null"]),
    ("lexicons.fr", "lexicon_en.yaml", ["key lexicons: found 'fr'"]),
    ("lexicons.en", "nowhere.yaml", ["key lexicons.en: found no file nowhere.yaml"]),
    ("lexicons.en", "lexicon_ar.yaml", ["key lexicons.en: found lexicon_ar.yaml", "language 'ar'"]),
    ("lexicons.en", "data/captions.csv", ["key lexicons.en: found data/captions.csv"]),
    (
        "splits",
        {"train": 0.5, "select": 0.2, "test": 0.2},
        ["key splits: found shares that add up to 0.9", "expected 1"],
    ),
    (
        "splits",
        {"train": 0.9, "select": 0.05, "test": 0.05},
        ["key splits: found no image in ", "(5 images)"],
    ),
    ("splits.train", 0, ["key splits.train: found 0"]),
    ("splits.seed", -1, ["key splits.seed: found -1", "at least 0"]),
    ("source.captions", "nowhere.csv", ["key source.captions: found nothing at nowhere.csv"]),
    ("source.captions", "data", ["key source.captions: found a folder, data"]),
    ("source.images", "", ["key source.images: found ''; expected some text"]),
    ("source.images", "nowhere", ["key source.images: found nothing at nowhere"]),
    ("source.images", "data/captions.csv", ["key source.images: found a file, data/captions.csv"]),
    # a folder, but of something else
    (
        "source.images",
        "saes",
        ["key source.images: found none of the ", " pictures that data/captions.csv names in saes"],
    ),
    ("source.columns", {"fr": "x"}, ["key source.columns: found fr; expected one of en, ar, image_id"]),
    ("source.columns", {"sex_": "x"}, ["key source.columns: found 'sex_'; expected a language, image_id"]),
    (
        "source",
        {},
        ["key source: found neither", "exactly one of captions or mt_geneval or names or planted"],
    ),
    ("source.planted", {"images": 3}, ["key source: found captions and planted", "exactly one of"]),
    ("source.captoins", "x", ["key source: found unknown key captoins (did you mean captions?)"]),
    ("model.dtype", "float64", ["key model.dtype: found 'float64'", "float32", "bfloat16", "float16"]),
    ("model.dtype", "float16", ["key model.dtype: found float16", "residuals of Gemma 3 reach 800,000"]),
    ("model", {"dtype": "float32"}, ["key model: found no key id"]),
    ("model.device_map", "Auto", ["key model.device_map: found 'Auto'", "null"]),
    (
        "model",
        {"id": "resources/model", "device": "cuda", "device_map": "auto"},
        ["key model.device: found cuda together with model.device_map"],
    ),
    ("model.adapter", "nowhere.py", ["key model.adapter: found no file nowhere.py"]),
    ("model.id", "package:gpt-9", ["package:gpt-9", "package:gemma-3-270m"]),
    ("model.id", "missing.gguf", ["key model.id: found no file missing.gguf"]),
    ("model.id", "data/captions.gguf", ["key model.id: found no GGUF in data/captions.gguf"]),
    ("model.id", "resources/modle", ["no folder resources/modle", "(did you mean resources/model?)"]),
    ("model.id", "./resources/modle", ["key model.id: found no folder ./resources/modle"]),
    ("model.id", "/models/gemma", ["key model.id: found no folder /models/gemma"]),
    ("model.id", "~/models/gemma", ["key model.id: found no folder ~/models/gemma"]),
    ("model.id", "modle", ["key model.id: found modle", "(did you mean model", "pin the revision"]),
    ("model.id", "data", ["key model.id: found no weights in safetensors in data"]),
    ("model.id", "models/bloom", ["key model.id: found a model of the family 'bloom'", "model.adapter"]),
    (
        "model",
        {"id": "models/bloom", "adapter": "family.py"},
        ["key model.id: found a model of the family 'bloom'", "olmo9"],
    ),
    (
        "model.id",
        "models/peft",
        ["key model.id: found an adapter of PEFT in models/peft", "merge_and_unload"],
    ),
    (
        "model",
        {"id": "someone/peft", "revision": "3f" * 20},
        [
            "key model.id: found an adapter of PEFT in ",
            "models--someone--peft/snapshots/3f",
            "merge_and_unload",
        ],
    ),
    ("source.captions", "d/" * 2100 + "x.csv", ["key source.captions: found 'd/d/", "and 3,000 in all"]),
    (
        "model.id",
        "models/quantised",
        ["key model.id: found quantised weights (gptq in config.json)", "in no key"],
    ),
    ("model.id", "models/text", ["key source.images: found pictures, and text, which reads text alone"]),
    ("gender.bootstraps", 3, ["key gender.bootstraps: found 3", "at least 10"]),
    (
        "gender.permutations",
        518,
        [
            "key gender.permutations: found 518, whose smallest two-sided p is 2/519; expected at least 519",
            "0.05",
            "each of the 13 claims",
        ],
    ),
    ("gender", {"alpha": 0.0005}, ["key gender.permutations: found 1000, whose", "expected at least 51999"]),
    (
        "gender",
        {"alpha": 0.02, "transfer_permutations": 998},
        [
            "key gender.transfer_permutations: found 998, whose smallest two-sided p is 2/999; expected at least 1299"
        ],
    ),
    ("gender.alpha", 0.0129, ["key gender.alpha: found 0.0129; expected at least 0.013", "13 claims"]),
    ("gender.conditions", ["image"], ["key gender.conditions.0: found 'image'"]),
    (
        {
            **GOOD,
            "source": {"captions": "data/captions.csv"},
            "gender": {"conditions": ["prompt", "generated"]},
        },
        None,
        ["key gender.conditions: found generated, and no pictures"],
    ),
    ("gender.conditions", ["generated"], ["found generated alone", "one of prompt and caption beside it"]),
    ("sae.centred", ["res_jb"], ["key sae.centred: found res_jb", "names of sae.pretrained"]),
    (
        "sae",
        {"pretrained": {"scope": {"0": "hf:a/b"}}, "centred": ["scope"]},
        ["key sae.centred: found scope, and a model of RMSNorms", "LayerNorms"],
    ),
    ("gender.alpha", 1, ["key gender.alpha: found 1; expected a number less than 1"]),
    ("sae.roles", ["caption"], ["key gender.conditions: found prompt", "sae.roles"]),
    (
        "activations.roles",
        ["captions"],
        ["key activations.roles.0: found 'captions'", "(did you mean caption?)"],
    ),
    ("activations.roles", ["prompt", "caption", "generated"], ["key activations.roles: found generated"]),
    ("activations.batch_tokens", 0, ["key activations.batch_tokens: found 0", "at least 1"]),
    ("activations.shard_mb", 0, ["key activations.shard_mb: found 0; expected a number greater than 0"]),
    ("quality.batch", -1, ["key quality.batch: found -1; expected a number of at least 1"]),
    ("stereotype.batch", 0, ["key stereotype.batch: found 0"]),
    ("stereotype.temperature", 0, ["key stereotype.temperature: found 0; expected a number greater than 0"]),
    ("compare.with", ["mine"], ["key compare.with: found this study itself"]),
    ("compare.with", ["mime"], ["key compare.with: found no file studies/mime.yaml"]),
    ("describe", {"method": "endpoint"}, ["key describe.endpoint: found null", "a server to ask"]),
    ("describe", {"held_out": 4}, ["key describe.held_out: found 4", "at least 5"]),
    ("describe", {"endpoint": {"url": "http://h/v1"}}, ["key describe.endpoint: found no key model"]),
    (
        GOOD | {"describe": {}, "sae": {"roles": ["prompt"]}, "gender": None},
        None,
        ["key describe: found labels of texts, and SAEs on ['prompt']"],
    ),
    (
        GOOD | {"languages": ["en", "fr"], "source": {"names": {"emoji": {}}}},
        None,
        ["key languages: found 'fr'; expected some of en, ar, in which source.names has texts"],
    ),
    (
        GOOD | {"languages": ["en", "fr"], "source": {"planted": {"images": 40}}},
        None,
        ["key languages: found 'fr'; expected some of en, ar"],
    ),
    (GOOD | {"source": {"names": {}}}, None, ["key source.names: found neither emoji nor messages"]),
    (generated(languages=["en", "ar"]), None, ["key languages: found ['en', 'ar']"]),
    (generated(sae={}), None, ["key sae.roles: found ['prompt', 'caption']", "generated"]),
    (generated(generation={"samples": 2}), None, ["key generation.temperature: found 0"]),
    (generated(source={"prompts": ["Who?"]}), None, ["key source.prompts: found", "at least 3"]),
    (GOOD_TEXT + "sites: ['1']\n", None, ["mine.yaml, line ", "the key sites twice"]),
    (GOOD_TEXT + "gender: {alpha: .05, alpha: .1}\n", None, ["mine.yaml, line ", "the key alpha twice"]),
    (GOOD_TEXT + "sae: {pretrained: {scope: {17: a}}}\n", None, ["the key '17', which is no text"]),
    (GOOD_TEXT + "sae: {lr: 1e-3}\n", None, ["key sae.lr: found '1e-3'"]),
    (GOOD_TEXT.replace("- ar", "- no"), None, ["key languages.1: found false", "quote it"]),
    ("model: [", None, ["mine.yaml, line 2"]),
    ("- a list", None, ["mine.yaml: found ['a list']; expected a section of keys"]),
    ("just words", None, ["mine.yaml: found 'just words'; expected a section of keys"]),
    ("# nothing\n", None, ["mine.yaml: found null; expected a section of keys"]),
]
assert len(WRONG) >= 60


def names(case) -> str:
    place, value, words = case
    return f"{place}={value}" if value is not None else words[0]


def spoilt(place, value) -> dict:
    """`settings` or `text` of the study that is wrong there."""
    if isinstance(place, dict):
        return {"settings": place}
    if "\n" in place or place in ("model: [", "- a list", "just words"):
        return {"text": place}
    return {"settings": changed(place, value)}


def config(**told) -> str:
    return json.dumps({"architecture": "topk", "k": 4, "d_in": 16, "d_sae": 64, **told})


def trainer(hook, buffer=None, **told) -> str:
    """A configuration of dictionary_learning."""
    of = {"dict_class": "AutoEncoder", "activation_dim": 16, "dict_size": 64, "submodule_name": hook, **told}
    return json.dumps({"trainer": of, "buffer": buffer})


BESIDE = {
    "saes/wide/cfg.json": config(d_in=32),
    "saes/elsewhere/cfg.json": config(metadata={"hook_name": "blocks.3.hook_mlp_out"}),
    "saes/transcoder/cfg.json": config(architecture="jumprelu_transcoder"),
    "saes/other/cfg.json": config(metadata={"model_name": "pythia-70m"}),
    "saes/broken/cfg.json": "{",
    "saes/head/cfg.json": config(hook_name="blocks.0.attn.hook_z"),
    "saes/layers.0/cfg.json": json.dumps({"num_latents": 64, "k": 4, "d_in": 16, "transcode": True}),
    "saes/in_and_out/config.json": trainer("resid_post_layer_0", {"io": "in_and_out"}),
    "saes/trainer_0/config.json": trainer("resid_post_layer_3", activation_dim=32),
    "saes/nobodys/cfg.json": '{"layers": 4}',
    **{
        f"saes/{name}/{weights}": "weights"
        for name, weights in (
            *(
                (name, "sae_weights.safetensors")
                for name in "wide elsewhere transcoder other broken head right".split()
            ),
            ("layers.0", "sae.safetensors"),
            ("in_and_out", "ae.pt"),
            ("trainer_0", "ae.pt"),
            ("nobodys", "ae.pt"),
        )
    },
    "models/bloom/config.json": '{"model_type": "bloom", "num_hidden_layers": 4}',
    "models/bloom/model.safetensors": "weights",
    "models/text/config.json": '{"model_type": "llama", "num_hidden_layers": 4, "hidden_size": 16}',
    "models/text/model.safetensors": "weights",
    "models/peft/config.json": CONFIG,
    "models/peft/model.safetensors": "weights",
    "models/peft/adapter_config.json": "{}",
    "models/quantised/config.json": CONFIG[:-1] + ', "quantization_config": {"quant_method": "gptq"}}',
    "models/quantised/model.safetensors": "weights",
    f"hub/models--someone--peft/snapshots/{'3f' * 20}/adapter_config.json": "{}",
    "data/captions.gguf": "no model",
    "family.py": '@register("olmo9")\nclass Olmo9(Adapter):\n    pass\n',
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a right study and what wrong ones name, where we are."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    write_files(tmp_path)
    write_files(tmp_path, BESIDE)
    return tmp_path


@pytest.mark.parametrize(("place", "value", "words"), WRONG, ids=map(names, WRONG))
def test_a_wrong_setting_is_told(folder, place, value, words):
    with pytest.raises(InputError) as told:
        read(**spoilt(place, value))
    lines = str(told.value).splitlines()
    assert all("To mend: " in line for line in lines)
    assert any(all(word in line for word in words) for line in lines), told.value
    assert all(line.startswith(("studies/mine.yaml", "saes/", "saes: ")) for line in lines)


@pytest.mark.parametrize(
    ("name", "role"),
    [("gender", "gender"), ("Ground Truth Gender", "gender"), ("Category", "category"), ("SPLIT", "split"), ("Group", "group")],
)  # fmt: skip
def test_a_column_that_is_called_nearly_as_usual_is_not_left_out_in_silence(folder, name, role):
    """Genders would be read off captions beside a column that says them."""
    table = folder / "data/captions.csv"
    header, *rows = table.read_text(encoding="utf-8").splitlines()
    table.write_text(
        "\n".join([f"{header},{name}", *(f"{row},{row.split(',')[0]}" for row in rows)]), encoding="utf-8"
    )
    with pytest.raises(
        InputError, match=rf"column '{name}', which nothing reads.*columns: {{{role}: {name}}}"
    ):
        read(GOOD)
    # what is read as something else is something else
    other = "category" if role != "category" else "group"
    assert (
        read(changed("source.columns", {other: name})).source.rows[0]._asdict()[other]
        == rows[0].split(",")[0]
    )


def test_a_mask_that_the_tables_own_overrules_is_told(folder):
    table = folder / "data/captions.csv"
    header, *rows = table.read_text(encoding="utf-8").splitlines()
    spans = [f"{header},en_label_spans,ar_label_spans", *(f"{row},[],[]" for row in rows)]
    assert read(changed("mask", "label_words"))
    table.write_text("\n".join(spans), encoding="utf-8")
    with pytest.raises(InputError, match="key mask: found 'label_words' beside words that the source marks"):
        read(changed("mask", "label_words"))


def test_steering_that_no_claim_can_come_of_is_told_and_runs(folder):
    (remark,) = read(changed("steering", {"random_sets": 278})).remarks
    assert "random_sets: found 278, whose smallest p is 1/279; expected at least 279" in remark
    assert "14 claims" in remark and remark.endswith("steering is described, and not tested.")
    assert read(changed("steering", {"random_sets": 279})).remarks == read(GOOD).remarks == []


@pytest.mark.parametrize(
    "settings",
    [
        GOOD,
        GENERATED,
        generated(generation={"samples": 2, "temperature": 0.5}),
        changed("sae.k", 128),
        changed("gender.permutations", 519),
        # read by an SAE of the sweep; a control's decoder is drawn at random, whatever the study's own has
        GOOD | {"sae": {"l1": 0.3}, "sweep": {"architecture": ["relu", "topk"]}},
        GOOD | {"sae": {"architecture": "matryoshka", "matryoshka_fractions": [0.5, 1]}},
        changed("gender", {"alpha": 0.013, "permutations": 1999, "transfer_permutations": 1999}),
        changed("model", {"id": "google/gemma-3-4b-it", "revision": "0" * 40}),
        # the folder of that name has nothing to do with the hub's, as the commit says
        changed("model", {"id": "resources/planted", "revision": "0" * 40}),
        changed("splits", {"train": 0.6, "select": 0.2, "test": 0.2}),
        changed("sae.pretrained", {"scope": {"0": "hf:google/gemma-scope-2-4b-it/resid_post/layer_17@main"}}),
        GOOD | {"prompts": {"en": "", "ar": ""}, "gender": {"conditions": ["caption"]}},
        GOOD | {"source": {"planted": {"images": 40}}},
        changed("tokens", {"samples": ["i1#0"]}),
    ],
    ids=range(15),
)
def test_what_is_at_the_edge_and_right_is_taken(folder, settings):
    assert read(settings).sites == GOOD["sites"]


def test_an_sae_whose_files_say_what_the_study_says_is_taken(folder):
    told = config(metadata={"hook_name": "blocks.3.hook_attn_out", "model_name": "model"})
    write_files(folder, {"saes/right/cfg.json": told})
    found = read(changed("sae.pretrained", {"scope": {"3.attn_out": "saes/right"}}))
    assert found.corpora_at("3.attn_out") == ["joint", "scope"]


def test_all_faults_are_told_together(folder):
    settings = changed("model.dtype", "float16") | {"sites": ["9"], "prompts": {"en": "x"}}
    settings["gender"] = {"permutations": 12}
    with pytest.raises(InputErrors) as told:
        read(settings)
    said = str(told.value).splitlines()
    assert len(said) == len(told.value.errors) == 4
    for key in ("model.dtype", "sites", "prompts", "gender.permutations"):
        assert sum(f"key {key}: " in line for line in said) == 1
    with pytest.raises(InputErrors) as told:
        read(changed("sae", {"k": 0, "lr": "1e-3", "bata": 1}))
    assert str(told.value).count("\n") == 2


@pytest.mark.parametrize(
    ("endpoint", "key"),
    [
        ({"key": "sk-0123abcd"}, "describe.endpoint.key"),
        ({"key": "0123456789abcdef"}, "describe.endpoint.key"),
        ({"key": "$OPENAI_API_KEY"}, "describe.endpoint.key"),
        ({"api_key": "sk-0123abcd"}, "describe.endpoint"),
        ({"url": "https://me:sk-0123abcd@host/v1"}, "describe.endpoint.url"),
        ({"url": "https://host/v1?key=sk-0123abcd"}, "describe.endpoint.url"),
        ({"url": "https://host/v1/chat/completions"}, "describe.endpoint.url"),
        ({"url": "host:8080/v1"}, "describe.endpoint.url"),
        ({"url": "http://host:port/v1"}, "describe.endpoint.url"),
        ({"url": "http://[host/v1"}, "describe.endpoint.url"),
    ],
)
def test_what_may_hold_a_key_is_told_without_it(folder, endpoint, key):
    right = {"url": "https://host/v1", "model": "m", "key": "A_KEY"}
    read(changed("describe", {"method": "endpoint", "endpoint": right}))
    with pytest.raises(InputError, match=f"key {key}: found ") as told:
        read(changed("describe", {"method": "endpoint", "endpoint": right | endpoint}))
    assert not any(value in str(told.value) for value in endpoint.values())


@pytest.mark.parametrize(
    ("name", "instead"),
    [("my-study", "my_study"), ("étude", "_tude"), ("two words", "two_words"), ("../mine", "___mine")],
)
def test_a_name_that_no_path_takes_is_told(folder, name, instead):
    said = f"found a name with other signs; expected letters without accents.* to {instead}.yaml"
    with pytest.raises(InputError, match=said):
        Study(name, Path("studies"), Path("unread"), FileDigests(Path("files.json")))


@pytest.mark.parametrize(
    ("letters", "found"), [(100, "no file studies/aaa"), (101, "a name of 101"), (300, "a name of 300")]
)
def test_a_name_that_is_too_long_is_told(folder, letters, found):
    with pytest.raises(InputError, match=found):
        Study("a" * letters, Path("studies"), Path("unread"), FileDigests(Path("files.json")))


def test_a_text_may_be_as_long_as_it_likes(folder):
    assert read(changed("prompts", {"en": "x" * 3000, "ar": "س" * 3000})).sites == GOOD["sites"]


# through Snakemake


def planned(folder: Path, *args: str) -> subprocess.CompletedProcess:
    """`snakemake -n` of the study `mine` in `folder`."""
    clean = {name: value for name, value in os.environ.items() if name != "CROSSLENS_STORE"}
    return subprocess.run(
        [Checkout.python, START, sys.executable, "-s", ROOT / "Snakefile", "-n", *args],
        cwd=folder,
        env=clean,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def assert_told(ended: subprocess.CompletedProcess, words: list[str]) -> None:
    assert ended.returncode != 0
    said = ended.stdout
    assert "Traceback" not in said and "Exception" not in said and "in file" not in said
    told = [line for line in said.splitlines() if "To mend: " in line]
    assert any(all(word in line for word in words) for line in told), said
    # Nothing follows it.
    assert said.rstrip().splitlines()[-1] in told


def through_snakemake(folder: Path, place, value, words) -> None:
    spoil = spoilt(place, value)
    write_study(folder / "studies", spoil.get("settings", GOOD), spoil.get("text"))
    write_files(folder, {"config/config.yaml": "run: [mine]\nstudies: studies\n"})
    assert_told(planned(folder), words)


@pytest.mark.workflow
@pytest.mark.usefixtures("source")
@pytest.mark.parametrize(
    ("place", "value", "words"), [WRONG[11], WRONG[-6]], ids=map(names, [WRONG[11], WRONG[-6]])
)
def test_snakemake_says_it_and_no_more(folder, place, value, words):
    through_snakemake(folder, place, value, words)


@pytest.mark.long
@pytest.mark.workflow
@pytest.mark.usefixtures("source")
@pytest.mark.parametrize(("place", "value", "words"), WRONG, ids=map(names, WRONG))
def test_snakemake_says_each_and_no_more(folder, place, value, words):
    through_snakemake(folder, place, value, words)


@pytest.mark.workflow
@pytest.mark.usefixtures("source")
def test_a_wrong_main_config_is_told(folder):
    """One that names no study, and one of an unknown key: tests/workflow/test_workflow_interface.py."""
    write_study(folder / "config/studies")
    write_files(folder, {"config/config.yaml": "run: [mine]\nrun: [yours]\n"})
    assert_told(planned(folder), ["config/config.yaml, line 2", "the key run twice"])
