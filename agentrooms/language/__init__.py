"""Words for acts already decided: a scripted narrator, moods and the line files."""

from __future__ import annotations

from agentrooms.language.cue import Cue, Happening, Wording
from agentrooms.language.guard import guard
from agentrooms.language.mood import Counts, mood_of
from agentrooms.language.narrator import ScriptedNarrator

__all__ = ["Counts", "Cue", "Happening", "ScriptedNarrator", "Wording", "guard", "mood_of"]
