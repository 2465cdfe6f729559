"""A table as spreadsheets and programs write it: read without a guess, or refused with what is not seen made visible.

Standard library only: the Snakefile reads it to derive keys.
"""

import csv
import io
import re
import unicodedata
from pathlib import Path
from typing import NamedTuple

from crosslens.errors import InputError

_NOT_SEEN = ("Cc", "Cf", "Zl", "Zp")
_NOT_SEEN_LETTERS = "\u034f\u2800\u115f\u1160\u17b4\u17b5\u3164\uffa0"
_JOINERS = "\u200c\u200d"
"""Part of how words of Persian and emoji of several people are written, between others."""
_FLAG_TAGS = range(0xE0020, 0xE0080)


class Table(NamedTuple):
    """The named columns of a table."""

    header: list[str]
    """Names without white space and invisible marks around them."""
    rows: list[tuple[int, dict[str, str]]]
    """(position, name -> field as it is written) of every row that has the header's columns; the first row is 1."""
    faults: list[tuple[int, InputError]]
    """The rows that do not, by position."""


def read_table(path: Path) -> Table:
    """The UTF-8 file `path`, separated by commas, or by semicolons or tabs where the header or Excel's `sep=` says so.

    Spaces before a quoted field are not part of it. Rows without any text, and empty fields behind the last column, are
    left out, as is a nameless column that is empty or, as pandas writes its index, the first. Raises InputError of a
    file that cannot be read so, naming the row where one can be told.
    """
    text = _text(path).lstrip("\ufeff")
    hint = re.match(r'"?sep=([^"\r\n])"?[^\S\r\n]*(?:\r\n|\r|\n)', text, re.IGNORECASE)
    text = text[hint.end() :] if hint else text
    delimiter = hint[1] if hint else _delimiter(text)
    records = _records(path, text, delimiter)
    if not records:
        raise InputError(
            path, found="an empty file", expected="a header and rows", mend="name the right file"
        )
    header, records = [_without_marks(name) for name in records[0]], records[1:]
    if repeated := sorted({name for name in header if name and header.count(name) > 1}):
        raise InputError(
            f"{path}, header",
            found=f"column {', '.join(repeated)} more than once",
            expected="each column name once",
            mend="rename or remove the extra columns",
        )
    table = Table([name for name in header if name], [], [])
    for number, record in enumerate(records, start=1):
        if (fault := _misfit(path, number, header, record)) is not None:
            table.faults.append((number, fault))
            continue
        table.rows.append(
            (number, {name: field for name, field in zip(header, record, strict=False) if name})
        )
    return table


def is_blank(text: str) -> bool:
    """Whether nothing is seen of a text."""
    return all(character.isspace() or is_hidden(character) for character in text)


def hidden_in(name: str) -> str | None:
    """The name of the first character of a name that is not seen and makes it another than it looks; None if none does."""
    if name.isascii() and name.isprintable():
        return None
    for i, character in enumerate(name):
        joins = character in _JOINERS and 0 < i < len(name) - 1
        if is_hidden(character) and not joins and ord(character) not in _FLAG_TAGS:
            return unicodedata.name(character, f"U+{ord(character):04X}")
    return None


def is_hidden(character: str) -> bool:
    """Whether a character is not seen; white space that ends a line is such too."""
    return unicodedata.category(character) in _NOT_SEEN or character in _NOT_SEEN_LETTERS


def _without_marks(name: str) -> str:
    return name.strip("".join(filter(is_blank, name)) or None)


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            path,
            found=error.strerror,
            expected="a CSV file of captions",
            mend="correct the path in the study",
        ) from error
    mend = "save the table as UTF-8 (in a spreadsheet: 'CSV UTF-8')"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(path, found="a file in UTF-16", expected="a UTF-8 file", mend=mend)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            _row_of(path, data[: error.start].decode("utf-8-sig")),
            found=f"bytes that are not UTF-8 (0x{data[error.start]:02x} at byte {error.start})",
            expected="a UTF-8 file, with or without a BOM",
            mend=mend,
        ) from error
    if "\0" in text:
        raise InputError(
            _row_of(path, text[: text.index("\0")]),
            found=f"a NUL byte (the first of {text.count(chr(0))})",
            expected="text; half of the bytes of a file in UTF-16 are such",
            mend=f"{mend}, or restore it from a copy",
        )
    return text


def _row_of(path: Path, before: str) -> str:
    row = sum(1 for record in csv.reader(io.StringIO(before + "x", newline="")) if record) - 1
    return f"{path}, row {row}" if row else f"{path}, header"


def _delimiter(text: str) -> str:
    """The one that takes the header apart."""
    for delimiter in (",", ";", "\t"):
        header = next(filter(None, csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)), [])
        if len(header) > 1:
            return delimiter
    return ","


def _records(path: Path, text: str, delimiter: str) -> list[list[str]]:
    """Rows that have any text, fields as they are written; `, "x, y"` is one field wherever that is how it was meant."""
    if not re.search(rf'(?:^|{re.escape(delimiter)}) +"', text, re.MULTILINE):
        return _parsed(path, text, delimiter, spaces_before_quotes=False)
    spaced = _parsed(path, text, delimiter, spaces_before_quotes=True)
    try:
        plain = _parsed(path, text, delimiter, spaces_before_quotes=False)
    except InputError:
        return spaced
    # A field of which a space and a quote are the text itself, quoted as it should be, is the same both ways.
    return spaced if _stray(plain) > _stray(spaced) else plain


def _stray(records: list[list[str]]) -> int:
    return sum(bool(re.match(' +"', field)) for record in records for field in record)


def _parsed(path: Path, text: str, delimiter: str, *, spaces_before_quotes: bool) -> list[list[str]]:
    records: list[list[str]] = []
    reader = csv.reader(
        io.StringIO(text, newline=""), strict=True, delimiter=delimiter, skipinitialspace=spaces_before_quotes
    )
    try:
        for record in reader:
            if any(map(str.strip, record)):
                records.append(record)
    except csv.Error as error:
        raise InputError(
            f"{path}, row {len(records)} (line {reader.line_num})",
            found=f"{error}",
            expected="comma-separated fields in double quotes",
            mend="close the quotes, and double those inside a caption",
        ) from error
    return records


def _misfit(path: Path, number: int, header: list[str], record: list[str]) -> InputError | None:
    """Why a row does not fit the header."""
    if len(record) < len(header) or any(map(str.strip, record[len(header) :])):
        return InputError(
            f"{path}, row {number}",
            found=f"{len(record)} fields",
            expected=f"{len(header)}, as in the header",
            mend="quote captions that contain a comma or a line break, and double the quotes inside them",
        )
    for i, (name, field) in enumerate(zip(header, record, strict=False)):
        if i and not name and field.strip():
            return InputError(
                f"{path}, row {number}",
                found=f"{field!r} in column {i + 1}, which has no name",
                expected="a name in the header for every column with something in it",
                mend="name the column, or quote captions that contain a comma",
            )
    return None
