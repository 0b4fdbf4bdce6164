"""What seals the secrets of sites: one vault, with the keys of this installation."""

from functools import lru_cache

from django.conf import settings

from portal.vault import Vault, read_keys


def vault() -> Vault:
    return _vault_of(settings.CREDENTIAL_KEYS)


@lru_cache(maxsize=8)
def _vault_of(keys: str) -> Vault:
    return Vault(read_keys(keys))
