"""The tests. ``tests/servers.py`` says how the private servers live and die."""
