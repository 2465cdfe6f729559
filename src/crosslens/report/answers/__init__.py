"""The first screen: what the study asks, answered in a sentence with its size, interval and null. One file a question."""
