"""Common Crawl over the network: its snapshots, its archives whole or record by record, politely; and who opted out."""
