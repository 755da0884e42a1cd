"""Calls and answers in bytes: the product's own."""

from agentrooms.chain.evm.abi import Abi, answer, call_data, constructor_data, event, type_of

__all__ = ["Abi", "answer", "call_data", "constructor_data", "event", "type_of"]
