"""What lies over the panes: help, history, plan, statistics, export and small questions."""
