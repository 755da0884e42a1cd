"""Rooms, agents, verifiers and settlement as plain actors: a message in, messages out."""
