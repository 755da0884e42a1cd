"""The living system: commands of people, the desk that carries them out, rooms that go on after a restart."""
