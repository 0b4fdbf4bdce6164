"""Secrets at rest: sealed with AES-256-GCM under a key that the database does not have, and bound to their place.

Pure: where keys come from is the business of `portal/settings.py`. What is sealed looks like `v1.<key id>.<base64>`.
"""

import base64
import binascii
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
_NONCE_BYTES = 12
_FORM = "v1"


class CannotOpen(Exception):
    """Sealed under a key that is not here, or for another place, or changed since. Never says which secret."""


@dataclass(frozen=True, slots=True)
class Key:
    raw: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """Names the key without telling it."""
        return hashlib.sha256(b"aquifer key id" + self.raw).hexdigest()[:8]


class Vault:
    """The first key seals, all of them open. Safe in many threads."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys = {key.id: AESGCM(key.raw) for key in keys}
        if not self._keys:
            raise ValueError("A vault needs a key.")
        self._current = next(iter(self._keys))

    def seal(self, data: bytes, *context: str) -> str:
        """`context` is where the secret belongs: whose it is, which field, which version. It is not stored."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._keys[self._current].encrypt(nonce, data, _bound(self._current, context))
        return f"{_FORM}.{self._current}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, *context: str) -> bytes:
        """What was sealed for exactly this context. Raises CannotOpen."""
        form, _, rest = sealed.partition(".")
        key_id, _, text = rest.partition(".")
        if form != _FORM or key_id not in self._keys:
            raise CannotOpen("The key that this was sealed with is not among the keys here.")
        try:
            packed = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
            return self._keys[key_id].decrypt(packed[:_NONCE_BYTES], packed[_NONCE_BYTES:], _bound(key_id, context))
        except (binascii.Error, ValueError, InvalidTag):
            raise CannotOpen("This was sealed for another place, or has been changed since.") from None

    def is_current(self, sealed: str) -> bool:
        """False: another key than the first sealed it."""
        return sealed.startswith(f"{_FORM}.{self._current}.")

    def reseal(self, sealed: str, *context: str) -> str:
        """The same under the first key. Raises CannotOpen."""
        return self.seal(self.open(sealed, *context), *context)


def _bound(key_id: str, context: tuple[str, ...]) -> bytes:
    """Each part with its length before it, so that no two contexts look alike."""
    if not context or not all(context):
        raise ValueError("A secret is sealed for a place: say which, and leave no part of it empty.")
    parts = [part.encode() for part in (_FORM, key_id, *context)]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def read_keys(text: str) -> tuple[Key, ...]:
    """Keys as they are written down: base64 of 32 bytes each, separated by commas. Raises ValueError."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    keys = []
    for position, word in enumerate(words, 1):
        try:
            raw = base64.b64decode(word.encode("ascii"), validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(f"key {position} is not base64") from None
        if len(raw) != KEY_BYTES:
            raise ValueError(f"key {position} has {len(raw)} bytes; it must have {KEY_BYTES}")
        keys.append(Key(raw))
    if not keys:
        raise ValueError("there is no key")
    if len(set(keys)) < len(keys):
        raise ValueError("a key is there twice")
    return tuple(keys)


def derived_key(secret: str) -> str:
    """A key made of another secret, for where nobody made one; as `read_keys` takes it."""
    raw = HKDF(SHA256(), KEY_BYTES, salt=None, info=b"aquifer credential key").derive(secret.encode())
    return base64.b64encode(raw).decode()
