"""Management controllers of our own for tests: strict, with time that is moved, and with faults to order."""

import base64
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USER, PASSWORD = "root", "correct horse"
SYSTEM = "/redfish/v1/Systems/1"
_WORDS = ["On", "ForceOff", "GracefulShutdown", "ForceRestart"]


class Bmc:
    """One server's controller on loopback. Power follows `delay` seconds of `clock` after it was asked for."""

    delay = 2.0

    def __init__(self, clock: Callable[[], float], tree: dict[str, Any] | None = None, *, tls: Any = None) -> None:
        self.clock = clock
        self.tree: dict[str, Any] = tree if tree is not None else plain_tree()
        self.power = "Off"
        self.coming: tuple[str, float] | None = None
        self.is_deaf_to_shutdown = False
        self.asked: list[tuple[str, str, Any]] = []  # all that was written: method, path, body
        self.heard: list[str] = []  # paths of all requests
        self.statuses: dict[str, int] = {}  # by path: what is answered instead
        self.is_down = self.is_lossy = False
        self.silence = 0.0  # real seconds before each answer
        self._server = _server(self._answer, tls)
        self.port = self._server.server_address[1]
        self.server = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def settings(self, name: str) -> dict[str, Any]:
        return {"name": name, "server": self.server, "address": "127.0.0.1"}

    def now_power(self) -> str:
        if self.coming is not None and self.clock() >= self.coming[1]:
            self.power, self.coming = self.coming[0], None
        return self.power

    def close(self) -> None:
        _close(self._server)

    def _answer(self, ask: BaseHTTPRequestHandler, body: Any) -> tuple[int, Any] | None:
        time.sleep(self.silence)
        path = ask.path.rstrip("/") or "/"
        self.heard.append(path)
        if self.is_down:
            return None
        wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if ask.headers.get("Authorization") != wanted:
            return 401, _error("Who are you?")
        if path in self.statuses:
            return self.statuses[path], _error("This went wrong.")
        if ask.command == "GET":
            return self._get(path)
        self.asked.append((ask.command, path, body))
        found = self._write(ask.command, path, body)
        return None if self.is_lossy else found

    def _get(self, path: str) -> tuple[int, Any]:
        if path not in self.tree:
            return 404, _error(f"There is no {path}.")
        found = {"@odata.id": path, **self.tree[path]}
        if path == SYSTEM:
            found["PowerState"] = self.now_power()
        return 200, found

    def _write(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if method == "POST" and path == f"{SYSTEM}/Actions/ComputerSystem.Reset":
            return self._reset(body.get("ResetType"))
        if method == "PATCH" and path == SYSTEM and set(body) <= {"Boot", "AssetTag"}:
            allowed = self.tree[SYSTEM]["Boot"]["BootSourceOverrideTarget@Redfish.AllowableValues"]
            target = body.get("Boot", {}).get("BootSourceOverrideTarget")
            if target is not None and target not in allowed:
                return 400, _error("This is no boot source.")
            if len(body.get("AssetTag", "")) > 63:
                return 400, _error("Too long.")
            for key, value in body.items():
                self.tree[SYSTEM][key] = {**self.tree[SYSTEM][key], **value} if isinstance(value, dict) else value
            return 204, None
        drive, _, action = path.partition("/Actions/VirtualMedia.")
        if method == "POST" and drive in self.tree and action:
            return self._media(self.tree[drive], action, body)
        return 405, _error("Not here.")

    def _reset(self, word: Any) -> tuple[int, Any]:
        if word not in _WORDS:
            return 400, _error("I do not know this word.")
        is_on = self.now_power() == "On"
        if (word == "On") == is_on and word != "ForceRestart":
            return 409, _error("It is so already.")
        if not (word == "GracefulShutdown" and self.is_deaf_to_shutdown):
            self.coming = ("Off" if word in ("ForceOff", "GracefulShutdown") else "On", self.clock() + self.delay)
        return 204, None

    def _media(self, drive: dict[str, Any], action: str, body: Any) -> tuple[int, Any]:
        if action == "EjectMedia":
            drive.update(Inserted=False, Image=None)
            return 204, None
        if drive["Inserted"]:
            return 409, _error("There is something in it.")
        if not str(body.get("Image", "")).startswith(("http://", "https://")):
            return 400, _error("No image there.")
        drive.update(Inserted=True, Image=body["Image"])
        return 204, None


class HookServer:
    """The operator's own programs: each hook says what it is told to say."""

    def __init__(self, tls: Any = None) -> None:
        self.answers: dict[str, list[tuple[int, Any]]] = {}  # by name, one after the other; the last stays
        self.asked: list[tuple[str, Any, dict[str, str], bytes]] = []
        self._server = _server(self._answer, tls)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_address[1]}"

    def settings(self, *names: str) -> dict[str, Any]:
        return {name: {"url": f"{self.url}/{name}", "address": "127.0.0.1"} for name in names}

    def close(self) -> None:
        _close(self._server)

    def _answer(self, ask: BaseHTTPRequestHandler, body: Any) -> tuple[int, Any] | None:
        name = ask.path.strip("/")
        self.asked.append((name, body, dict(ask.headers.items()), ask.raw))  # type: ignore[attr-defined]  # ours
        answers = self.answers.get(name) or [(200, {})]
        return answers.pop(0) if len(answers) > 1 else answers[0]


