"""One settings file, read from the environment. Production refuses to start without its secrets.

AQUIFER_MODE: `production` (the default), `local` (what `./run` sets) or `test`.
"""

import os
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict

from billing import states as billing_states
from billing.rating import kinds as billing_kinds
from federation import states as federation_states
from portal import states as portal_states
from portal import vault

BASE_DIR = Path(__file__).resolve().parent.parent
MODE = os.environ.get("AQUIFER_MODE", "production")
if MODE not in {"production", "local", "test"}:
    raise ImproperlyConfigured(f"AQUIFER_MODE is {MODE!r}; it may be production, local or test.")
IS_PRODUCTION = MODE == "production"
DATA_DIR = Path(os.environ.get("AQUIFER_DATA_DIR", BASE_DIR / ".local"))


def _secret(name: str, *, fallback: str = "") -> str:
    """A secret from NAME, or from the file that NAME_FILE names (as container secrets are mounted)."""
    if value := os.environ.get(name, ""):
        return value
    if path := os.environ.get(f"{name}_FILE", ""):
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ImproperlyConfigured(f"{name}_FILE names {path}, which cannot be read: {error}") from error
    if IS_PRODUCTION and not fallback:
        raise ImproperlyConfigured(f"Set {name} or {name}_FILE: production does not start without it.")
    return fallback


def _flag(name: str, default: bool) -> bool:
    return os.environ.get(name, "1" if default else "0").lower() in {"1", "true", "yes"}


def _words(name: str) -> list[str]:
    return [word.strip() for word in os.environ.get(name, "").split(",") if word.strip()]


SECRET_KEY = _secret("AQUIFER_SECRET_KEY", fallback="" if IS_PRODUCTION else "only-for-local-use-" + "0" * 40)
if IS_PRODUCTION and len(SECRET_KEY) < 32:
    raise ImproperlyConfigured("AQUIFER_SECRET_KEY is shorter than 32 characters.")
# What opens the credentials of sites: the first key seals, all of them open. docs/operations.md: changing keys.
CREDENTIAL_KEYS = _secret("AQUIFER_CREDENTIAL_KEYS", fallback="" if IS_PRODUCTION else vault.derived_key(SECRET_KEY))
try:
    vault.read_keys(CREDENTIAL_KEYS)
except ValueError as error:
    raise ImproperlyConfigured(f"AQUIFER_CREDENTIAL_KEYS cannot be used: {error}.") from None
DEBUG = False
PUBLIC_URL = os.environ.get("AQUIFER_PUBLIC_URL", "http://127.0.0.1:8000")
ALLOWED_HOSTS = _words("AQUIFER_ALLOWED_HOSTS") or (
    [] if IS_PRODUCTION else ["127.0.0.1", "localhost", "[::1]", "testserver"]
)
if IS_PRODUCTION and not ALLOWED_HOSTS:
    raise ImproperlyConfigured("Set AQUIFER_ALLOWED_HOSTS to the host names people use, separated by commas.")
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if PUBLIC_URL.startswith("https://") else []

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "portal",
    "federation",
    "billing",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "portal.http.middleware.SecurityHeaders",
    "portal.http.middleware.RequestLimits",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

TEMPLATES: list[dict[str, Any]] = [
    {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True, "OPTIONS": {}}
]
ROOT_URLCONF = "portal.urls"
ASGI_APPLICATION = "portal.asgi.application"
APPEND_SLASH = False
AUTH_USER_MODEL = "portal.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]

# -- database: Postgres and nothing else ---------------------------------------------------------
DATABASE_URL = _secret("DATABASE_URL", fallback="" if IS_PRODUCTION else "postgresql:///aquifer")


