"""What a script is told, as Snakemake records and prints it."""

from hashlib import sha256


class JobText(str):
    """JSON of some kilobytes, whose repr is a line.

    Snakemake keeps the repr of every parameter and, where it differs from that of the last run, prints both.
    """

    def __repr__(self) -> str:
        return f"<job {sha256(self.encode()).hexdigest()[:32]}>"

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)  # what scripts unpickle needs nothing of this library
