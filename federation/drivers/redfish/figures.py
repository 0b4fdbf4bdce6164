"""Power and temperature: of each accelerator, of the whole server, and whatever its sensors say.

One report holds all of it where there is one; else each chassis is asked, by the old schema (Power, Thermal) or the new
(EnvironmentMetrics, ThermalSubsystem). A figure that is not there is None, never zero.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from federation.drivers.abilities import Reading
from federation.drivers.base import Health
from federation.drivers.redfish.devices import health_of, text
from federation.drivers.redfish.wire import Line, inner, listed, path_of

_MOST_READINGS = 500
# What a sensor's name says that it measures, where a report gives no unit. The last word counts: "TEMP_0" is one.
_UNITS = {
    "power": "W", "pwr": "W", "cpupower": "W", "socpower": "W", "temp": "Cel", "energy": "J", "volt": "V",
    "fan": "{rpm}", "edpc": "W", "enforcededpc": "W", "enforcededpp": "W", "coldplate": "V", "manifold": "V",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Figure:
    """What one thing draws and how warm it is."""

    watts: float | None = None
    celsius: float | None = None
    joules: float | None = None  # since its controller began to count


async def measured(line: Line, seen: Mapping[str, Any]) -> tuple[list[Figure], Figure]:
    """Of each accelerator in its order, and of the server. Raises Silent."""
    values = await _reported(line, seen)
    cards = []
    for chassis, metrics in seen.get("figures", ()):
        figure = _from_report(values, chassis)
        if figure.watts is None and (body := await line.find({"@odata.id": metrics or _metrics(chassis)})):
            figure = _from_metrics(body, figure)
        cards.append(figure)
    return cards, await _of_server(line, seen, values)


async def readings(line: Line, seen: Mapping[str, Any]) -> list[Reading]:
    """Every sensor that can be read now, each name once. Raises Silent."""
    found: dict[str, Reading] = {}
    for path, value in (await _reported(line, seen)).items():
        name = path.rpartition("/")[2]
        found.setdefault(name, Reading(name, value, _unit(name)))
    for chassis in seen.get("chassis", ()):
        for reading in await _in_chassis(line, chassis):
            found.setdefault(reading.name, reading)
    for (chassis, metrics), device in zip(seen.get("figures", ()), seen.get("devices", ()), strict=True):
        if found and any(chassis and key.startswith(chassis.rpartition("/")[2]) for key in found):
            continue
        figure = _from_metrics(await line.find({"@odata.id": metrics or _metrics(chassis)}) or {}, Figure())
        for unit, of in (("W", figure.watts), ("Cel", figure.celsius), ("J", figure.joules)):
            if of is not None:
                name = f"{device['uuid']} {unit}"
                found[name] = Reading(name, of, unit)
    return list(found.values())[:_MOST_READINGS]


async def _reported(line: Line, seen: Mapping[str, Any]) -> dict[str, float]:
    """The values of all reports by the path of their sensor; those the controller calls stale are left out."""
    values: dict[str, float] = {}
    for path in seen.get("reports", ()):
        for item in listed(await line.find({"@odata.id": path}) or {}, "MetricValues"):
            if not isinstance(item, Mapping) or inner(item, "Oem", "Nvidia").get("MetricValueStale") is True:
                continue
            value, where = number(item.get("MetricValue")), item.get("MetricProperty")
            if value is not None and isinstance(where, str):
                values[where.partition("#")[0]] = value
    return values


def _from_report(values: Mapping[str, float], chassis: str) -> Figure:
    """TEMP_0 is the chip; TEMP_1 is how far it is from slowing down, and DRAM has its own."""
    if not chassis:
        return Figure()
    place = f"{chassis}/Sensors/{chassis.rpartition('/')[2]}"
    return Figure(values.get(f"{place}_Power_0"), values.get(f"{place}_TEMP_0"), values.get(f"{place}_Energy_0"))


def _from_metrics(body: Mapping[str, Any], known: Figure) -> Figure:
    joules = number(inner(body, "EnergyJoules").get("Reading"))
    hours = number(inner(body, "EnergykWh").get("Reading"))
    return Figure(
        number(inner(body, "PowerWatts").get("Reading")) if known.watts is None else known.watts,
        _celsius(inner(body, "TemperatureCelsius")) if known.celsius is None else known.celsius,
        joules if joules is not None else None if hours is None else hours * 3_600_000,
    )


def _celsius(excerpt: Mapping[str, Any]) -> float | None:
    """Some controllers of NVIDIA's give TEMP_1 here, which is no temperature but what is left until the chip slows."""
    is_margin = str(excerpt.get("DataSourceUri") or "").endswith("_TEMP_1")
    return None if is_margin else number(excerpt.get("Reading"))


