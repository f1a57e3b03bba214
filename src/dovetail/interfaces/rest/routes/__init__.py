"""One module per group of paths; each has a ``router``, whose prefix is the whole of it."""

API = "/api/v1"
