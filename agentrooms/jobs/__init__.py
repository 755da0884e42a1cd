"""Durable jobs driven by the log: analytics, clean-up, notifications, runs."""
