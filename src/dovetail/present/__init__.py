"""Arrow in, text and files out: every output format of Dovetail.

::

    result ──chunks──▶ Arrow tables ──a writer──▶ bytes ──destination──▶ file or stream

* :mod:`~dovetail.present.formats`: the names of the formats, their aliases and file extensions
* :mod:`~dovetail.present.values`: what one value looks like as text and as JSON
* :mod:`~dovetail.present.delimited`, :mod:`~dovetail.present.json`,
  :mod:`~dovetail.present.grid`, :mod:`~dovetail.present.columnar`: the writers
* :mod:`~dovetail.present.destination`: files that appear whole or not at all
* :mod:`~dovetail.present.write`: puts them together; the function the interfaces call
"""
