"""Seven verifiers, one signed decision each, certificates of at least five: a pure protocol."""
