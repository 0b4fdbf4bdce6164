"""What a vendor runs on each node, for cards that are not there: a device plugin and a DRA driver. A process.

    python -m tests.kube.plugin SETUP     SETUP is a file of JSON, see `Setup` in node.py

Who is asked to hand out cards does so like NVIDIA's own: the device plugin tells the container by the variable
NVIDIA_VISIBLE_DEVICES; the DRA driver prepares what was allocated to a claim, and keeps a file of it for tests.
SETUP is read again and again: `sick` and `is_published` may change while it runs.

The kubelet speaks gRPC; its few messages are written by hand here, as lists of numbered fields.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from tests.kube.api import Api, ApiError
from tests.kube.node import DRIVER, RESOURCE, Setup, uuid_of

_LOOK_SECONDS = 0.1


# -- messages: github.com/kubernetes/kubelet, pkg/apis/{deviceplugin/v1beta1,pluginregistration/v1,dra/v1} ------------


def pack(number: int, value: "str | bytes | int | Message") -> bytes:
    """One field of a message."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    content = value.data if isinstance(value, Message) else value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(content)) + content


@dataclass
class Message:
    """A message in its coded form: `Message.of((1, "name"), (2, True))`."""

    data: bytes = b""

    @classmethod
    def of(cls, *fields: "tuple[int, str | bytes | int | Message]") -> "Message":
        return cls(b"".join(pack(number, value) for number, value in fields))

    def all(self, number: int) -> "list[Message]":
        """The texts and messages of one number."""
        return [Message(value) for found, value in self._fields() if found == number]

    def text(self, number: int) -> str:
        return next((value.data.decode() for value in self.all(number)), "")

    def _fields(self) -> Iterator[tuple[int, bytes]]:
        at = 0
        while at < len(self.data):
            key, at = self._number(at)
            if key & 7 == 0:
                _, at = self._number(at)
            elif key & 7 == 2:
                size, at = self._number(at)
                yield key >> 3, self.data[at : at + size]
                at += size
            else:
                raise ValueError(f"field of kind {key & 7}")

    def _number(self, at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            byte = self.data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value, at


def _varint(value: int) -> bytes:
    coded = bytearray()
    while value > 127:
        coded.append(value & 127 | 128)
        value >>= 7
    return bytes([*coded, value])


Call = Callable[[Message], Message]


def serve(socket: Path, services: dict[str, dict[str, Call]], streams: dict[str, Any] | None = None) -> grpc.Server:
    """A gRPC server of {service: {method: call}}; `streams` are methods of the first service that go on answering."""
    socket.unlink(missing_ok=True)
    server = grpc.server(ThreadPoolExecutor(8))
    for service, calls in services.items():
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(lambda data, context, call=call: call(Message(data)).data)
            for name, call in calls.items()
        }
        for name, stream in (streams or {}).items():
            handlers[name] = grpc.unary_stream_rpc_method_handler(
                lambda data, context, stream=stream: (message.data for message in stream(context))
            )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    server.add_insecure_port(f"unix://{socket}")
    server.start()
    return server


# -- the two of them ---------------------------------------------------------------------------------------------------


class DevicePlugin:
    """Tells the kubelet of its cards again whenever the kubelet was started anew: it forgets all plugins then."""

    def __init__(self, told: Callable[[], Setup]) -> None:
        self._told = told
        self._folder = Path(told()["kubelet"]) / "device-plugins"
        self._server: grpc.Server | None = None
        self._known: tuple[int, int] | None = None

    def look(self) -> None:
        try:
            seen = (self._folder / "kubelet.sock").stat()
        except FileNotFoundError:
            return
        if (seen.st_ino, seen.st_ctime_ns) != self._known:
            try:
                self._register()
            except grpc.RpcError:
                return  # it does not listen yet
            self._known = (seen.st_ino, seen.st_ctime_ns)

    def _register(self) -> None:
        if self._server:
            self._server.stop(0)
        name = "aquifer.sock"
        calls = {
            "GetDevicePluginOptions": lambda _: Message(),
            "Allocate": self._allocate,
            "PreStartContainer": lambda _: Message(),
        }
        self._server = serve(self._folder / name, {"v1beta1.DevicePlugin": calls}, {"ListAndWatch": self._devices})
        asked = Message.of((1, "v1beta1"), (2, name), (3, RESOURCE))
        with grpc.insecure_channel(f"unix://{self._folder}/kubelet.sock") as channel:
            channel.unary_unary("/v1beta1.Registration/Register")(asked.data, timeout=5)

    def _devices(self, context: grpc.ServicerContext) -> Iterator[Message]:
        told: list[tuple[str, str]] = []
        while context.is_active():
            setup = self._told()
            now = [
                (uuid, "Unhealthy" if uuid in setup["sick"] else "Healthy") for uuid in map(uuid_of, setup["devices"])
            ]
            if now != told:
                told = now
                yield Message.of(*((1, Message.of((1, uuid), (2, health))) for uuid, health in now))
            time.sleep(_LOOK_SECONDS)

    @staticmethod
    def _allocate(asked: Message) -> Message:
        answers = []
        for container in asked.all(1):
            uuids = ",".join(each.data.decode() for each in container.all(1))
            answers.append(Message.of((1, Message.of((1, "NVIDIA_VISIBLE_DEVICES"), (2, uuids)))))
        return Message.of(*((1, answer) for answer in answers))


