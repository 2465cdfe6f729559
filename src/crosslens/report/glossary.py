"""What each number of the report is, in one line."""

from collections.abc import Iterable

GLOSSARY: dict[str, tuple[str, str]] = {
    "sae": (
        "Sparse autoencoder (SAE)",
        "A dictionary of directions (features) learned for one place in the model: every token's activation is written "
        "as a sum of a few of them. A joint SAE is trained on all languages, the others on one; a pretrained one "
        "was trained by others and is measured on the same tokens.",
    ),
    "architecture": (
        "Architecture",
        "What decides which features fire, by its usual name: the k largest of a token or of a batch, those above a "
        "learned threshold, or those that a penalty leaves.",
    ),
    "site": (
        "Block, site",
        "Where in the model activations are taken: block 4 is the residual stream after the block counted 4 from 0.",
    ),
    "splits": (
        "Splits",
        "{Resampled} are divided once: SAEs and probes learn on train, features are chosen on select, and every number "
        "shown here comes from test. All {of_unit} of one, in all languages, fall into one split.",
    ),
    "condition": (
        "Condition",
        "What the model had seen: prompt = {before}; caption = it also reads the caption, "
        "with the words that tell the gender left out of the pooling.",
    ),
    "ev": (
        "Explained variance (EV)",
        "1 − Σ‖x − x̂‖² / (Σ‖x‖² − ‖Σx‖²/N) over held-out text tokens, in double precision; 1 is perfect, 0 is what "
        "the mean reaches. FVU = 1 − EV.",
    ),
    "cosine": ("Cosine", "Mean cosine of activation and reconstruction over the same tokens."),
    "l0": ("L0", "Mean number of features that fire on a token."),
    "live": (
        "Live, dead",
        "A feature is live if it fires on at least one of the held-out tokens, otherwise dead.",
    ),
    "baselines": (
        "Baselines",
        "Explained variance on the same tokens of a PCA of rank L0, of a random dictionary with as many active directions, "
        "and of predicting the mean activation of the token's id. All are fitted on train.",
    ),
    "decoder": (
        "Nearest feature",
        "Median over features of the largest cosine of a feature's decoder row with that of any other, beside the same "
        "for random directions: far above it, features say the same twice.",
    ),
    "sweep": (
        "Sweep",
        "SAEs trained with other settings on the same tokens. Unbeaten: no other setting has both a smaller L0 and a "
        "smaller FVU.",
    ),
    "gates": (
        "Gates",
        "Three conditions a usable SAE meets: a token uses few of the live features, it explains more variance than a "
        "PCA of rank L0, at most half of the features are dead.",
    ),
    "ce": (
        "Cross-entropy recovered",
        "(CE ablated − CE spliced) / (CE ablated − CE clean): how much of the model's next-token loss survives when the "
        "reconstruction takes the activation's place at the text tokens, where ablation puts zeros, or the mean activation; "
        "1 is all, negative where the reconstruction is worse than the ablation, and undefined where that costs nothing.",
    ),
    "kl": ("KL", "Mean KL(clean ‖ spliced) of the next-token distributions, in nats per token."),
    "d": (
        "Cohen's d",
        "(mean female − mean male) / pooled standard deviation of a feature's pooled activation, a value per {unit}; "
        "positive is stronger for female. g is the same with Hedges' small-sample correction.",
    ),
    "ci": (
        "CI",
        "95 % interval from resampling {resampled}; tokens or {of_unit} of one never count twice.",
    ),
    "q": (
        "q, significant",
        "Mann–Whitney p-value after Benjamini–Hochberg over all live features of one condition; significant is q at or "
        "below the study's level.",
    ),
    "null": (
        "Expected by chance",
        "The same count with the gender labels shuffled over the {units}: mean, 95th percentile, and p = (1 + number of "
        "shuffles that reach the observed count) / (1 + shuffles).",
    ),
    "probe": (
        "Probe",
        "Logistic regression of the {unit}'s gender, chosen by cross-validation grouped by {unit} on train, scored on "
        "test; shown beside the majority class, a probe on shuffled labels, and a control task.",
    ),
    "auroc": (
        "AUROC",
        "Probability that a female {unit} is scored above a male one; .5 is chance and what the majority class gives.",
    ),
    "transfer": (
        "Transfer",
        "A direction learned in one language, scored in another: by the difference of the class means of raw activations, or "
        "by logistic regression with each language standardised by its own unlabelled train {units}. A constant offset "
        "between languages plays no part. p: the learned labels shuffled and learned anew, two-sided, of how far "
        "apart the genders' mean scores are: an AUROC alone may be high by luck where few directions matter. “Whole "
        "caption” includes the words that state the gender: what the text says, a lexical matter. Where those are masked, "
        "the tokens after them have still read them.",
    ),
    "direction": (
        "Direction, length",
        "Mean of female minus mean of male train {units}. Length: over the root mean squared distance of train {units} from "
        "their mean. The cosine's null shuffles labels alike in both languages: what they share without any gender.",
    ),
    "retrieval": (
        "R@1, R@5, MRR",
        "Of the test captions, the share whose translation has the largest cosine (is among the five largest) of all "
        "test {units}; mean of 1 / rank. Centred: each language minus the mean of its own train {units}.",
    ),
    "cka": (
        "CKA",
        "Centred kernel alignment of the two languages' captions of the same {units}: 1 for the same shape up to rotation "
        "and scale. The unbiased one is 0 in expectation for unrelated captions.",
    ),
    "cross": (
        "Agreement of effects",
        "Correlation over features live in both languages of d in one language with d in the other, in an SAE of both; "
        "null: the same with the pairing of features shuffled.",
    ),
    "share": (
        "Share of women",
        "For {units} whose gender is not visible: of the captions that the model wrote and whose words name a gender, "
        "the share that says woman, first per {unit}, then the mean over the {units}; whole words only.",
    ),
    "planted": (
        "Planted",
        "The share that was built into the model's training captions; r and MAE compare measured with planted over the "
        "categories. Only the embedded study has it.",
    ),
}
"""anchor -> (term, definition, with fields of `words_of`)"""

_OF_SECTIONS = {
    "gender": {"condition", "d", "q", "null", "probe", "auroc"},
    "stereotype": {"share", "planted"},
    "transfer": {"transfer", "direction", "condition", "auroc"},
    "retrieval": {"retrieval", "cka"},
    "cross-lingual": {"cross", "d"},
}


def glossary(contents: Iterable[str], words: dict[str, str]) -> dict[str, tuple[str, str]]:
    """The terms of a page with the sections `contents`, and those of no section; `words` as of `words_of`."""
    owned = set().union(*_OF_SECTIONS.values())
    shown = set().union(*(_OF_SECTIONS.get(section, set()) for section in contents))
    return {
        anchor: (name, definition.format(**words))
        for anchor, (name, definition) in GLOSSARY.items()
        if anchor in shown or anchor not in owned
    }
