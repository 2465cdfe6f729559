"""How often what is no setting is shuffled, and so how small its p can be: known before anything runs. Standard library only."""

from crosslens.stats.tested import permutation_floor

CKA = 999
"""Of the pairs behind CKA."""
PAIRS = 1999
"""Of the pairs, and of the languages within them, behind what features share; of partners and labels behind CLBAS."""
RETRIEVAL = 1999
"""Of the pairs, and flips of signs, behind what captions find."""
SPECIALISTS = 999
"""Of the categories."""
PROBES = 9999
"""Of the labels of test images."""
SHARES = 9999
"""Flips of signs, and of the categories, behind shares of written genders."""
AGREEMENT = 9999
"""Flips of signs of sentences."""
LEAST_P = max(
    permutation_floor(CKA),
    permutation_floor(PAIRS, tails=2),  # CLBAS is two-sided
    permutation_floor(RETRIEVAL),
    permutation_floor(SPECIALISTS),
    permutation_floor(PROBES),
    permutation_floor(SHARES),
    permutation_floor(AGREEMENT),
)
"""The least p that each of these tests can have."""
