"""All tables that the log alone yields, in the order in which pages and exports show them."""

from __future__ import annotations

from agentrooms.projections import agents, deals, floor_path, messages, quotes, reasons

TABLES = (messages.TABLE, quotes.TABLE, deals.TABLE, agents.TABLE, floor_path.TABLE, reasons.TABLE)
