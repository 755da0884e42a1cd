"""REST and frame models: what goes over the wire."""
