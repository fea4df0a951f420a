"""Settings. What an operator may change is in :mod:`config.environment`; the rest is decided here, with its reason."""

from __future__ import annotations

import gc
from pathlib import Path
from urllib.parse import unquote, urlsplit

from celery.schedules import schedule
from csp.constants import NONE, SELF

from config.environment import BadSetting, Environment
from config.kept_secret import kept_secret

# Most objects of a process of ours stay for ever: to look for garbage at each 700th new one is a tenth of its start.
gc.set_threshold(10_000, 20, 50)

env = Environment()
BASE_DIR = Path(__file__).resolve().parent.parent


def _beneath_base(value: str) -> Path:
    return (BASE_DIR / value).resolve()


def _kept_secret(name: str, *, file: str) -> str:
    """The secret from the environment, else one made once and kept readable for us only."""
    if given := env.text(name):
        return given
    return kept_secret(DATA / "secrets" / file)


DATA = _beneath_base(env.text("MOORAGE_DATA"))
DATA.mkdir(parents=True, exist_ok=True)

SECRET_KEY = _kept_secret("MOORAGE_SECRET_KEY", file="secret_key")
DEBUG = env.flag("MOORAGE_DEBUG")
ALLOWED_HOSTS = env.names("MOORAGE_ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = env.names("MOORAGE_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "config.apps.ConsoleConfig",  # the admin site, ours
    "config.apps.WiringConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_fsm",
    "csp",
    "config.access.apps.AccessConfig",
    "events.apps.EventsConfig",
    "resources.apps.ResourcesConfig",
    "templates_app.apps.TemplatesConfig",
    "agents.apps.AgentsConfig",
    "sessions.apps.SessionsConfig",
    "operations.apps.OperationsConfig",
    "workers.apps.WorkersConfig",
]

MIDDLEWARE = [
    "config.requests.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "config" / "console" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]


def _database() -> dict[str, object]:
    url = env.text("MOORAGE_DATABASE_URL")
    if not url:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": DATA / "moorage.sqlite3",
            "CONN_MAX_AGE": None,
            "OPTIONS": {
                "timeout": 20,
                # DEFERRED upgrades to a write lock in mid-transaction and fails with "database is locked".
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA temp_store=MEMORY",
            },
            "TEST": {"NAME": DATA / "test.sqlite3"},  # a file: threads and worker processes share it
        }
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"} or not parts.path.strip("/"):
        raise BadSetting("MOORAGE_DATABASE_URL must be postgresql://user@host:port/name")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.strip("/"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": env.text("MOORAGE_DATABASE_PASSWORD") or unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": env.whole("MOORAGE_DATABASE_KEEP_S"),
        "CONN_HEALTH_CHECKS": True,
    }


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.text("MOORAGE_REDIS_URL") or f"unix://{DATA}/run/redis.sock"
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        # redis-py's default read time-out equals the layer's blocking read: every idle socket would die.
        "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": None}], "prefix": "moorage"},
    }
}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "admin:login"

LANGUAGE_CODE = "en"
USE_I18N = False  # one language: to ask which one at each value costs a sixth of a page
TIME_ZONE = "UTC"
FORMAT_MODULE_PATH = "config.formats"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = DATA / "static"
STATIC_ROOT.mkdir(exist_ok=True)  # whitenoise warns about one that is missing
STATICFILES_DIRS = [BASE_DIR / "config" / "console" / "static"]
WHITENOISE_USE_FINDERS = True
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

CSRF_FAILURE_VIEW = "config.problems.csrf_failure"

# --- security: deny unless granted -----------------------------------------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
HTTPS = env.flag("MOORAGE_HTTPS")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_621_440

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "config.access.authentication.BearerToken",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["config.access.authentication.ScopeAllows"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["config.bodies.JsonBody"],
    "DEFAULT_PAGINATION_CLASS": "config.pagination.NewestFirst",
    "DEFAULT_SCHEMA_CLASS": "config.openapi.ProblemSchema",
    "EXCEPTION_HANDLER": "config.problems.handle",
    "PAGE_SIZE": 50,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Moorage",
    "VERSION": "1",
    "DESCRIPTION": "From a written requirement to a tested branch and a pull request.",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "ENUM_NAME_OVERRIDES": {
        "AgentStateEnum": "agents.models.State",
        "TerminalKindEnum": "sessions.models.Terminal.Kind",
    },
}

