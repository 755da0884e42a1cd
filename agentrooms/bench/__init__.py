"""Measures: the core in one process, and the real parts it runs on. Each figure stands beside its baseline."""
