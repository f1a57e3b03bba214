"""Results of earlier queries, kept on disk for the next time the same is asked.

Off unless asked for. :mod:`.identity` says which result is the same and which must not be kept,
:mod:`.store` keeps them as files, :mod:`.results` records a result while it is read and plays one
back. What makes an answer from here as good as a fresh one is told in
``docs/decisions/0010-result-cache.md``.
"""
