"""Duplicates. The modules here compute, on strings and arrays; `external` is what lies on disk; `corpora` serves users.

The way through: `words` says what a word is; `signatures` and `paragraphs` turn batches of texts into arrays of hashes
(their loops stand in `kernels`), `prints` into the rows that are compared; `decisions` says, of the prints of any range
of hashes, which documents and paragraphs go and what each repeats. A crawl's prints and edges are more than a memory
holds: `external` has the files of prints, sorted in parts and merged, and the same decisions over them.
"""
