"""Read models: pure folds of recorded events into tables whose columns are declared once."""
