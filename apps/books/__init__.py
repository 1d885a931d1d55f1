"""apps.books: the market-by-price book of every instrument, rebuilt from the stream.

Lives here: the book (C kernel, and its obvious Python twin in `model`), the rules by which updates join a snapshot
(`continuity`), and the app `Books`, which says top of book and whether a book may be traded on.
May import: journal.messages, the app runtime. Never: the venue's own formats; gateways have translated them.
"""
