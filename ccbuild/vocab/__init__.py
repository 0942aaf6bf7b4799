"""One vocabulary for all languages: the alpha plan, word counts, SentencePiece training, encoding."""
