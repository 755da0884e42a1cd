"""A development chain: an EVM of our own behind the JSON-RPC that ARK's Mainsail speaks."""
