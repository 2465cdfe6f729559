"""The one error that a user can mend."""


class InputError(Exception):
    """Bad input, told as: where it is, what was found, what was expected, and how to mend it."""

    def __init__(self, where: object, *, found: object, expected: object, mend: str):
        self.where, self.found, self.expected, self.mend = where, found, expected, mend
        super().__init__(f"{where}: found {found}; expected {expected}. To mend: {mend}")
