"""What others reach over HTTP: the service of a remote verifier."""
