"""Compiled loops over the bytes of a page: over its tags, over the blocks of its text, over cleaned text.

Functions that call each other stand in one file, since numba's cache on disk watches only the file that a function
stands in: one that had changed elsewhere would be run as it was. For the same reason each file has its own names of
characters. The files are imported where they are used, as numba costs half a second to import.
"""
