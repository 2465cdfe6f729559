"""The one error that a user can mend."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

MOST_TOLD = 10
"""Of errors that are told together."""


def visible(text: str) -> str:
    """The text with every character that is not seen (marks of direction, zero widths, NUL, …) as its escape."""
    shown = (c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)
    return "".join(shown)


class InputError(Exception):
    """Bad input, told as: where it is, what was found, what was expected, and how to mend it."""

    def __init__(self, where: object, *, found: object, expected: object, mend: str):
        self.where, self.found, self.expected, self.mend = where, found, expected, mend
        super().__init__(visible(f"{where}: found {found}; expected {expected}. To mend: {mend}"))


def words(error: BaseException) -> str:
    """An error of others in a line: its class and how its message begins."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


@contextmanager
def blaming(where: object, found: str, *, expected: object, mend: str) -> Iterator[None]:
    """Whatever fails within is told as bad input: a library makes errors of all classes of a broken file.

    But memory that runs out is no fault of the input.
    """
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        if type(error).__name__ == "OutOfMemoryError":  # torch's, of a GPU
            raise
        raise InputError(where, found=f"{found} ({words(error)})", expected=expected, mend=mend) from error


class InputErrors(InputError):
    """Several that were found together, told one a line up to ten; what else is asked of it is of the first."""

    def __init__(self, errors: list[InputError]):
        first, self.errors = errors[0], errors
        super().__init__(first.where, found=first.found, expected=first.expected, mend=first.mend)
        told = [str(error) for error in errors[:MOST_TOLD]]
        more = [f"… and {len(errors) - MOST_TOLD} more"] if len(errors) > MOST_TOLD else []
        self.args = ("\n".join(told + more),)


def raise_all(errors: Iterable[InputError]) -> None:
    """Raise what was found, each message once: nothing, the one error, or all of them in one."""
    told = list({str(error): error for error in errors}.values())
    if told:
        raise told[0] if len(told) == 1 else InputErrors(told)
