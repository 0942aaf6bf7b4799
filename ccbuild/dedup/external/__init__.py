"""Duplicates in external memory: files of prints, sorted tables, and decisions in a memory that is set beforehand."""