def _database(url: str) -> dict[str, Any]:
    if not url.startswith(("postgresql://", "postgres://")):
        raise ImproperlyConfigured("DATABASE_URL must start with postgresql://. Aquifer runs on Postgres only.")
    parts = conninfo_to_dict(url)
    known = {"dbname", "user", "password", "host", "port"}
    options: dict[str, Any] = {key: value for key, value in parts.items() if key not in known and value}
    options.setdefault("connect_timeout", 5)
    # A lock that is not to be had in 5 s, or a statement of over 30 s, is a fault to report, not to wait for.
    options["options"] = "-c lock_timeout=5s -c statement_timeout=30s -c idle_in_transaction_session_timeout=60s"
    # The web server opens a thread per request, so it draws from a pool; a worker keeps its one connection.
    if os.environ.get("AQUIFER_PROCESS") == "web":
        options["pool"] = {
            "min_size": 1,
            "max_size": int(os.environ.get("AQUIFER_DB_POOL", "16")),
            "timeout": 5,
        }
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.get("dbname") or "aquifer",
        "USER": parts.get("user") or "",
        "PASSWORD": parts.get("password") or "",
        "HOST": parts.get("host") or "",
        "PORT": parts.get("port") or "",
        "CONN_MAX_AGE": 0 if "pool" in options else None,
        "CONN_HEALTH_CHECKS": "pool" not in options,
        "OPTIONS": options,
        "TEST": {"NAME": os.environ.get("AQUIFER_TEST_DATABASE")},
    }


DATABASES = {"default": _database(DATABASE_URL)}

# -- hints: broker, cache and sockets, all of which may be wiped at any moment ---------------------
REDIS_URL = _secret("REDIS_URL")
CELERY_BROKER_DIR = DATA_DIR / "broker"
if REDIS_URL:
    CELERY_BROKER_URL = REDIS_URL
    CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {"visibility_timeout": 300, "socket_timeout": 10}
    CHANNEL_LAYERS: dict[str, Any] = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [REDIS_URL], "prefix": "aquifer"},
        }
    }
else:
    CELERY_BROKER_URL = "files://localhost//"  # portal.broker, which portal.celery makes known by this name
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(CELERY_BROKER_DIR / "queue"),
        "data_folder_out": str(CELERY_BROKER_DIR / "queue"),
        "control_folder": str(CELERY_BROKER_DIR / "control"),
        "polling_interval": 0.05,
    }

    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "portal.layers.PostgresLayer",
            "CONFIG": {
                **{k: v for k, v in DATABASES["default"].items() if k in {"NAME", "USER", "PASSWORD", "HOST", "PORT"}},
                "ENGINE": "django.db.backends.postgresql",
                "TIME_ZONE": None,
            },
        }
    }
    INSTALLED_APPS.append("channels_postgres")
    if MODE == "local":
        DATABASES["channels_postgres"] = DATABASES["default"]  # the layer's own name for the same database
    if MODE == "test":
        CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

# Keep this order: driver timeout 10 s < soft limit 60 s < hard limit 75 s < lease 90 s < visibility 300 s.
LEASE_SECONDS = int(os.environ.get("AQUIFER_LEASE_SECONDS", "90"))  # shorter in tests that kill workers
CELERY_TASK_ACKS_LATE = True
# The broker of files sleeps between looks while the worker holds its fill, so a fill of one would mean one task
# per look. There it is the only worker: nobody else waits for what it has taken.
CELERY_WORKER_PREFETCH_MULTIPLIER = 1 if REDIS_URL else 16
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_REJECT_ON_WORKER_LOST = False  # the sweep comes back for what a dead worker held
CELERY_TASK_SOFT_TIME_LIMIT = 60
CELERY_TASK_TIME_LIMIT = 75
if IS_PRODUCTION and not CELERY_TASK_TIME_LIMIT < LEASE_SECONDS < 300:
    raise ImproperlyConfigured("AQUIFER_LEASE_SECONDS is above 75, the longest a task may take, and below 300.")
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_TASK_DEFAULT_QUEUE = "core"
CELERY_TASK_ROUTES = {  # calls to sites may be slow; they must not hold up admission, events or billing
    "federation.tasks.reconcile_allocation": {"queue": "sites"},
    "federation.tasks.reconcile_cluster": {"queue": "sites"},
    "billing.tasks.make_export": {"queue": "sites"},  # a chunk takes as long as a slow site
}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_MAX_TASKS_PER_CHILD = 20_000
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_PUBLISH_RETRY = False  # a hint is not worth waiting for
CELERY_BROKER_CONNECTION_TIMEOUT = 2
CELERY_TIMEZONE = "UTC"
CELERY_ENABLE_UTC = True
CELERY_WORKER_ENABLE_REMOTE_CONTROL = bool(REDIS_URL)

