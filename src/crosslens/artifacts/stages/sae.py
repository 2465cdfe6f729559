"""Sparse autoencoders: all that a site trains in one reading of its activations, and those of others."""

from typing import Any

from crosslens.artifacts.kinds import Amount, At, Kind, Work
from crosslens.artifacts.needs import each_variant, features_of, languages_of, model_place, site_of

FILES = {"sae_weights.safetensors": "", "cfg.json": "", "training.json": ""}


def sae_params(at: At) -> dict[str, Any]:
    """Settings of one SAE; which corpora, seeds and other SAEs there are besides is not its business."""
    changed = at.study.variants[at["variant"]] if "variant" in at else {}
    seed = at["seed"] if "seed" in at else at.study.seeds[0]
    return {
        "settings": at.study.training | changed,
        "identity": identity(at) | {"seed": seed},
        "languages": languages_of(at),
    }


def identity(at: At) -> dict[str, str]:
    """What an SAE is told of where it belongs."""
    place = {name: at[name] for name in ("corpus", "site")}
    return place | {"model": at.study.model.label, "revision": at.settings["model"]["revision"]}


def sae_needs(at: At):
    """Tables, tokens and activations of every language of the corpus."""
    return site_of(at, languages_of(at))


def trained(at: At, reading: Any) -> Amount:
    """Tokens of train that one SAE sees, by its sizes."""
    settings = reading.sae_settings(at.study.variants[at["variant"]] if "variant" in at else {})
    tokens = settings.epochs * sum(reading.train_rows(language) for language in languages_of(at))
    return Amount(
        "sae_training",
        tokens * settings.d_sae * reading.model.d_model,
        tokens / settings.batch_tokens,
    )


def saes_per_site(at: At) -> int:
    """SAEs that one job trains."""
    return len(at.study.corpora) * (len(at.study.seeds) + len(at.study.variants))


def training_mb(at: At, threads: int) -> float:
    """Weights (in bfloat16 too), gradients, two moments and pre-activations of the SAEs that train together, shuffles."""
    chosen = at.settings["sae"]
    sae = features_of(at) * (34 * at.study.model.d_model + 8 * chosen["batch_tokens"])
    together = sae * min(chosen["at_once"], saes_per_site(at))
    return 1500 + together / 2**20 + len(at.study.languages) * chosen["buffer_mb"]


def source_of_pretrained(at: At) -> str:
    """Folder, file or hub id."""
    return at.study.pretrained[at["corpus"]][at["site"]]


def centre_of(at: At) -> bool | None:
    """Whether an SAE of others reads residuals less their mean over channels; None where its files are to say.

    Never of a model of RMSNorms, which would see it: TransformerLens then leaves the mean, whatever it is asked for.
    """
    if at.study.model.has_rms_norms:
        return False
    return True if at["corpus"] in at.settings["sae"]["centred"] else None


KINDS = [
    Kind(
        "sae",
        "results/{study}/sae/{corpus}/layer_{site}/seed_{seed}",
        by="train_saes",
        module="crosslens.sae.training",
        params=sae_params,
        needs=sae_needs,
        every=lambda at: [
            {"corpus": corpus, "site": site, "seed": seed}
            for site in at.study.sae_sites
            for corpus in at.study.corpora
            for seed in at.study.seeds
        ],
        called="{corpus}/seed_{seed}",
        files=FILES,
        amount=trained,
    ),
    Kind(
        "swept_sae",
        "results/{study}/sweep/{corpus}/layer_{site}/{variant}",
        by="train_saes",
        module="crosslens.sae.training",
        params=sae_params,
        needs=sae_needs,
        every=each_variant,
        role="sae",
        called="{corpus}/{variant}",
        files=FILES,
        amount=trained,
    ),
    Kind(
        "pretrained",
        "results/{study}/pretrained/{corpus}/layer_{site}",
        by="adopt_sae",
        module="crosslens.sae.exchange.adopt",
        params=lambda at: {
            "source": at.study.pretrained_identity(at["corpus"], at["site"]),
            "identity": identity(at) | {"seed": "0"},
            "called": at.study.model.name,
            "centre": centre_of(at),
        },
        files_read=lambda at: at.study.pretrained_files(at["corpus"], at["site"]),
        every=lambda at: [
            {"corpus": name, "site": site}
            for name, sources in at.study.pretrained.items()
            for site in sources
        ],
        role="sae",
        files={name: "" for name in FILES if name != "training.json"},
    ),
]
WORK = [
    Work(
        "train_saes",
        memory=training_mb,
        per=("site",),
        gpu=True,
        local=lambda at: model_place(at) | {"at_once": at.settings["sae"]["at_once"]},
    ),
    Work(
        "adopt_sae",
        memory=8000,
        local=lambda at: {
            "source": source_of_pretrained(at),
            "width": at.study.model.d_model if at.study.model.folder else None,
        },
    ),
]
