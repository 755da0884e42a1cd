"""Chains with an EVM behind JSON-RPC: ARK's Mainsail, the devnet, anvil."""
