"""Read a caption table: one row a caption pair, its columns, ids and gender checked.

Standard library only: the Snakefile reads the same rows to derive the content keys of blocks of samples.
"""

import json
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from crosslens.data.csv_table import Table, hidden_in, is_blank, read_table
from crosslens.data.languages import language_of
from crosslens.data.splits import SPLITS
from crosslens.errors import InputError, raise_all

IMAGE_COLUMNS = ("image_id", "image")
GENDER_COLUMN = "ground_truth_gender"
GROUP_COLUMN = "group"
SPLIT_COLUMN = "split"
SPANS_COLUMN = "{language}_label_spans"
_LONGEST_NAME = 250
_GENDER_VALUES = {
    **dict.fromkeys(("m", "male", "man", "boy"), "male"),
    **dict.fromkeys(("f", "female", "woman", "girl"), "female"),
    **dict.fromkeys(("u", "unknown", ""), "unknown"),
}


class Row(NamedTuple):
    """One data row of the caption table."""

    row: int
    """Position in the table; the first data row is 1."""
    sample_id: str
    """`{image_id}#{k}`: caption k, from 0, of that image."""
    image_id: str
    captions: dict[str, str]
    """language -> caption, exactly as in the table."""
    gender: str | None
    """`female`, `male` or `unknown`; None where the table has no gender column."""
    category: str
    """The column `category`, or the empty string."""
    group: str | None = None
    """The column `group`, what splits keep together; empty where the image goes alone, None without the column."""
    split: str | None = None
    """The column `split`: train, select or test; None where the table leaves them to be drawn."""
    label_spans: dict[str, list[list[int]]] | None = None
    """language -> [start, end] of the characters of its caption that tell the gender; None where a lexicon finds them."""


def read_rows(
    captions: Path, languages: Sequence[str], columns: Mapping[str, str] | None = None
) -> list[Row]:
    """`rows_of` the CSV file (see `csv_table`)."""
    return rows_of(Path(captions), read_table(Path(captions)), languages, columns)


def rows_of(
    path: Path, table: Table, languages: Sequence[str], columns: Mapping[str, str] | None = None
) -> list[Row]:
    """Every data row of a table, which `path` was read as, in file order.

    `languages` are those that must be there and are read. `columns`: what the table calls `image_id`, `gender`,
    `category`, `group` and the captions of a language (by its code); without a name there, as usual: image_id or image,
    ground_truth_gender, category, group, split, and `{language}_caption` or what the language has for its own
    (`english_prompt`). A column `{language}_label_spans` has a JSON list of [start, end] for every caption of the language.
    Raises InputError with file, row and column for anything that cannot be read without a guess; several at once where
    rows are wrong.
    """
    named = _columns(path, table.header, columns or {}, languages)
    rows: list[Row] = []
    faults = [*table.faults]
    checks = _Consistency(path)
    for number, fields in table.rows:
        try:
            rows.append(_row(path, number, fields, named, checks))
        except InputError as error:
            faults.append((number, error))
    raise_all(error for _, error in sorted(faults, key=lambda fault: fault[0]))
    if not rows:
        raise InputError(
            path, found="no data rows", expected="one row a caption pair", mend="name the right file"
        )
    return rows


def _row(
    path: Path,
    number: int,
    fields: Mapping[str, str],
    named: "_Columns",
    checks: "_Consistency",
) -> Row:
    image_id = _image_id(path, number, named.image_id, fields[named.image_id])
    texts = {
        language: _caption(path, number, column, fields[column])
        for language, column in named.captions.items()
    }
    gender = _gender(path, number, named.gender, fields[named.gender]) if named.gender else None
    category = _name(path, number, named.category, fields[named.category]) if named.category else ""
    group = _name(path, number, named.group, fields[named.group]) if named.group else None
    sample_id = _name(path, number, "sample_id", fields["sample_id"]) if "sample_id" in fields else None
    split = _split(path, number, named.split, fields[named.split]) if named.split else None
    spans = {
        language: _spans(path, number, column, fields[column], texts[language])
        for language, column in named.spans.items()
    }
    told = {named.gender: gender, named.category: category, named.group: group, named.split: split}
    told.pop(None, None)
    k = checks.add(number, image_id, texts, told, sample_id)
    return Row(number, f"{image_id}#{k}", image_id, texts, gender, category, group, split, spans or None)


