"""Measures the project beside what people would otherwise pick: the same work, in the same run, on the same machine."""
