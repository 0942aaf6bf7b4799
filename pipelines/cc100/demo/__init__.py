"""The embedded demo: a small crawl whose every page is known, and the judgement of what a run made of it."""
