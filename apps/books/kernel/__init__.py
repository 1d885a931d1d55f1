"""The C kernel of the books app: one instrument's market-by-price book in memory that the caller owns."""
