"""What a model would say if it ended earlier, and where its heads look."""
