"""What can be asked of the API: one module a resource, one function an operation."""
