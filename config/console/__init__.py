"""The console: admin site, pages, theme. Interfaces only: each view makes one domain call."""
