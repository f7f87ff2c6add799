"""The dashboard: a page of plain HTML, CSS and ES modules over the public API."""
