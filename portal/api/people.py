"""Users, memberships, access tokens."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from portal.actions import members, tokens
from portal.errors import NotAllowed, NotFound
from portal.http.idempotency import once
from portal.http.scope import project_here, tenant_here
from portal.http.viewsets import ReadMixin, ReadViewSet, ResourceViewSet
from portal.models import AccessToken, Membership, User
from portal.permissions import Role, scope_of

_ROLES = [(r.value, r.value) for r in Role]


class UserSerializer(serializers.ModelSerializer[User]):
    class Meta:
        model = User
        fields = ["id", "username", "name", "email", "language", "is_active", "created_at", "version"]


class NewUserSerializer(serializers.Serializer[Any]):
    """A user is made with a first role, so that an owner makes people only for the own tenant."""

    username = serializers.RegexField(r"^[A-Za-z0-9][A-Za-z0-9@._+-]{0,149}$")
    password = serializers.CharField(required=False, max_length=1000, trim_whitespace=False, write_only=True)
    name = serializers.CharField(required=False, allow_blank=True, max_length=200)
    email = serializers.EmailField(required=False, allow_blank=True)
    tenant = serializers.UUIDField(required=False, allow_null=True)
    role = serializers.ChoiceField(choices=_ROLES)


class UserViewSet(ReadViewSet):
    queryset = User.objects.all()
    serializer_class = UserSerializer
    filterset_fields = ["username", "is_active"]
    permissions = {"list": "user.view", "retrieve": "user.view", "create": "user.create", "disable": "user.edit"}

    @extend_schema(request=NewUserSerializer, responses={201: UserSerializer})
    def create(self, request: Request) -> Response:
        data = self.valid(NewUserSerializer)
        role, tenant_id = Role(data.pop("role")), data.pop("tenant", None)
        tenant = tenant_here(self.user, tenant_id) if tenant_id else None
        self.require(tenant=tenant.pk if tenant else None)

        def make() -> User:
            user = members.create_user(by=self.user, **data)
            members.add(by=self.user, user=user, role=role, tenant=tenant)
            return user

        return self.created(make)

    @extend_schema(request=None, responses={202: UserSerializer})
    @action(detail=True, methods=["post"])
    def disable(self, request: Request, pk: str) -> Response:
        """Shut a person out everywhere, at once."""
        user = self.get_object()
        self.require()
        return self.answer(members.disable(by=self.user, user=user), 202)


class MembershipSerializer(serializers.ModelSerializer[Membership]):
    user = serializers.UUIDField(source="user_id")
    username = serializers.CharField(source="user.username")
    tenant = serializers.UUIDField(source="tenant_id", allow_null=True)
    project = serializers.UUIDField(source="project_id", allow_null=True)
    role = serializers.ChoiceField(choices=_ROLES)

    class Meta:
        model = Membership
        fields = ["id", "user", "username", "tenant", "project", "role", "created_at", "version"]


class NewMembershipSerializer(serializers.Serializer[Any]):
    user = serializers.UUIDField()
    tenant = serializers.UUIDField(required=False, allow_null=True)
    project = serializers.UUIDField(required=False, allow_null=True)
    role = serializers.ChoiceField(choices=_ROLES)


class MembershipViewSet(ReadViewSet):
    queryset = Membership.objects.select_related("user")
    serializer_class = MembershipSerializer
    filterset_fields = ["tenant", "project", "user", "role"]
    permissions = {
        "list": "membership.view",
        "retrieve": "membership.view",
        "create": "membership.edit",
        "destroy": "membership.edit",
    }

    @extend_schema(request=NewMembershipSerializer, responses={201: MembershipSerializer})
    def create(self, request: Request) -> Response:
        data = self.valid(NewMembershipSerializer)
        tenant = tenant_here(self.user, data["tenant"]) if data.get("tenant") else None
        project = project_here(self.user, data["project"]) if data.get("project") else None
        self.require(tenant=tenant.pk if tenant else None)
        user = User.objects.in_scope(scope_of(self.user, "user.view")).filter(pk=data["user"]).first()
        if user is None:
            raise NotFound("There is no such user.")
        role = Role(data["role"])
        return self.created(lambda: members.add(by=self.user, user=user, role=role, tenant=tenant, project=project))

    def destroy(self, request: Request, pk: str) -> Response:
        membership = self.get_object()
        self.require(membership)
        members.remove(by=self.user, membership=membership)
        return Response(status=204)


class TokenSerializer(serializers.ModelSerializer[AccessToken]):
    tenant = serializers.UUIDField(source="tenant_id", allow_null=True)

    class Meta:
        model = AccessToken
        fields = [
            "id", "name", "prefix", "scopes", "tenant", "expires_at", "last_used_at", "revoked_at", "created_at",
            "version",
        ]  # fmt: skip


class NewTokenSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=100)
    scopes = serializers.ListField(child=serializers.CharField(max_length=64), min_length=1, max_length=50)
    days = serializers.IntegerField(min_value=1, max_value=tokens.LONGEST_DAYS)
    tenant = serializers.UUIDField(required=False, allow_null=True)


class TokenWithSecretSerializer(TokenSerializer):
    """The secret is in this answer and nowhere else."""

    secret = serializers.CharField()

    class Meta(TokenSerializer.Meta):
        fields = [*TokenSerializer.Meta.fields, "secret"]


class TokenViewSet(ReadMixin, ResourceViewSet):
    """One's own tokens; nobody sees another's."""

    queryset = AccessToken.objects.all()
    serializer_class = TokenSerializer
    permissions = {
        "list": "token.view",
        "retrieve": "token.view",
        "create": "token.edit",
        "revoke": "token.edit",
    }

    def get_queryset(self) -> Any:
        return AccessToken.objects.filter(user=self.user.pk)

    @extend_schema(request=NewTokenSerializer, responses={201: TokenWithSecretSerializer})
    def create(self, request: Request) -> Response:
        """Make a token. The answer to a repeated request shows no secret: it was shown once."""
        data = self.valid(NewTokenSerializer)
        tenant = tenant_here(self.user, data.pop("tenant")) if data.get("tenant") else None
        data.pop("tenant", None)
        if request.auth is not None:
            raise NotAllowed("A token cannot make tokens; sign in for that.")
        secrets: list[str] = []

        def make() -> Response:
            token, secret = tokens.create(by=self.user, user=self.user, tenant=tenant, **data)
            secrets.append(secret)
            return Response({**TokenSerializer(token).data, "secret": ""}, status=201)

        answer = once(request, make)
        if secrets and isinstance(answer.data, dict):
            answer.data["secret"] = secrets[0]  # after the answer was stored: the secret itself never is
        return answer

    @extend_schema(request=None, responses={202: TokenSerializer})
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, pk: str) -> Response:
        return self.answer(tokens.revoke(by=self.user, token=self.get_object()), 202)
