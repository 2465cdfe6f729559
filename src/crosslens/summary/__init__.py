"""What a study found, layer by layer: the headline numbers gathered from the analysis files, and checked."""
