"""Duplicates: words and shingles, signatures and paragraph hashes, the files of prints, the decisions.

The way through: `words` says what a word is; `signatures` and `paragraphs` turn batches of texts into arrays of hashes
(their loops stand in `kernels`); `prints` keeps them sorted in a file for each shard; `decisions` says, of the prints
of any range of hashes, which documents and paragraphs go and what each repeats.
"""
