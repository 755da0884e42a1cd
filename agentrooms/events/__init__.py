"""The log: which events there are, their canonical bytes, where they are stored, and the vault beside it."""
