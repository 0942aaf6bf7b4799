"""Duplicates in corpora of the user's own: texts, files, and what a finished run has near to a text."""