def _missing(path: Path, header: Sequence[str], names: Sequence[str], what: str) -> InputError:
    return InputError(
        f"{path}, header",
        found=f"columns {', '.join(header)}",
        expected=f"a column {' or '.join(repr(name) for name in names)} with {what}",
        mend="add the column, separate the columns by commas, or name yours under `columns:` in the study",
    )


def _find_column(path: Path, header: Sequence[str], names: Sequence[str], what: str) -> str:
    found = [name for name in names if name in header]
    if not found:
        raise _missing(path, header, names, what)
    return found[0]


class _Columns(NamedTuple):
    """What the columns of one table are called; None: it has no such column."""

    image_id: str
    captions: dict[str, str]
    gender: str | None
    category: str | None
    group: str | None
    split: str | None
    spans: dict[str, str]


def _columns(
    path: Path, header: Sequence[str], columns: Mapping[str, str], languages: Sequence[str]
) -> _Columns:
    """The user's names of columns where there are some, else the usual ones."""
    usual = {"gender": GENDER_COLUMN, "category": "category", "group": GROUP_COLUMN, "split": SPLIT_COLUMN}
    image = [columns["image_id"]] if "image_id" in columns else IMAGE_COLUMNS
    return _Columns(
        _find_column(path, header, image, "the image id"),
        _caption_columns(path, header, columns, languages),
        **{
            role: _find_column(path, header, [columns[role]], f"the {role}")
            if role in columns
            else (name if name in header else None)
            for role, name in usual.items()
        },
        spans=_span_columns(path, header, languages),
    )


def _span_columns(path: Path, header: Sequence[str], languages: Sequence[str]) -> dict[str, str]:
    """Of all languages or of none: masked in one of them alone the gender would be told in the other."""
    names = {language: SPANS_COLUMN.format(language=language) for language in languages}
    found = {language: name for language, name in names.items() if name in header}
    if lacking := sorted(names[language] for language in names.keys() - found.keys() if found):
        raise InputError(
            f"{path}, header",
            found=f"{', '.join(found.values())} and no {', '.join(lacking)}",
            expected="the label words of every language of the study, or of none",
            mend="add the column, or take the other out and name lexicons",
        )
    return found


def _caption_columns(
    path: Path, header: Sequence[str], columns: Mapping[str, str], languages: Sequence[str]
) -> dict[str, str]:
    found = {}
    for language in languages:
        own = language_of(language).caption_column
        known = [columns[language]] if language in columns else [*filter(None, [own]), f"{language}_caption"]
        names = [name for name in known if name in header]
        if len(names) > 1:
            raise InputError(
                f"{path}, header",
                found=f"columns {' and '.join(names)}",
                expected=f"one column of {language} captions",
                mend="say which one under `columns:` in the study",
            )
        found[language] = _find_column(path, header, known, f"the captions of language {language!r}")
    return found


def _name(path: Path, number: int, column: str, value: str) -> str:
    """What rows have in common, in the one form (NFC) in which equal names are equal."""
    name = unicodedata.normalize("NFC", value.strip())
    if (character := hidden_in(name)) is not None:
        raise InputError(
            f"{path}, row {number}, column {column!r}",
            found=f"{name!r}, with an invisible character ({character})",
            expected="a name that is what it looks like",
            mend="type it anew: the character came with copied text",
        )
    return name


def _image_id(path: Path, number: int, column: str, value: str) -> str:
    name = PurePosixPath(_name(path, number, column, value))
    if not name.parts or name.is_absolute() or ".." in name.parts:
        raise InputError(
            f"{path}, row {number}, column {column!r}",
            found=repr(value),
            expected="the name of an image, relative to the image folder",
            mend="write the file name, with or without its suffix",
        )
    if any(len(part.encode()) > _LONGEST_NAME for part in name.parts):
        raise InputError(
            f"{path}, row {number}, column {column!r}",
            found=f"{value[:40]!r}…, {len(value)} characters",
            expected=f"the name of an image: a file's has at most {_LONGEST_NAME} bytes without its suffix",
            mend="correct the column, or name yours under `source.columns` in the study",
        )
    # Without "./" and doubled slashes: one image has one id.
    return str(name)


