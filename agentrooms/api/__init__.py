"""The API: REST, sockets, sign-in and limits over actors and read models; and a remote verifier's service."""
