"""Sparse autoencoders: the model, its training from stored activations, and its files."""