# -- federation ----------------------------------------------------------------------------------
FEDERATION_DRIVERS = {
    "fake": "federation.drivers.fake:FakeDriver",
    "agent": "federation.drivers.agent:AgentDriver",
    "kubernetes": "federation.drivers.kubernetes.driver:KubernetesDriver",
    "kvm": "federation.drivers.kvm.driver:KvmDriver",
    "docker": "federation.drivers.docker.driver:DockerDriver",
    "redfish": "federation.drivers.redfish.driver:RedfishDriver",
}
FEDERATION_WATCHED = ["kubernetes"]  # drivers whose sites tell of changes by themselves
# Where sites may be, as networks; nowhere else is ever connected. Empty: everywhere but where no site can be.
try:
    SITE_NETWORKS = [ip_network(word) for word in _words("AQUIFER_SITE_NETWORKS")]
except ValueError as error:
    raise ImproperlyConfigured(f"AQUIFER_SITE_NETWORKS: {error}; write networks as 10.8.0.0/16.") from None
# Sockets of this machine that may be a site: whoever can open one of these is root there.
SITE_SOCKETS = _words("AQUIFER_SITE_SOCKETS")
SITE_LOOPBACK = not IS_PRODUCTION  # a cluster on this very machine, for looking and developing
FEDERATION_START_SECONDS = int(os.environ.get("AQUIFER_START_SECONDS", "600"))  # of failing, then the attempt ends
FEDERATION_STALE_SECONDS = int(os.environ.get("AQUIFER_STALE_SECONDS", "40"))  # then no new placement
FEDERATION_DISCONNECTED_SECONDS = int(os.environ.get("AQUIFER_DISCONNECTED_SECONDS", "300"))  # then we tell
FEDERATION_LOST_SECONDS = int(os.environ.get("AQUIFER_LOST_SECONDS", "900"))  # then work moves, by policy
FEDERATION_OUTPUT_DAYS = int(os.environ.get("AQUIFER_OUTPUT_DAYS", "30"))  # then the output of ended work is dropped
FEDERATION_PLANNER_SECONDS = 0.0 if MODE == "test" else 3.0  # a queue that was due for so long is a worker's to look at
BILLING_CURRENCY = os.environ.get("AQUIFER_CURRENCY", "CNY")
EXPORTS_DIR = Path(os.environ.get("AQUIFER_EXPORTS_DIR", DATA_DIR / "exports"))
BILLING_TIME_ZONE = os.environ.get("AQUIFER_BILLING_TIME_ZONE", "Asia/Shanghai")
BILLING_ISSUER = {  # as invoices name it
    "name": os.environ.get("AQUIFER_ISSUER_NAME", "Aquifer"),
    "tax_id": os.environ.get("AQUIFER_ISSUER_TAX_ID", ""),
    "address": os.environ.get("AQUIFER_ISSUER_ADDRESS", ""),
    "bank": os.environ.get("AQUIFER_ISSUER_BANK", ""),
}

# -- people --------------------------------------------------------------------------------------
PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
if MODE == "test":
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "portal.http.problems.forbidden"
# A cookie with this prefix is bound to the host and to https by the browser itself.
# What the manifest of a cluster's agent names; see deploy/agent/Dockerfile.
AGENT_IMAGE = os.environ.get("AQUIFER_AGENT_IMAGE", "registry.example.org/aquifer-agent:0.1.0")
IS_HTTPS = PUBLIC_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_HTTPS
SESSION_COOKIE_NAME = "__Host-aquifer" if IS_HTTPS else "aquifer"
SECURE_HSTS_SECONDS = 31_536_000 if IS_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = IS_HTTPS
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _flag("AQUIFER_BEHIND_PROXY", False) else None
X_FRAME_OPTIONS = "DENY"
REQUEST_MAX_BYTES = 1_000_000
AGENT_REPORT_MAX_BYTES = 5_000_000
DATA_UPLOAD_MAX_MEMORY_SIZE = AGENT_REPORT_MAX_BYTES  # Django knows one limit for all

