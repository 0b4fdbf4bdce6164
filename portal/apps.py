from django.apps import AppConfig


class PortalConfig(AppConfig):
    name = "portal"
    verbose_name = "Portal"

    def ready(self) -> None:
        # Loads the Celery app so that tasks bind to it in every process; portal/__init__.py stays empty.
        from portal import celery  # noqa: F401
