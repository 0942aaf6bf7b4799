"""The Dask pipeline: the layout of a run's folder, the verbs over its shards, the engines that run them."""
