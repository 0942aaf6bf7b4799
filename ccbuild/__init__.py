"""From Common Crawl to a multilingual corpus, a shared vocabulary and tokens: the library, one file at a time."""

__version__ = "0.1.0"