# --- the cluster: each value as measured in docs/decisions/0004 --------------------------------------------------
CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1) if REDIS_URL.startswith("unix://") else REDIS_URL
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "ack_emulation": False,
    "socket_timeout": 5,
    "socket_connect_timeout": 2,
    "socket_keepalive": not REDIS_URL.startswith("unix://"),
    "health_check_interval": 5,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CHANNEL_ERROR_RETRY = True
CELERY_TASK_ACKS_LATE = False
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_STORE_ERRORS_EVEN_IF_IGNORED = False
CELERY_TASK_SEND_SENT_EVENT = False
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2}
CELERY_TASK_DEFAULT_QUEUE = "control"
CELERY_TASK_CREATE_MISSING_QUEUES = True
CELERY_TASK_SOFT_TIME_LIMIT = 1800
CELERY_TASK_TIME_LIMIT = 1860
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_DISABLE_PREFETCH = True
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 20
CELERY_WORKER_PROC_ALIVE_TIMEOUT = (
    20.0  # a child that cannot reach the database until then is replaced: workers/forks.py
)
CELERY_WORKER_SEND_TASK_EVENTS = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_DB_REUSE_MAX = 1000
CELERY_TIMEZONE = "UTC"
SWEEP_S = env.number("MOORAGE_SWEEP_S", least=0.2)
CELERY_BEAT_SCHEDULE = {
    "sweep": {"task": "cleanup.sweep", "schedule": schedule(SWEEP_S), "options": {"expires": SWEEP_S * 4}},
}
CELERY_BEAT_SCHEDULER = "celery.beat:Scheduler"  # in memory: the tick is claimed in the database, not here

# --- what the rooms read ------------------------------------------------------------------------------------------
HOST_NAME = env.text("MOORAGE_HOST_NAME")
HOST_SLOTS = env.whole("MOORAGE_HOST_SLOTS")
HOST_MEMORY_MB = env.whole("MOORAGE_HOST_MEMORY_MB")
HOST_CPU_MILLIS = env.whole("MOORAGE_HOST_CPU_MILLIS")
HOST_DISK_MB = env.whole("MOORAGE_HOST_DISK_MB")
WORKSPACES = env.text("MOORAGE_WORKSPACES")
if WORKSPACES not in {"auto", "image", "directory"}:
    raise BadSetting(f"MOORAGE_WORKSPACES={WORKSPACES!r} must be auto, image or directory")
VOLUME_SOURCES = [_beneath_base(path) for path in env.names("MOORAGE_VOLUME_SOURCES", separator=":")]
SHARED_VOLUMES = env.lent("MOORAGE_SHARED_VOLUMES")
PORT_RANGE = env.ports("MOORAGE_PORT_RANGE")
PORT_QUARANTINE_S = env.number("MOORAGE_PORT_QUARANTINE_S")
_AMOUNTS = ("slots", "memory_mb", "cpu_millis", "disk_mb")
USER_QUOTA = env.amounts("MOORAGE_USER_QUOTA", known=_AMOUNTS)
PROJECT_QUOTA = env.amounts("MOORAGE_PROJECT_QUOTA", known=_AMOUNTS)
AGING_S = env.number("MOORAGE_AGING_S")
WARM_POOL = env.amounts("MOORAGE_WARM_POOL")
UID_RANGE = env.span("MOORAGE_UID_RANGE", least=1000, most=2**32 - 2)
INSTALL_ID = kept_secret(DATA / "secrets" / "install_id")  # no secret, but made once and kept likewise
HOST_TTL_S = env.number("MOORAGE_HOST_TTL_S", least=1)
ISOLATION = env.text("MOORAGE_ISOLATION")
if ISOLATION not in {"", "container", "process", "landlock", "bare"}:
    raise BadSetting(f"MOORAGE_ISOLATION={ISOLATION!r} must be container, process, landlock or bare")
ALLOW_BARE = env.flag("MOORAGE_ALLOW_BARE")
TOOLCHAIN = _beneath_base(env.text("MOORAGE_TOOLCHAIN"))
BERTH_SECRETS = _beneath_base(env.text("MOORAGE_BERTH_SECRETS") or str(DATA / "secrets" / "berths"))
TEMPLATE_DIRECTORIES = [BASE_DIR / "templates_app" / "library", DATA / "templates"]

EGRESS_PRIVATE_HOSTS = [host.lower() for host in env.names("MOORAGE_EGRESS_PRIVATE_HOSTS")]
PACKAGE_MIRROR_URL = env.mirror("MOORAGE_PACKAGE_MIRROR_URL")
NPM_REGISTRY_URL = env.mirror("MOORAGE_NPM_REGISTRY_URL")
DEBIAN_MIRROR = env.debian_mirror("MOORAGE_DEBIAN_MIRROR")

