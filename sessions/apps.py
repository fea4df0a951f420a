from django.apps import AppConfig


class SessionsConfig(AppConfig):
    name = "sessions"
    label = "terminals"  # django.contrib.sessions has taken "sessions"
    verbose_name = "Terminals"
