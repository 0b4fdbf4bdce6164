"""What things of ours are called at the host, made from the ref alone."""

import re
from hashlib import sha256

WORK_SPACE = "urn:aquifer:kvm:work:1"  # of the metadata that says what the hub asked for
COURSE_SPACE = "urn:aquifer:kvm:course:1"  # of the metadata that says what has become of it
PREFIX = "aquifer-"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def name_of(ref: str) -> str:
    """Of the domain, and of its volumes but for their ending. Refs that make no good name are hashed."""
    return PREFIX + (ref if _PLAIN.fullmatch(ref) else f"ref.{_hashed(ref)}")


def mark_of(ref: str) -> str:
    """How a removed ref is remembered."""
    return f"{PREFIX}gone.{_hashed(ref)}"


def _hashed(ref: str) -> str:
    return sha256(ref.encode(errors="surrogatepass")).hexdigest()[:40]


def is_writable(text: str) -> bool:
    """Can this be said in XML at all?"""
    return _NOT_XML.search(text) is None
