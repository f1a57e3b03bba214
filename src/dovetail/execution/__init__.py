"""Running a federated plan: fragments in parallel, limits, cancel, profile, result."""
