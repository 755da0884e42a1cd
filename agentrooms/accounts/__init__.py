"""What is kept of people beside the log, so that it can be erased: sign-in, contacts, notifications."""
