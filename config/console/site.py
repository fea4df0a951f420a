"""The admin site of Moorage."""

from __future__ import annotations

from django.contrib import admin


class ConsoleSite(admin.AdminSite):
    """Django's admin as the operator console."""

    site_title = "Moorage"
    site_header = "Moorage"
    index_title = "Harbour"
    enable_nav_sidebar = False
