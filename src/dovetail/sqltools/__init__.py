"""Tools over SQL text, for editors and for hands.

* :mod:`~dovetail.sqltools.text`: text to tree and back, with paths in single quotes
* :mod:`~dovetail.sqltools.format`, :mod:`~dovetail.sqltools.stars`,
  :mod:`~dovetail.sqltools.ctes`, :mod:`~dovetail.sqltools.analyze`,
  :mod:`~dovetail.sqltools.cases`, :mod:`~dovetail.sqltools.diff`,
  :mod:`~dovetail.sqltools.place`: one tool each
"""
