"""What places, positions and attributions of patches are called, on the page and in its figures."""

SITES = {"resid_post": "residual stream", "attn_out": "attention", "mlp_out": "MLP"}
KINDS = SITES | {"head": "heads", "query": "queries", "key": "keys"}
OF_TOWER = {"tower_attn": "vision tower, attention", "tower_mlp": "vision tower, MLP"}
POSITIONS = {
    "image": "picture",
    "prompt": "end of the prompt",
    "word": "gendered words",
    "words": "all words",
    "last": "last position",
}
"""Of interventions.outcomes.CLASSES all but `all`, which is what every state together recovers."""
METHODS = {"atp": "AtP", "atp_star": "AtP*", "ig": "integrated gradients", "relp": "RelP"}
