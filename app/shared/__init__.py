"""What several screens draw: layout, sidebar, naming field, charts, overlays."""
