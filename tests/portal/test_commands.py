"""Commands that let somebody in from the server itself."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from portal.models import User

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("command", ["access_token", "one_time_login"])
def test_the_first_admin_is_made_once_and_nobody_else_ever(command: str) -> None:
    User.objects.filter(username="admin").delete()
    for _ in range(2):
        out = StringIO()
        call_command(command, stdout=out)
        assert out.getvalue().strip()
    assert User.objects.filter(username="admin").count() == 1
    with pytest.raises(CommandError, match="There is no user nobody"):
        call_command(command, "--user", "nobody", stdout=StringIO())
    assert not User.objects.filter(username="nobody").exists()
