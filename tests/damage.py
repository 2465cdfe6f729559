"""Files as disks and crashes leave them."""

import random


def damaged(whole: bytes, chance: random.Random) -> bytes:
    """Other bytes than `whole`: a bit flipped, a block overwritten, lost or doubled, the end cut off or more behind it."""
    while (found := _damaged(whole, chance)) == whole:
        pass
    return found


def _damaged(whole: bytes, chance: random.Random) -> bytes:
    at, length = chance.randrange(len(whole)), chance.choice((1, 8, 512, 4096))
    kind = chance.choice(("bit", "bit", "head", "block", "zeros", "lost", "cut", "more"))
    if kind in ("bit", "head"):
        at = at if kind == "bit" else at % 2048
        return whole[:at] + bytes([whole[at] ^ 1 << chance.randrange(8)]) + whole[at + 1 :]
    if kind in ("block", "zeros"):
        block = chance.randbytes(length) if kind == "block" else bytes(length)
        return (whole[:at] + block + whole[at + length :])[: len(whole)]
    return {"lost": whole[:at] + whole[at + length :], "cut": whole[:at], "more": whole + whole[:length]}[
        kind
    ]
