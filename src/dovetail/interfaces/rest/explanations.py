"""What each problem code means and what to do about it: ``GET /problems/<code>``."""

from __future__ import annotations

EXPLANATIONS: dict[str, str] = {
    "json-malformed": "The body could not be read as JSON. Nothing was done.",
    "sql-empty": "The text holds no statement: only white space or comments.",
    "sql-syntax": "DuckDB's parser does not accept the text; line and column say where.",
    "sql-multiple": "One request runs one statement; a trailing semicolon is fine.",
    "sql-not-read-only": "Only queries that read are allowed, and only of what the target names: "
    "no statement that changes data, settings or files, no file or address outside the target.",
    "sql-not-supported": "The query is valid but asks for what cannot be done here.",
    "sql-binding": "A table, column or function does not exist, or types do not fit; `candidates` "
    "lists near names.",
    "sql-runtime": "The query failed on its data, for instance in a cast.",
    "unauthenticated": "Send a valid token as `Authorization: Bearer <token>`, or log in.",
    "forbidden": "You may see the object but not do this; the detail names the missing right, role "
    "or scope.",
    "host-unknown": "The Host header is not a name of this service; this guards against DNS "
    "rebinding. `dovetail serve --served-host NAME` adds a name.",
    "origin-unknown": "A page of another site sent the request. Changes with a cookie are only "
    "taken from the service's own pages and the origins of `--cors-origin`.",
    "not-found": "There is no such object, or you may not see it.",
    "method-not-allowed": "The path exists, but not with this method; `Allow` lists those it has.",
    "alias-taken": "Another member of the group has this alias, ignoring case.",
    "already-member": "The dataset is in the group; `allow_repeat` with another alias adds it "
    "again.",
    "ambiguous-member": "The dataset is in the group more than once; `?alias=` says which is "
    "meant.",
    "name-taken": "Another object of that kind has this name, ignoring case.",
    "in-use": "Other objects depend on it; the detail names them.",
    "group-empty": "The group has no dataset to query.",
    "dataset-not-ready": "A dataset that the request needs is not READY; `aliases` lists them.",
    "query-finished": "The query had already finished.",
    "query-cancelled": "The query was cancelled.",
    "result-missing": "The query has no stored result: it has not finished, or it failed.",
    "store-full": "Your datasets would take more than the limit; delete or purge some.",
    "result-expired": "Results are kept for a day; `sql` holds the query to run again.",
    "stale": "The object has changed since the version in `If-Match`; `etag` is the current one.",
    "too-large": "The body or file is larger than the limit that the detail names.",
    "unsupported-media-type": "The content is of no kind that is taken; `valid` lists them.",
    "validation": "A field, parameter or header is not valid; `errors` lists each with its place.",
    "target-ambiguous": "A query has one target: dataset_id, group_id or connection_ids.",
    "target-missing": "A query needs a target: dataset_id, group_id or connection_ids.",
    "alias-invalid": "An alias is a letter or `_`, then up to 62 letters, digits or `_`.",
    "alias-reserved": "SQL reserves this word; `suggestion` is a near one that is free.",
    "qualifier-unknown": "A table is qualified by a name that is none of the request's "
    "connections; `valid` lists those.",
    "parameters": "A `$name` has no value, a value has no `$name`, or a value is not of its type.",
    "configuration": "The settings of a connection are not valid.",
    "file-unreadable": "The file cannot be read as its kind; the detail names lines and options.",
    "file-empty": "The file holds nothing.",
    "key-reused": "The Idempotency-Key came with another request before.",
    "sql-generation-failed": "No valid SQL came of the question; `attempts` holds what was tried.",
    "too-many-requests": "Too many requests in a minute; `Retry-After` says when to go on.",
    "queue-full": "Too many queries are waiting; `Retry-After` says when to try again.",
    "internal": "A fault of the service. The request id finds it in the log.",
    "worker-lost": "The process that ran the query is gone.",
    "interrupted": "The service was stopped while the query ran.",
    "extension-missing": "The service lacks the extension that the detail names.",
    "source-unavailable": "A source cannot be reached, or refused the login.",
    "source-query": "A source refused or broke off its part of the query.",
    "llm-unavailable": "The language model did not answer.",
    "busy": "The service is at its limit; try again soon.",
    "resources-exhausted": "The query needs more memory, disk or rows than it may use; the detail "
    "names the limit.",
    "llm-not-configured": "No language model is configured; set `llm.kind`.",
    "query-timeout": "The query did not finish in time and was cancelled at every source.",
}
