"""The shape of what a model and its SAEs hold: maps in the plane, factored matrices, spectra, information, clusters."""
