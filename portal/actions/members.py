"""People and their roles."""

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from portal import audit
from portal.audit import Actor
from portal.errors import Invalid, NotAllowed
from portal.models import AccessToken, Membership, Project, Tenant, User
from portal.permissions import Role, can


@transaction.atomic
def create_user(
    *,
    by: Actor,
    username: str,
    password: str | None = None,
    name: str = "",
    email: str = "",
    language: str = "en",
) -> User:
    """A user who can do nothing yet. Without a password, only by a one-time link."""
    user = User(username=username, name=name, email=email, language=language)
    if password is None:
        user.set_unusable_password()
    else:
        try:
            validate_password(password, user)
        except ValidationError as error:
            raise Invalid.field("password", " ".join(error.messages), "weak-password") from error
        user.set_password(password)
    user.save(force_insert=True)
    audit.record(by=by, what="user.create", target=user)
    return user


@transaction.atomic
def add(
    *, by: Actor, user: User, role: Role, tenant: Tenant | None = None, project: Project | None = None
) -> Membership:
    """Give a role. Nobody gives a role on the platform who has not the platform; see `may_grant`."""
    if not may_grant(by, role, tenant):
        raise NotAllowed("You can give roles only where you are an owner, and none above your own.")
    level = "platform" if tenant is None else "tenant" if project is None else "project"
    if not role.startswith(f"{level}-"):
        raise Invalid.field("role", f"The role {role} is not one for a {level}.", "role-level")
    if project is not None and (tenant is None or project.tenant_id != tenant.pk):
        raise Invalid.field("project", "This project belongs to another tenant.")
    membership, is_new = Membership.objects.get_or_create(user=user, tenant=tenant, project=project, role=role)
    if is_new:
        audit.record(by=by, what="membership.create", target=membership, detail={"role": role, "user": user.username})
    return membership


def may_grant(by: Actor, role: Role, tenant: Tenant | None) -> bool:
    """The system may; a platform admin may; an owner may within the own tenant."""
    if not isinstance(by, User):
        return True
    return can(by, "membership.edit", tenant=tenant.pk if tenant else None)


@transaction.atomic
def remove(*, by: Actor, membership: Membership) -> None:
    """Take a role away; tokens made for that tenant end with the last role there."""
    audit.record(
        by=by,
        what="membership.remove",
        target=membership,
        detail={"role": membership.role, "user": membership.user.username},
    )
    user, tenant = membership.user, membership.tenant_id
    membership.delete()
    if tenant and not user.memberships.filter(tenant_id=tenant).exists():
        AccessToken.objects.filter(user=user, tenant_id=tenant, revoked_at=None).delete()


@transaction.atomic
def disable(*, by: Actor, user: User) -> User:
    """Shut a person out everywhere, at once; sessions and tokens stop with the flag."""
    User.objects.filter(pk=user.pk).update(is_active=False)
    user.is_active = False
    audit.record(by=by, what="user.disable", target=user)
    return user
