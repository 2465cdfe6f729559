"""Statistics: resampling, nulls, two-sample tests, false discovery, effect sizes, correlations."""
