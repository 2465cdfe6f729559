"""SAEs on the Hugging Face hub, by an id such as hf:google/gemma-scope-2-4b-it/resid_post/layer_17_width_16k_l0_medium."""

import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from crosslens.errors import InputError
from crosslens.sae.exchange.said import CONFIG_FILES, WEIGHT_FILES

PREFIX = "hf:"


class HubId(NamedTuple):
    """A folder or file in a repository on the hub."""

    repo: str
    path: PurePosixPath
    revision: str | None

    @property
    def patterns(self) -> list[str]:
        """The files to fetch: those of this SAE, and the configuration of the run it is of."""
        weights, folders = [str(self.path / name) for name in WEIGHT_FILES], [self.path]
        if self.path.suffix in (".safetensors", ".npz", ".pt"):
            # a file, unless it is a folder that is called like one: v5_32k_layer_8.pt
            weights.append(str(self.path))
            folders.append(self.path.parent)
        above = {*folders, *(folder.parent for folder in folders)}
        return weights + sorted(str(place / name) for place in above for name in CONFIG_FILES)


def parse_hub_id(text: str) -> HubId:
    """`hf:owner/name`, with /folder/in/it and @revision where wanted; anything else is an InputError."""
    match = re.fullmatch(r"hf:([\w.-]+/[\w.-]+)((?:/[\w.=+-]+)*)(?:@([\w./-]+))?", text, flags=re.ASCII)
    if match is None or ".." in match[2].split("/"):
        raise InputError(
            "hub id",
            found=repr(text),
            expected="hf:owner/name/folder, and @revision where wanted",
            mend="write for example hf:google/gemma-scope-2-4b-it/resid_post/layer_17_width_16k_l0_medium",
        )
    return HubId(match[1], PurePosixPath(match[2].strip("/")), match[3])


def download(text: str) -> Path:
    """Where the SAE of this hub id lies on disk after fetching what is missing; InputError if it cannot be fetched."""
    from huggingface_hub import snapshot_download

    hub = parse_hub_id(text)
    try:
        root = snapshot_download(hub.repo, revision=hub.revision, allow_patterns=hub.patterns)
    # a missing repository, a closed one, no network: each library below has its own type for it
    except Exception as error:
        raise InputError(
            text,
            found=str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__,
            expected="a repository that can be fetched",
            mend="check the id, the network and your access, or fetch it elsewhere and name the folder",
        ) from error
    return Path(root) / hub.path
