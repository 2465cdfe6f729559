"""Whether two names are of one model."""

import re
from pathlib import Path

ALIASES = {
    "gpt2-small": "gpt2",
    "mistral-7b": "mistral-7b-v0.1",
    "mistral-7b-instruct": "mistral-7b-instruct-v0.1",
    "tiny-stories-33m": "tinystories-33m",
    "tiny-stories-1l-21m": "tinystories-1layer-21m",
}
"""TransformerLens' names, by which SAELens calls models, where they are not the hub's."""
MIRRORS = ("openai-community", "unsloth", "nousresearch", "mlx-community")
"""Owners who copy others' models under the same names."""


_CACHED = re.compile(r"(?:^|/)models--(?:([^/]+?)--)?([^/]+?)(?:/snapshots(?:/[^/]+)?)?/*$")
"""Where huggingface_hub keeps what it has fetched; older models have no owner."""


def same_model(one: str, other: str) -> bool:
    """Whether two names, each with its owner on the hub or without, or a folder's path, are one model's.

    Compared whole: pythia-70m-deduped is not pythia-70m, and gemma-3-4b-it is not gemma-3-4b. Of two names of which one
    has no owner the owner does not count; of a local folder only the folder's own name does.
    """
    (owner, name), (other_owner, other_name) = _parts(one), _parts(other)
    return name == other_name and (owner == other_owner or None in (owner, other_owner))


def hub_id(path: str) -> str | None:
    """owner/name of a folder in the hub's cache, .../models--owner--name/snapshots/COMMIT or the folder above; None elsewhere."""
    match = _CACHED.search(path)
    return match and "/".join(filter(None, match.groups()))


def _parts(text: str) -> tuple[str | None, str]:
    """(owner, name) in lower case, the name as the hub has it now."""
    text = hub_id(text) or text
    local = text.count("/") > 1 or text.startswith((".", "/", "~")) or Path(text).is_dir()
    owner, _, name = text.strip().rstrip("/").lower().rpartition("/")
    name = re.sub(r"[\s_]+", "-", name)
    # Llama was renamed (Meta-Llama-3.1-8B); -hf is a file format; Gemma's pretrained models have -pt since the third.
    name = re.sub(r"^meta-(?=llama)|(?<=^gemma-)v(?=3)|(?<=llama)-hf$|(?<=b)-hf$", "", name)
    name = re.sub(r"^(gemma-.*)-pt$", r"\1", name)
    known = owner and not local and owner not in MIRRORS
    return owner if known else None, ALIASES.get(name, name)