# -- API -----------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "portal.http.auth.TokenAuthentication",
        "portal.http.auth.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["portal.http.auth.NamedPermission"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["portal.http.parsers.PlainJSONParser"],
    "DEFAULT_FILTER_BACKENDS": ["portal.http.filters.FilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "portal.http.pagination.CursorPages",
    "DEFAULT_SCHEMA_CLASS": "portal.http.schema.Schema",
    "EXCEPTION_HANDLER": "portal.http.problems.handle",
    "DEFAULT_VERSIONING_CLASS": None,
    "COERCE_DECIMAL_TO_STRING": True,
    "URL_FORMAT_OVERRIDE": None,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}


def _choices(states: type[StrEnum]) -> list[tuple[str, str]]:
    """As the models declare them; gives the enum its name in the OpenAPI document."""
    return [(state.value, state.value) for state in states]


SPECTACULAR_SETTINGS = {
    "TITLE": "Aquifer",
    "DESCRIPTION": "One control plane for every accelerator an organisation owns. Amounts of accelerators are in "
    "1/1000 of a device, memory in MiB, CPU in 1/1000 of a core. Errors are application/problem+json.",
    "VERSION": "1.0.0",
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "SORT_OPERATIONS": False,
    "ENUM_NAME_OVERRIDES": {
        "ClusterState": _choices(federation_states.ClusterState),
        "NodeState": _choices(federation_states.NodeState),
        "WorkloadState": _choices(federation_states.WorkloadState),
        "AllocationState": _choices(federation_states.AllocationState),
        "Meter": _choices(billing_kinds.Meter),
        "ProposalState": _choices(billing_states.ProposalState),
        "ImageFormat": "federation.models.catalogue.ImageFormat",
        "ExportKind": "billing.models.exports.ExportKind",
        "ExportFormat": "billing.models.exports.FORMATS",
        "ExportState": _choices(billing_states.ExportState),
        "InvoiceState": _choices(billing_states.InvoiceState),
        "TenantState": _choices(portal_states.TenantState),
        "ClusterKind": "federation.models.sites.ClusterKind",
        "WorkloadKind": "federation.models.workloads.WorkloadKind",
        "CreditKind": "billing.models.wallets.Credit.Kind",
        "JoinTokenState": ["open", "used"],
        "LayoutState": "federation.models.layouts.LayoutState",
        "NodePower": ["on", "off", "unknown"],
        "WantedPower": ["on", "off"],
        "OrderDesired": ["run", "absent"],
        "PlacementOutcome": ["placed", "waiting"],
        "DecisionOutcome": ["none", "placed", "refused"],
    },
    "PREPROCESSING_HOOKS": ["portal.http.schema.in_order"],
    "POSTPROCESSING_HOOKS": ["drf_spectacular.hooks.postprocess_schema_enums"],
    "AUTHENTICATION_WHITELIST": [],
}

# -- static files: the console, built into frontend/dist ---------------------------------------------
FRONTEND_DIST = Path(os.environ.get("AQUIFER_FRONTEND_DIST", BASE_DIR / "frontend" / "dist"))
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "portal.logs.LineFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": os.environ.get("AQUIFER_LOG_LEVEL", "INFO")},
    "loggers": {
        "celery": {"level": os.environ.get("AQUIFER_CELERY_LOG_LEVEL", "WARNING")},
        "django.request": {"level": "ERROR"},
        "fontTools": {"level": "WARNING"},
        "uvicorn.access": {"level": "WARNING"},
        "channels_postgres": {"level": "ERROR"},  # warns of every event that no browser is there to see
    },
}
