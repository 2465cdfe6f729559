"""From samples to stored activations: one forward pass for all sites, written beside the computing, resumable."""
