"""What the sources hold: schemas, tables, columns, types, keys and statistics."""