def _caption(path: Path, number: int, column: str, value: str) -> str:
    if is_blank(value):
        raise InputError(
            f"{path}, row {number}, column {column!r}",
            found=f"an empty caption ({value!r})" if value else "an empty caption",
            expected="a caption in every language",
            mend="write the caption, or remove the row",
        )
    return value


def _gender(path: Path, number: int, column: str, value: str) -> str:
    gender = _GENDER_VALUES.get(value.strip().casefold())
    if gender is None:
        raise InputError(
            f"{path}, row {number}, column {column!r}",
            found=repr(value),
            expected="male, m, man, boy, female, f, woman, girl, unknown, u, or nothing",
            mend="write one of these; unknown where the picture does not show the gender",
        )
    return gender


def _split(path: Path, number: int, column: str, value: str) -> str:
    if (split := value.strip()) not in SPLITS:
        raise InputError(
            f"{path}, row {number}, column {column!r}",
            found=repr(value),
            expected=f"one of {', '.join(SPLITS)}",
            mend="write one of these, or take the column out and let them be drawn",
        )
    return split


def _spans(path: Path, number: int, column: str, value: str, text: str) -> list[list[int]]:
    """Ascending and apart, inside the text."""
    try:
        spans = json.loads(value)
    except ValueError:
        spans = None
    ends = [0]
    for span in spans if isinstance(spans, list) else [None]:
        if not (isinstance(span, list) and len(span) == 2 and all(type(at) is int for at in span)):
            ends = None
            break
        ends += span
    if ends is None or ends != sorted(ends) or any(a == b for a, b in spans) or ends[-1] > len(text):
        raise InputError(
            f"{path}, row {number}, column {column!r}",
            found=repr(value),
            expected=f"a JSON list of [start, end], ascending and apart, of the caption's {len(text)} characters "
            "(Unicode code points; [] where none tells the gender)",
            mend="count again from the caption as it stands in the table",
        )
    return spans


class _Consistency:
    """What rows must not contradict: ids, and one gender, category, group and split an image."""

    def __init__(self, path: Path):
        self.path = path
        self.images: dict[str, tuple[int, dict[str, str | None]]] = {}
        self.captions: dict[str, dict[tuple[str, ...], int]] = {}
        self.sample_ids: dict[str, int] = {}

    def add(
        self,
        number: int,
        image_id: str,
        texts: dict[str, str],
        told: dict[str, str | None],
        sample_id: str | None,
    ) -> int:
        """Check one row against the rows before it; returns how many rows this image had already.

        `told`: column -> value that all rows of an image have in common.
        """
        if sample_id is not None:
            first = self.sample_ids.setdefault(sample_id, number)
            if first != number:
                raise self._error(
                    number, "sample_id", f"{sample_id!r} again (first in row {first})", "each sample id once"
                )
        first, known = self.images.setdefault(image_id, (number, told))
        for column, value in told.items():
            if value != known[column]:
                raise self._error(
                    number,
                    column,
                    f"{value!r} for image {image_id!r}, but {known[column]!r} in row {first}",
                    "one value in all rows of an image",
                )
        earlier = self.captions.setdefault(image_id, {})
        first = earlier.setdefault(tuple(texts.values()), number)
        if first != number:
            raise self._error(
                number,
                "image_id",
                f"image {image_id!r} with the same captions as in row {first}",
                "each sample once; several rows of an image differ in their captions",
            )
        return len(earlier) - 1

    def _error(self, number: int, column: str, found: str, expected: str) -> InputError:
        where = f"{self.path}, row {number}, column {column!r}"
        return InputError(where, found=found, expected=expected, mend="correct or remove one of the two rows")
