"""The contracts (Vyper sources, compiled artefacts) and the reasons for which the escrow refuses a deal."""
