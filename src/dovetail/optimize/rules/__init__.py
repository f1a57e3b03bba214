"""One module per rule; each is a pure function plan → plan of the module's name."""
