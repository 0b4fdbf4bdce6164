"""What is done to a server by its controller: switched, told what to start from, given an image, marked."""

from collections.abc import Mapping
from typing import Any

from federation.drivers.abilities import Power
from federation.drivers.base import Boot, BootFrom, Rejected
from federation.drivers.redfish.tree import state_of
from federation.drivers.redfish.wire import Line, Refused
from federation.drivers.redfish.words import BOOT

TAG = "aquifer:"


async def look(line: Line, seen: Mapping[str, Any]) -> dict[str, Any]:
    """The server's own state now. Raises Silent, Refused."""
    return state_of(await line.get(seen["system"]))


async def switch(line: Line, seen: Mapping[str, Any], *words: str) -> None:
    """By the first of these words that the controller knows. One that is already there is no error."""
    reset = seen["reset"]
    if not reset["target"]:
        raise Rejected("NotSupported", "The management controller cannot switch this server.")
    word = next((word for word in words if word in reset["words"]), words[0] if not reset["words"] else "")
    if not word:
        raise Rejected("NotSupported", f"The management controller knows none of: {', '.join(words)}.")
    try:
        await line.ask("POST", reset["target"], {"ResetType": word})
    except Refused as refused:
        # Some say 400 or 409 when the server is as it should be; whoever asked looks at its power again.
        if refused.status not in (400, 409):
            raise


async def turn_on(line: Line, seen: Mapping[str, Any]) -> None:
    await switch(line, seen, "On", "ForceOn")


async def shut_down(line: Line, seen: Mapping[str, Any], *, is_hard: bool) -> None:
    await switch(line, seen, *(("ForceOff", "PushPowerButton") if is_hard else ("GracefulShutdown", "ForceOff")))


async def start_from(line: Line, seen: Mapping[str, Any], boot_from: BootFrom) -> None:
    """Once: a server that restarts by itself starts from its disk. A controller that cannot say so is Rejected."""
    word = BOOT[boot_from]
    if seen["boots"] and word not in seen["boots"]:
        word = "Usb" if word == "Cd" and "Usb" in seen["boots"] else ""
    if not word:
        raise Rejected("NotSupported", f"The management controller cannot start this server from {boot_from.value}.")
    enabled = "Continuous" if boot_from == BootFrom.DISK else "Once"
    body = {"Boot": {"BootSourceOverrideEnabled": enabled, "BootSourceOverrideTarget": word}}
    try:
        await line.ask("PATCH", seen["system"], body)
    except Refused as refused:
        # What starts from its disk does so anyway; anything else must have been heard.
        if boot_from != BootFrom.DISK or not (refused.is_unsupported or refused.status == 400):
            raise


async def insert(line: Line, seen: Mapping[str, Any], images: list[str]) -> None:
    """Each image into a drive of its own, by its address."""
    if len(images) > len(seen["media"]):
        raise Rejected(
            "NotSupported",
            f"{len(images)} images are to be put in, and the management controller has {len(seen['media'])} drives "
            "that take one from an address.",
        )
    for drive, image in zip(seen["media"], images, strict=False):
        shown = await line.get(drive["path"])
        if shown.get("Inserted") is True and shown.get("Image") == image:
            continue
        if shown.get("Inserted") is True and drive["eject"]:
            await line.ask("POST", drive["eject"], {})
        await line.ask("POST", drive["insert"], {"Image": image, "Inserted": True, "WriteProtected": True})


async def clear(line: Line, seen: Mapping[str, Any]) -> None:
    """Nothing of one tenant stays in the drives or in what the next start is from. Raises Silent, Refused."""
    for drive in seen["media"]:
        shown = await line.find({"@odata.id": drive["path"]}) or {}
        if shown.get("Inserted") is True and drive["eject"]:
            await line.ask("POST", drive["eject"], {})
    try:
        await line.ask("PATCH", seen["system"], {"Boot": {"BootSourceOverrideEnabled": "Disabled"}})
    except Refused as refused:
        if not (refused.is_unsupported or refused.status == 400):
            raise


async def mark(line: Line, seen: Mapping[str, Any], ref: str) -> None:
    """The lease on the server itself, where another hub would see it; empty takes it off."""
    await line.ask("PATCH", seen["system"], {"AssetTag": f"{TAG}{ref}" if ref else ""})


def other_mark(seen: Mapping[str, Any], ref: str) -> str:
    """The ref of somebody else's lease that is marked there."""
    tag = str(seen.get("tag") or "")
    return tag.removeprefix(TAG) if tag.startswith(TAG) and tag != f"{TAG}{ref}" else ""


def is_on(state: Mapping[str, Any]) -> bool:
    return bool(state["power"] == Power.ON)


def is_off(state: Mapping[str, Any]) -> bool:
    return bool(state["power"] == Power.OFF)


def images_of(boot: Boot | None, seed: str) -> list[str]:
    own = [boot.image_url] if boot is not None and boot.boot_from == BootFrom.VIRTUAL_MEDIA and boot.image_url else []
    return own + ([seed] if seed else [])
