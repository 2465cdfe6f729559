"""Figures: one function per figure, from a tidy table that was read from results files."""
