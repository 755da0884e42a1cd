"""Rooms over sockets: WebSocket and Socket.IO, one contract."""
