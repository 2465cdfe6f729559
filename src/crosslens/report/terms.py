"""Terms that several sections explain: (term, definition, with fields of crosslens.report.words)."""

SITE = (
    "Block, site",
    "Where in the model activations are taken: block 4 is the residual stream after the block counted 4 from 0.",
)
READ_ALL_THE_SAME = (
    "Masked words are left out where activations are averaged; the model has read them, and the tokens after them may "
    "carry what they said."
)
CONDITION = (
    "Condition",
    "What the model had seen: prompt = {before}; caption = it also reads the caption, "
    "with the label words that a lexicon finds (and, where `mask` says so, what agrees with them) left out of the pooling; "
    "generated = it writes a caption of its own (greedy), with the same words left out. " + READ_ALL_THE_SAME,
)
D = (
    "Cohen's d",
    "(mean female − mean male) / pooled standard deviation of a feature's pooled activation, a value per {unit}; "
    "positive is stronger for female. g is the same with Hedges' small-sample correction.",
)
CI = (
    "CI",
    "95 % interval from how {resampled} vary, or from resampling {resampled}; tokens or {of_unit} of one never count twice, "
    "nor do those of one group. In simulations 93 of 100 or more hold the true value, and nearly all of a share that few "
    "{units} tell: such an interval is wider than need be. None where too few vary for one that can be trusted. Brackets behind "
    "a correlation r are a range, in which r of as many other {units} would lie, noise and all, and no interval of r without it.",
)
Q = (
    "q, significant",
    "p-value of a rank test (Mann–Whitney; Wilcoxon's signed ranks where one group holds both genders) by exact "
    "permutation, after Benjamini–Hochberg over all testable features of one condition; significant is q at or below the "
    "study's level. Testable: fires in at least five, and often enough in both genders that p could have been the level.",
)
AUROC = (
    "AUROC",
    "Probability that a female {unit} is scored above a male one; .5 is chance and what the majority class gives.",
)
