"""Sign-in with a wallet: challenges, tokens, who is asking."""
