"""Every error a caller can be told of. A `code` never changes its meaning and is never used again."""

from typing import Any, ClassVar


class DomainError(Exception):
    """Base of all refusals. `detail` is one plain sentence; `errors` point at fields of the request."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "bad-request"
    title: ClassVar[str] = "The request cannot be carried out"

    def __init__(self, detail: str = "", *, errors: list[dict[str, Any]] | None = None) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.errors = errors or []


class Invalid(DomainError):
    status, code, title = 422, "invalid", "Some of what was sent is not valid"

    @classmethod
    def field(cls, name: str, detail: str, code: str = "invalid") -> "Invalid":
        return cls(detail, errors=[{"pointer": f"/{name}", "detail": detail, "code": code}])


class NotFound(DomainError):
    status, code, title = 404, "not-found", "There is no such thing here"


class NotAllowed(DomainError):
    status, code, title = 403, "not-allowed", "Your role does not allow this"


class IllegalTransition(DomainError):
    status, code, title = 409, "illegal-transition", "Not possible in the present state"


class ConcurrentUpdate(DomainError):
    status, code, title = (
        409,
        "concurrent-update",
        "Somebody else changed this at the same moment; look again",
    )


class Conflict(DomainError):
    status, code, title = 409, "conflict", "This clashes with what is there"


class SiteSilent(DomainError):
    status, code, title = 503, "site-unavailable", "The site does not answer just now"


class VersionRequired(DomainError):
    status, code, title = 428, "version-required", "Send If-Match with the version you are changing"


class VersionStale(DomainError):
    status, code, title = 412, "version-stale", "This has changed since you read it; read it again"


class IdempotencyKeyReused(DomainError):
    status, code, title = (
        422,
        "idempotency-key-reused",
        "This Idempotency-Key was used for a different request",
    )


class LoginFailed(DomainError):
    status, code, title = 401, "login-failed", "Name or password is wrong"


class TooManyAttempts(DomainError):
    status, code, title = 429, "too-many-attempts", "Too many failed attempts; wait a few minutes"


class BadCredential(DomainError):
    status, code, title = 401, "bad-credential", "This token is not valid, has expired or was used already"


class ReportOutOfOrder(DomainError):
    status, code, title = 409, "report-out-of-order", "A newer report of this agent has been taken already"


class AgentIdentityInUse(DomainError):
    status, code, title = 409, "agent-identity-in-use", "Another agent with this identity is reporting"


class OverCapacity(DomainError):
    """The database refused a grant: a device, a node or a quota would hold more than it has."""

    status, code, title = 409, "over-capacity", "There is not that much free any more"


class OverBudget(DomainError):
    """Work might cost more than a budget has left."""

    status, code, title = 409, "over-budget", "A budget does not have that much left"