async def _of_server(line: Line, seen: Mapping[str, Any], values: Mapping[str, float]) -> Figure:
    total = next((value for path, value in values.items() if path.endswith("TotalHSC_Power_0")), None)
    figure = Figure(watts=total)
    for chassis in seen.get("chassis", ()):
        if figure.watts is not None:
            break
        if body := await line.find({"@odata.id": chassis.get("EnvironmentMetrics")}):
            figure = _from_metrics(body, figure)
        if figure.watts is None and (body := await line.find({"@odata.id": chassis.get("Power")})):
            drawn = (number(part.get("PowerConsumedWatts")) for part in _objects(body, "PowerControl"))
            figure = Figure(next((watts for watts in drawn if watts is not None), None), figure.celsius, figure.joules)
    return figure


async def _in_chassis(line: Line, chassis: Mapping[str, str]) -> list[Reading]:
    found: list[Reading] = []
    place = chassis["path"].rpartition("/")[2]
    if body := await line.find({"@odata.id": chassis.get("EnvironmentMetrics")}):
        figure = _from_metrics(body, Figure())
        told = ((f"{place} power", figure.watts, "W"), (f"{place} temperature", figure.celsius, "Cel"))
        found += [Reading(name, value, unit) for name, value, unit in (*told, (f"{place} energy", figure.joules, "J"))
                  if value is not None]  # fmt: skip
    if body := await line.find({"@odata.id": chassis.get("Power")}):
        found += _sensors(body, "PowerControl", "PowerConsumedWatts", "W", place)
        found += _sensors(body, "Voltages", "ReadingVolts", "V", place)
    if body := await line.find({"@odata.id": chassis.get("Thermal")}):
        found += _sensors(body, "Temperatures", "ReadingCelsius", "Cel", place)
        for fan in _objects(body, "Fans"):
            unit = "%" if fan.get("ReadingUnits") == "Percent" else "{rpm}"
            found += _sensors({"Fans": [fan]}, "Fans", "Reading", unit, place)
    if body := await line.find({"@odata.id": chassis.get("ThermalSubsystem")}):
        for part in _objects(await line.find(body.get("ThermalMetrics")) or {}, "TemperatureReadingsCelsius"):
            name, value = text(part.get("DeviceName")), number(part.get("Reading"))
            if name and value is not None:
                found.append(Reading(name, value, "Cel"))
    return found


def _sensors(body: Mapping[str, Any], key: str, value_key: str, unit: str, place: str) -> Iterable[Reading]:
    for index, part in enumerate(_objects(body, key)):
        value = number(part.get(value_key))
        if value is not None:
            name = text(part.get("Name")) or text(part.get("MemberId")) or str(index)
            yield Reading(f"{place} {name}", value, unit, health_of(part) != Health.UNHEALTHY)


def _objects(body: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    return [part for part in listed(body, key) if isinstance(part, Mapping)]


def _metrics(chassis: str) -> str:
    return f"{chassis}/EnvironmentMetrics" if path_of({"@odata.id": chassis}) else ""


def _unit(name: str) -> str:
    words = [word for word in name.lower().split("_") if not word.isdigit()]
    return next((_UNITS[word] for word in reversed(words) if word in _UNITS), "1")


def number(value: Any) -> float | None:
    """A figure that can be true: controllers write numbers as text, and "nan" where they know none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except ValueError:
        return None
    return found if math.isfinite(found) and abs(found) < 1e15 else None
