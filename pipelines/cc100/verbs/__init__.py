"""The verbs. Each module says what its unit of work is and yields the steps that a run takes through them."""
