"""Files of other apps, read as tasks; what of them is not taken over has a note each."""
