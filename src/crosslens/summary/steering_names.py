"""What ways to steer are called, on the page and in its figures."""

METHODS = {
    "effect": "effect size",
    "output": "output score",
    "attribution": "attribution",
    "together": "the three together",
    "difference": "difference of means",
    "probe": "probe direction",
    "pca": "first component",
}
