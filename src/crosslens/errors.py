"""The one error that a user can mend."""

from collections.abc import Iterable


class InputError(Exception):
    """Bad input, told as: where it is, what was found, what was expected, and how to mend it."""

    def __init__(self, where: object, *, found: object, expected: object, mend: str):
        self.where, self.found, self.expected, self.mend = where, found, expected, mend
        super().__init__(f"{where}: found {found}; expected {expected}. To mend: {mend}")


class InputErrors(InputError):
    """Several that were found together, told one a line; what else is asked of it is of the first."""

    def __init__(self, errors: list[InputError]):
        first, self.errors = errors[0], errors
        super().__init__(first.where, found=first.found, expected=first.expected, mend=first.mend)
        self.args = ("\n".join(map(str, errors)),)


def raise_all(errors: Iterable[InputError]) -> None:
    """Raise what was found, each message once: nothing, the one error, or all of them in one."""
    told = list({str(error): error for error in errors}.values())
    if told:
        raise told[0] if len(told) == 1 else InputErrors(told)
