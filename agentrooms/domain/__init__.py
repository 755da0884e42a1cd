"""Pure deciders and strategies: no I/O, no clock, no randomness of their own."""
