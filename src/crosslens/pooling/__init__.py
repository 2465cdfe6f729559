"""From tokens to samples, images and languages: the values that analyses compare."""
