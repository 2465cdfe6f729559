"""Any SAE: recognised by what is in its files, not by what they are called."""

from pathlib import Path

from crosslens.errors import InputError
from crosslens.sae.exchange import dictionary_learning, gemma_scope, saelens, sparsify
from crosslens.sae.exchange.files import open_files
from crosslens.sae.exchange.foreign import ForeignSAE, Found
from crosslens.sae.exchange.hub import PREFIX, download
from crosslens.sae.exchange.said import KNOWN
from crosslens.sae.io import check_width

READERS = (
    (dictionary_learning.matches, dictionary_learning.read),
    (sparsify.matches, sparsify.read),
    (gemma_scope.matches_first, gemma_scope.read_first),
    (gemma_scope.matches_second, gemma_scope.read_second),
)


def read_sae(
    source: str | Path,
    *,
    expect_site: str | None = None,
    expect_width: int | None = None,
    scaling_factor: float | None = None,
) -> ForeignSAE:
    """The SAE at `source`: a folder, a file in it, or an id such as hf:owner/name/folder.

    expect_site, expect_width: what it must read, where its files say. scaling_factor: what activations were multiplied
    by in its training, for SAELens' `expected_average_only_in` without the number on disk.
    Raises InputError of files that are none of the known formats, disagree, are pickled or not finite.
    """
    text = str(source)
    path = download(text) if text.startswith(PREFIX) else Path(source)
    foreign = _read(open_files(path), scaling_factor)
    if expect_width is not None:
        check_width(foreign.sae, expect_width, path)
    if expect_site is not None and foreign.contradicts(expect_site):
        raise InputError(
            source,
            found=f"an SAE of {f'site {foreign.site}' if foreign.site else 'no such site'} ({foreign.hook})",
            expected=f"site {expect_site}",
            mend="name the site that the SAE was trained at, or the SAE of this site",
        )
    return foreign


def _read(found: Found, scaling_factor: float | None) -> ForeignSAE:
    # first, as a flat SAELens configuration also has keys of sparsify's
    if saelens.matches(found):
        return saelens.read(found, scaling_factor)
    if scaling_factor is not None:
        raise found.refused(
            "an SAE of another tool than SAELens", "no scaling factor", "leave the scaling factor out"
        )
    for matches, read in READERS:
        if matches(found):
            return read(found)
    raise InputError(
        found.said_in,
        found=f"tensors {sorted(found.tensors)} and configuration keys {sorted(found.config)}",
        expected=KNOWN,
        mend="name a folder with both the weights and their configuration",
    )
