"""The chain port and its adapters: where deals settle."""
