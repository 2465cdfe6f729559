"""crosslens: cross-lingual sparse-autoencoder interpretability with content-addressed artifacts."""
