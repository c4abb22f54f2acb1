"""What a run leaves behind for people: the dashboard (reports and exports come later)."""
