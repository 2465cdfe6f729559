"""The feature that each feature becomes in another training on the same activations: another seed, another architecture."""

from pathlib import Path

import pandas as pd

from crosslens.alignment.assignment import cosines, nearest, one_to_one
from crosslens.alignment.dictionaries import check_one_site, read_dictionary
from crosslens.tables.documents import write_table

COLUMNS = ["other", "sae", "other_sae", "feature", "partner", "decoder_cosine", "encoder_cosine"]


def find_counterparts(*, sae: Path, others: dict[str, Path], out: Path) -> None:
    """Match the features of an SAE one to one with those of others of its site, by decoder cosine (see `one_to_one`).

    sae: folder of the SAE that the analyses read; others: name -> folder. All features are matched, dead ones too: whether a
    partner does anything, its codes say. Writes `out` (kind counterparts): a row an SAE of `others` and pair. Raises
    InputError for SAEs of different sites or models.
    """
    check_one_site({"first": sae, **others})
    first, tables = read_dictionary(sae, "first"), []
    for name, folder in others.items():
        other = read_dictionary(folder, name)
        found = one_to_one(first.decoder, other.decoder, nearest(first.decoder, other.decoder))
        pairs = pd.DataFrame({"feature": found.first, "partner": found.second})
        pairs["decoder_cosine"] = found.cosine
        pairs["encoder_cosine"] = cosines(first.encoder, other.encoder, found.first, found.second)
        tables.append(pairs.assign(other=name, sae=first.sae, other_sae=other.sae))
    write_table(out, "counterparts", pd.concat(tables, ignore_index=True)[COLUMNS])