class DraDriver:
    """The kubelet finds it by its socket in `plugins_registry`, and asks it to prepare claims."""

    def __init__(self, told: Callable[[], Setup]) -> None:
        self._told = told
        self._is_registered = False
        self._published: list[dict[str, Any]] | None = None
        self._prepared: dict[str, list[str]] = {}
        self._lock = threading.Lock()
        setup = told()
        self._api = Api(setup["server"], setup["ca_pem"], setup["token"])
        (Path(setup["kubelet"]) / "plugins" / DRIVER).mkdir(parents=True, exist_ok=True)
        registry = Path(setup["kubelet"]) / "plugins_registry"
        registry.mkdir(parents=True, exist_ok=True)
        self._servers = [
            serve(
                Path(setup["kubelet"]) / "plugins" / DRIVER / "dra.sock",
                {
                    "k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin": {
                        "NodePrepareResources": lambda asked: self._each(asked, self._prepare),
                        "NodeUnprepareResources": lambda asked: self._each(asked, self._unprepare),
                    }
                },
            ),
            serve(
                registry / f"{DRIVER}-reg.sock",
                {
                    "pluginregistration.Registration": {
                        "GetInfo": self._info,
                        "NotifyRegistrationStatus": self._status,
                    }
                },
            ),
        ]

    def look(self) -> None:
        """Publishes, or takes back, the ResourceSlice. The kubelet removes those of drivers that it does not know."""
        setup = self._told()
        wanted = [device for device in setup["devices"] if uuid_of(device) not in setup["sick"]]
        wanted = wanted if setup["is_published"] and self._is_registered else []
        if wanted == self._published:
            return
        path = "/apis/resource.k8s.io/v1/resourceslices"
        name = f"{setup['node']}-{DRIVER}"
        try:
            self._api.delete(f"{path}/{name}")
            if wanted:
                node = self._api.get(f"/api/v1/nodes/{setup['node']}")["metadata"]
                owner = {"apiVersion": "v1", "kind": "Node", "name": node["name"], "uid": node["uid"]}
                pool = {"name": setup["node"], "generation": 1, "resourceSliceCount": 1}
                body = {"driver": DRIVER, "nodeName": setup["node"], "pool": pool, "devices": wanted}
                self._api.post(path, {"metadata": {"name": name, "ownerReferences": [owner]}, "spec": body})
        except (ApiError, OSError):
            return
        self._published = wanted

    def _info(self, _: Message) -> Message:
        # As the kubelet sees the folder.
        endpoint = f"/var/lib/kubelet/plugins/{DRIVER}/dra.sock"
        return Message.of((1, "DRAPlugin"), (2, DRIVER), (3, endpoint), (4, "v1.DRAPlugin"))

    def _status(self, told: Message) -> Message:
        if error := told.text(2):
            print(f"the kubelet does not want the DRA driver: {error}", file=sys.stderr, flush=True)
        else:
            self._published, self._is_registered = None, True  # a kubelet that is new has removed the slice
        return Message()

    def _each(self, asked: Message, do: Callable[[str, str, str], Message]) -> Message:
        answers = []
        for claim in asked.all(1):
            space, uid, name = (claim.text(number) for number in (1, 2, 3))
            answers.append((1, Message.of((1, uid), (2, do(space, uid, name)))))
        self._write()
        return Message.of(*answers)

    def _prepare(self, space: str, uid: str, name: str) -> Message:
        try:
            claim = self._api.get(f"/apis/resource.k8s.io/v1/namespaces/{space}/resourceclaims/{name}")
        except (ApiError, OSError) as error:
            return Message.of((2, str(error)))
        if claim["metadata"]["uid"] != uid:
            return Message.of((2, "the claim was made anew"))
        results = claim["status"]["allocation"]["devices"]["results"]
        mine = [result for result in results if result["driver"] == DRIVER]
        with self._lock:
            self._prepared[uid] = [result["device"] for result in mine]
        devices = [Message.of((1, one["request"]), (2, one["pool"]), (3, one["device"])) for one in mine]
        return Message.of(*((1, device) for device in devices))

    def _unprepare(self, space: str, uid: str, name: str) -> Message:
        with self._lock:
            self._prepared.pop(uid, None)
        return Message()

    def _write(self) -> None:
        path = Path(self._told()["prepared"])
        with self._lock:
            fresh = path.with_suffix(".new")
            fresh.write_text(json.dumps(self._prepared))
            fresh.rename(path)


def main(path: Path) -> None:
    def told() -> Setup:
        setup: Setup = json.loads(path.read_text())
        return setup

    os.umask(0o077)
    plugin, driver = DevicePlugin(told), DraDriver(told)
    while True:
        plugin.look()
        driver.look()
        time.sleep(_LOOK_SECONDS)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
