"""Terms that several sections explain: (term, definition, with fields of crosslens.report.words)."""

SITE = (
    "Block, site",
    "Where in the model activations are taken: block 4 is the residual stream after the block counted 4 from 0.",
)
CONDITION = (
    "Condition",
    "What the model had seen: prompt = {before}; caption = it also reads the caption, "
    "with the words that tell the gender left out of the pooling.",
)
D = (
    "Cohen's d",
    "(mean female − mean male) / pooled standard deviation of a feature's pooled activation, a value per {unit}; "
    "positive is stronger for female. g is the same with Hedges' small-sample correction.",
)
CI = ("CI", "95 % interval from resampling {resampled}; tokens or {of_unit} of one never count twice.")
Q = (
    "q, significant",
    "Mann–Whitney p-value after Benjamini–Hochberg over all live features of one condition; significant is q at or "
    "below the study's level.",
)
AUROC = (
    "AUROC",
    "Probability that a female {unit} is scored above a male one; .5 is chance and what the majority class gives.",
)
