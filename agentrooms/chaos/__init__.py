"""Strikes runs and living systems while they work, and checks that nothing of theirs was lost, doubled or left over."""
