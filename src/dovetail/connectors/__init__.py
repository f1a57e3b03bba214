"""One module per kind of source, the contract they keep, and the registry that finds them."""
