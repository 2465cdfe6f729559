"""Texts that the model writes itself, and its activations at the very tokens that it wrote."""
