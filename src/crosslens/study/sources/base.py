"""What every source of texts can say."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from crosslens.data.splits import SPLITS
from crosslens.errors import InputError
from crosslens.store.digests import FileDigests
from crosslens.study.settings import StudySettings


class Text(NamedTuple):
    """One row of a source in one language."""

    sample_id: str
    caption: str
    prompt: str
    image: str
    """Name of its picture; empty where there is none, anything where it will be drawn."""
    unit: str
    """The image that it belongs to."""
    gender: str | None
    """Of the unit: female, male or unknown; None where only the captions tell."""
    split: str | None = None
    """train, select or test; None where that is drawn."""


class Texts(NamedTuple):
    """One language's rows, as far as they can be read or drawn before anything runs."""

    rows: Sequence[Text]
    basis: str
    """What they are, in words."""
    unwritten: int = 0
    """Tokens that the model will write to each, at most."""


def shares_of(splits: Iterable[str]) -> dict[str, float]:
    """The share of train, select and test among these."""
    given = Counter(splits)
    return {name: given[name] / given.total() for name in SPLITS}


class Source:
    """A source of given texts; a member overrides what is otherwise with it."""

    kind: str | None = None
    """The kind of artifact that it is made as; None: it is there."""
    is_generation = False
    """True where the texts are the model's own answers."""
    languages: tuple[str, ...] = ()
    """Those that it has texts in; empty: whatever the user gives."""
    has_truth = False
    """True where the made folder has truth.json: what was planted."""

    def __init__(self, name: str, settings: StudySettings, digests: FileDigests):
        """name: its key in the section `source`. settings: of the whole study."""
        self.name, self.whole, self.digests = name, settings, digests
        self.settings: Any = settings["source"][name]

    @property
    def n_rows(self) -> int:
        """Rows of its caption table, or texts that the model will write."""
        raise NotImplementedError

    @property
    def identity(self) -> Any:
        """What decides the whole of it beside the artifact that it is made as."""
        return None

    @property
    def files(self) -> list[Path]:
        """Those of the user's that it is made of, or would be if they were there; `identity` follows from their digests."""
        return []

    def block_identity(self, first: int, last: int, language: str) -> Any:
        """What decides rows `first` to `last` (1-based, inclusive; `last` may be beyond the end), and no other row."""
        raise NotImplementedError

    def extent(self, first: int, last: int, language: str) -> tuple[float, int | None]:
        """Of rows `first` to `last`: how many there are at most, and the bytes of the longest prompt with its text.

        A tokenizer makes no more tokens than bytes. None: nobody has looked.
        """
        return min(last, self.n_rows) - first + 1, None

    def picture_sizes(self, first: int, last: int) -> set[tuple[int, int]] | None:
        """(height, width) in pixels of the pictures of rows `first` to `last`; None where nobody has looked."""
        return {(self.drawn_pixels,) * 2} if self.drawn_pixels else None

    def texts(self, language: str) -> Texts | None:
        """Its rows in a language; None where what they are made from is not there yet."""
        raise NotImplementedError

    @property
    def images(self) -> Path | None:
        """The user's picture folder."""
        return None

    @property
    def pictures_key(self) -> str:
        """The setting that asks for pictures."""
        return f"source.{self.name}"

    @property
    def drawn_pixels(self) -> int | None:
        """Side of the pictures that are drawn when it is made, in pixels; None: none are."""
        return None

    @property
    def has_pictures(self) -> bool:
        """True where the model sees pictures: drawn ones or the user's."""
        return bool(self.drawn_pixels or self.images)

    def places(self, made: str | None) -> dict[str, str | None]:
        """Where its caption table (`captions`) and its pictures (`images`) are; made: the folder, if it is made."""
        return {
            "captions": f"{made}/captions.csv" if made else None,
            "images": f"{made}/images" if self.drawn_pixels else None,
        }

    @property
    def shares(self) -> dict[str, float] | None:
        """Of train, select and test in the units, where the texts come so divided; None: splits are drawn."""
        return None

    @property
    def tagged(self) -> dict[str, int] | None:
        """Language to rows in which words are marked as those that tell the gender; None: lexicons find them."""
        return None

    @property
    def units(self) -> Iterable[str]:
        """What the splits keep together: a picture, a group of them, a prompt."""
        return map(str, range(self.n_rows))

    def faults(self) -> Iterator[InputError]:
        """What is wrong with the study's settings for texts such as these."""
        if "generated" in self.whole["activations"]["roles"]:
            yield self.whole.fault(
                "activations.roles",
                "generated",
                "roles of given texts",
                "give `source.prompts`, or remove it",
            )

    def file_faults(self) -> Iterator[InputError]:
        """What is wrong with files that the user names."""
        yield from ()
