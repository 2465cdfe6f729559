"""Figures to look into: clouds of points, maps and heat maps, each a page that holds its data and needs nothing else."""
