"""Chosen tokens: what they are as text and words, their activations, and models compared on the same texts."""
