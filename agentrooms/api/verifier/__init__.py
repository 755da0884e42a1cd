"""The HTTP service of a remote verifier."""
