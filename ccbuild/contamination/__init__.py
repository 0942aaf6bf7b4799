"""Test items of benchmarks in a corpus: read, index, find them in one pass over the documents."""