def plain_tree(cards: int = 0, *, uuid: Callable[[int], str] = lambda i: f"card-{i}") -> dict[str, Any]:
    """One server with two drives for images, and some cards."""
    processors = f"{SYSTEM}/Processors"
    media = "/redfish/v1/Managers/1/VirtualMedia"
    return {
        "/redfish/v1": {"RedfishVersion": "1.15.0", "Systems": {"@odata.id": "/redfish/v1/Systems"}},
        "/redfish/v1/Systems": {"Members": [{"@odata.id": SYSTEM}]},
        SYSTEM: {
            "Id": "1", "Manufacturer": "Acme", "Model": "S1", "SerialNumber": "S-0001", "AssetTag": "",
            "ProcessorSummary": {"CoreCount": 64}, "MemorySummary": {"TotalSystemMemoryGiB": 512},
            "Status": {"Health": "OK"}, "Processors": {"@odata.id": processors},
            "Boot": {"BootSourceOverrideTarget@Redfish.AllowableValues": ["None", "Pxe", "Hdd", "Cd"]},
            "Links": {"ManagedBy": [{"@odata.id": "/redfish/v1/Managers/1"}],
                      "Chassis": [{"@odata.id": "/redfish/v1/Chassis/1"}]},
            "Actions": {"#ComputerSystem.Reset": {"target": f"{SYSTEM}/Actions/ComputerSystem.Reset",
                                                  "ResetType@Redfish.AllowableValues": list(_WORDS)}},
        },
        processors: {"Members": [{"@odata.id": f"{processors}/GPU{i}"} for i in range(cards)]},
        **{
            f"{processors}/GPU{i}": {
                "Id": f"GPU{i}", "ProcessorType": "GPU", "Manufacturer": "NVIDIA", "SerialNumber": uuid(i),
                "Model": "NVIDIA A100-SXM4-80GB", "Status": {"Health": "OK"},
                "Links": {"Chassis": {"@odata.id": f"/redfish/v1/Chassis/GPU{i}"}},
            }
            for i in range(cards)
        },
        **{
            f"/redfish/v1/Chassis/GPU{i}/EnvironmentMetrics": {
                "PowerWatts": {"Reading": 300.5 + i}, "TemperatureCelsius": {"Reading": 40}
            }
            for i in range(cards)
        },
        "/redfish/v1/Chassis/1": {"Power": {"@odata.id": "/redfish/v1/Chassis/1/Power"},
                                  "Thermal": {"@odata.id": "/redfish/v1/Chassis/1/Thermal"}},
        "/redfish/v1/Chassis/1/Power": {"PowerControl": [{"Name": "Server", "PowerConsumedWatts": 1250}]},
        "/redfish/v1/Chassis/1/Thermal": {
            "Temperatures": [{"Name": "Inlet", "ReadingCelsius": 24}, {"Name": "Absent", "ReadingCelsius": None}],
            "Fans": [{"Name": "Fan 1", "Reading": 9000, "Status": {"Health": "Critical"}}],
        },
        "/redfish/v1/Managers/1": {"VirtualMedia": {"@odata.id": media}},
        media: {"Members": [{"@odata.id": f"{media}/{n}"} for n in (1, 2)]},
        **{
            f"{media}/{n}": {
                "MediaTypes": ["CD"], "Inserted": False, "Image": None,
                "Actions": {f"#VirtualMedia.{verb}": {"target": f"{media}/{n}/Actions/VirtualMedia.{verb}"}
                            for verb in ("InsertMedia", "EjectMedia")},
            }
            for n in (1, 2)
        },
    }  # fmt: skip


def _error(message: str) -> dict[str, Any]:
    return {"error": {"code": "Base.1.0.GeneralError", "message": message}}


Answer = Callable[[BaseHTTPRequestHandler, Any], tuple[int, Any] | None]


def _server(answer: Answer, tls: Any) -> ThreadingHTTPServer:
    class Ask(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        raw = b""

        def setup(self) -> None:
            if tls is not None:  # here and not at accept: a bad handshake is this thread's alone
                self.request = tls.wrap_socket(self.request, server_side=True)
            super().setup()

        def finish(self) -> None:
            super().finish()
            if tls is not None:
                self.request.close()

        def _take(self) -> None:
            self.raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found = answer(self, json.loads(self.raw) if self.raw else None)
            if found is None:
                self.close_connection = True
                return
            data = b"" if found[1] is None else json.dumps(found[1]).encode()
            self.send_response(found[0])
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = _take

        def log_message(self, format: str, *args: Any) -> None:
            """Tests say what went wrong."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that hangs up is no error here."""

    server = Server(("127.0.0.1", 0), Ask)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server


def _close(server: ThreadingHTTPServer) -> None:
    server.shutdown()
    server.server_close()
