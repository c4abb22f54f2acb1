"""What a run leaves behind for people: the dashboard, the report (exports come later)."""
