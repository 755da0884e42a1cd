"""Simulations: swarms on real sales in virtual time, their archives, replay, forks and audits."""
