"""The smallest guest there is: a boot sector that says `tick` each second and goes off when asked to.

A real guest in a megabyte, up two seconds after its emulator: it hears the power button (ACPI), by which a host asks
a machine to shut down, and goes off by itself as a real system does.
"""

from pathlib import Path

_ORIGIN = 0x7C00
_LINE = b"tick\n\0"
_TICKS = 18  # of the timer, in a second


def boot_sector() -> bytes:
    code = bytearray()
    labels: dict[str, int] = {}
    jumps: list[tuple[int, str]] = []
    places: list[tuple[int, str]] = []

    def emit(*data: int) -> None:
        code.extend(data)

    def label(name: str) -> None:
        labels[name] = len(code)

    def jump(opcode: int, name: str) -> None:
        emit(opcode, 0)
        jumps.append((len(code) - 1, name))

    def place(name: str) -> None:
        emit(0, 0)
        places.append((len(code) - 2, name))

    emit(0xFA, 0x31, 0xC0, 0x8E, 0xD8)  # cli; ds = 0
    emit(0xBA, 0x02, 0x06, 0xB8, 0x00, 0x01, 0xEF, 0xFB)  # let the power button be told of; sti
    label("again")
    emit(0xBA, 0x00, 0x06, 0xED, 0xF6, 0xC4, 0x01)  # has it been pressed?
    jump(0x75, "off")
    emit(0xF4)  # hlt, until the next tick of the timer
    emit(0xFE, 0x06)  # count one more
    place("count")
    emit(0x80, 0x3E)
    place("count")
    emit(_TICKS)
    jump(0x72, "again")
    emit(0xC6, 0x06)
    place("count")
    emit(0x00)
    emit(0xBE)
    place("line")
    label("say")
    emit(0xAC, 0x84, 0xC0)
    jump(0x74, "again")
    emit(0xBA, 0xF8, 0x03, 0xEE)  # a byte to the serial line
    jump(0xEB, "say")
    label("off")
    emit(0xBA, 0x04, 0x06, 0xB8, 0x00, 0x20, 0xEF)  # sleep type 0 is off
    label("end")
    emit(0xF4)
    jump(0xEB, "end")
    label("count")
    emit(0)
    label("line")
    code.extend(_LINE)
    for at, name in jumps:
        code[at] = (labels[name] - at - 1) & 0xFF
    for at, name in places:
        code[at : at + 2] = (_ORIGIN + labels[name]).to_bytes(2, "little")
    return bytes(code).ljust(510, b"\0") + b"\x55\xaa"


def write_image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(boot_sector().ljust(1 << 20, b"\0"))
    return path