REPOSITORY_ROOTS = [_beneath_base(root) for root in env.names("MOORAGE_REPOSITORY_ROOTS", separator=":")]
REPOSITORY_HOSTS = env.names("MOORAGE_REPOSITORY_HOSTS")
GIT_TOKEN = env.text("MOORAGE_GIT_TOKEN")
GIT_TOKEN_HOSTS = env.names("MOORAGE_GIT_TOKEN_HOSTS")
GIT_SSH_KEY_FILE = env.text("MOORAGE_GIT_SSH_KEY_FILE")
GIT_SSH_KNOWN_HOSTS_FILE = env.text("MOORAGE_GIT_SSH_KNOWN_HOSTS_FILE")
GITHUB_URL = env.text("MOORAGE_GITHUB_URL")
GITHUB_TOKEN = env.text("MOORAGE_GITHUB_TOKEN")
GITHUB_WEBHOOK_SECRET = env.text("MOORAGE_GITHUB_WEBHOOK_SECRET")
FORGE_CALLS_PER_HOUR = env.whole("MOORAGE_FORGE_CALLS_PER_HOUR")

MODEL_ENVIRONMENT = {
    name: env.text(name)
    for name in (
        "MOORAGE_MODELS", "OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY",
        "ANTHROPIC_BASE_URL", "OLLAMA_BASE_URL", "OLLAMA_HOST",
    )
}  # fmt: skip
MODEL_TIMEOUT_S = env.number("MOORAGE_MODEL_TIMEOUT_S", least=1)
REPAIR_S = env.number("MOORAGE_REPAIR_S", least=1)
KEPT_RESULTS = int(env.number("MOORAGE_KEPT_RESULTS", least=0))
REPAIR_CANDIDATES = env.number("MOORAGE_REPAIR_CANDIDATES", least=1)

GATEWAY_PORT = env.whole("MOORAGE_GATEWAY_PORT", least=1)
GATEWAY_URL = (env.text("MOORAGE_GATEWAY_URL") or f"http://127.0.0.1:{GATEWAY_PORT}").rstrip("/")
_SCOPES = ("call", "run", "agent", "user", "project", "day")
BUDGET = env.shares(
    "MOORAGE_BUDGET",
    known=[*_SCOPES, *(f"{scope}.tokens" for scope in _SCOPES), *(f"{scope}.calls" for scope in _SCOPES[1:])],
)
BUDGET_SOFT = env.number("MOORAGE_BUDGET_SOFT")
MODEL_PRICES = env.text("MOORAGE_MODEL_PRICES")
UNKNOWN_PRICE = env.text("MOORAGE_UNKNOWN_PRICE")
if UNKNOWN_PRICE not in {"dearest", "refuse"}:
    raise BadSetting(f"MOORAGE_UNKNOWN_PRICE={UNKNOWN_PRICE!r} must be dearest or refuse")

CLAIM_TTL_S = env.number("MOORAGE_CLAIM_TTL_S", least=1)
REDISPATCH_S = env.number("MOORAGE_REDISPATCH_S", least=1)
DRAIN_S = env.number("MOORAGE_DRAIN_S")
SAMPLE_S = env.number("MOORAGE_SAMPLE_S", least=1)
SAMPLES_KEEP_HOURS = env.number("MOORAGE_SAMPLES_KEEP_HOURS", least=1)
KEEP_WORK_DAYS = env.number("MOORAGE_KEEP_WORK_DAYS")
TERMINAL_IDLE_S = env.number("MOORAGE_TERMINAL_IDLE_S")
TERMINAL_RECORDING = env.text("MOORAGE_TERMINAL_RECORDING")
if TERMINAL_RECORDING not in {"none", "output", "input"}:
    raise BadSetting(f"MOORAGE_TERMINAL_RECORDING={TERMINAL_RECORDING!r} must be none, output or input")
TERMINAL_RECORDING_MB = env.number("MOORAGE_TERMINAL_RECORDING_MB", least=0.01)
TERMINAL_RECORDING_DAYS = env.number("MOORAGE_TERMINAL_RECORDING_DAYS")

FLOWER_PORT = env.whole("MOORAGE_FLOWER_PORT", least=1)
FLOWER_URL = env.mirror("MOORAGE_FLOWER_URL")  # without credentials: the console shows it

LOG_LEVEL = env.text("MOORAGE_LOG_LEVEL").upper()
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"()": "config.logs.KeyValue"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {"httpx": {"level": "WARNING"}, "httpx2": {"level": "WARNING"}, "uvicorn.access": {"level": "WARNING"}},
}
