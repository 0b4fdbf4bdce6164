"""Messages to open browsers, over the channel layer. Best effort: it may be gone, and then browsers poll."""

import logging
import time
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

logger = logging.getLogger(__name__)
PLATFORM = "platform"


def send(stream: str, message: dict[str, Any]) -> None:
    """One message to everybody on a stream (`platform`, or a tenant's id)."""
    try:
        async_to_sync(get_channel_layer().group_send)(f"stream.{stream}", message)
    except Exception as error:  # whatever the layer's client raises; the rows are the truth
        logger.warning("Live updates are not delivered: %s", error)


def send_figures(cluster: str, at: str, devices: list[list[Any]]) -> None:
    """Figures of one cluster's devices: [id, busy %, memory used MiB, held 1/1000].

    `seq` rises with time, so a browser can drop a frame that is older than what it shows.
    """
    for start in range(0, max(len(devices), 1), 400):
        frame = {
            "type": "figures",
            "cluster": cluster,
            "seq": time.time_ns() // 1_000_000,
            "at": at,
            "d": devices[start : start + 400],
        }
        send(PLATFORM, {"type": "figures", "frame": frame})
