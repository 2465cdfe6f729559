"""What lies together? Maps of samples and of decoder rows."""

from crosslens.report.html import details, tag, term
from crosslens.report.sections.base import Results, Section
from crosslens.report.table import Column, sae, site, table, text, value
from crosslens.summary.names import site_name

ORDER = 89
METHODS = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}
TERMS = {
    "map": (
        "Map",
        "PCA shows the two directions in which the points vary most; t-SNE and UMAP read the first 50 principal components and "
        "keep neighbours together: the size of a cluster and the distance between two mean nothing.",
    ),
    "trust": (
        "Trustworthiness",
        "How far the neighbours that a map shows are neighbours in the whole space too (Venna and Kaski 2001): 1 is all, about "
        ".5 what places at random reach.",
    ),
    "alike": (
        "Neighbours alike",
        "Mean share of a point's nearest neighbours, in the whole space and not in a map, that have its label. Other points "
        "of the same {unit} are no neighbours. Null: labels shuffled over {units}, languages within them. It says "
        "that what is labelled lies together, not why: gender may come with the occupation or the place.",
    ),
}


def section(results: Results) -> Section | None:
    """Where maps are asked for."""
    samples, decoders = results.records("maps"), results.records("decoder_maps")
    if not samples:
        return None
    method = Column("map", lambda row: METHODS[row["method"]])
    trust = value(term("trust", "trustworthiness"), "trustworthiness")
    kept = value("variance in the components read", "kept", 2)
    neighbours = [record for record in results.records("neighbours") if record["share"] is not None]
    body = [
        tag(
            "p",
            term("map", "Maps"),
            " suggest; they prove nothing. What they suggest of gender, language and category is measured on the whole "
            "activations below: how often neighbours are ",
            term("alike", "alike"),
            ".",
        ),
        table(
            "neighbours",
            [
                site(),
                text("label", "label"),
                value("points", "points"),
                value("values", "values"),
                value(term("alike", "neighbours alike"), "share"),
                value("labels shuffled", "mean", bounds=("q025", "q975")),
                value("p", "p"),
                value("q", "q"),
            ],
            neighbours,
            label="Neighbours alike",
            caption=f"q: over all {sum(record['q'] is not None for record in results.records('neighbours'))} of the study",
        )
        if neighbours
        else tag("p", "No label has two values to compare."),
        table(
            "maps",
            [site(), method, trust, kept, value("points", "points"), value(results.words["units"], "images")],
            samples,
            label="Maps of samples",
            caption=f"Mean activations of {samples[0]['condition']} tokens, label words left out, all splits",
        ),
        table(
            "decoder_maps",
            [site(), sae(), method, trust, kept, value("features", "d_sae")],
            decoders,
            label="Maps of decoder rows",
            caption="Decoder rows of unit norm",
        ),
        *(
            details(f"Maps, {site_name(each)}", pictures)
            for each in results.sites
            if (pictures := results.shown(*(f"{each}/{name}" for name in ("samples_map", "decoder_map"))))
        ),
    ]
    return Section("maps", "Maps", "What lies together?", body, terms=TERMS)
