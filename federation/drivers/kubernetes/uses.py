"""Who holds what of a node's devices: written into its picture, so that what is foreign is not given away.

Named devices first, by HAMi, by claims, by device plugins. Then the counted ones, of which nobody outside knows which
card they are on: foreign work is put on the highest positions that ours do not name, and devices that the node does not
hand out (unhealthy ones) on the highest of all. What fits nowhere is told.
"""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from math import ceil
from typing import Any

from federation.drivers.base import Health
from federation.drivers.kubernetes import quantities
from federation.drivers.kubernetes.counted import Pool
from federation.drivers.kubernetes.devices import Devices
from federation.drivers.kubernetes.dra import Claimable
from federation.drivers.kubernetes.pods import PodHeld, Told, is_of_ours
from federation.drivers.kubernetes.shapes import rows, table, word
from federation.drivers.kubernetes.sights import Sight
from federation.drivers.kubernetes.tokens import Role, token

_BESIDE = (Role.NOTHING, Role.BESIDE)


def put(
    devices: Devices, held: Sequence[PodHeld], claims: Iterable[Mapping[str, Any]], problems: list[str]
) -> list[str]:
    """Write the use of pods and claims on this node into its devices; say, for people, what there is no room for."""
    crowded = []
    for pod in held:
        if pod.is_ours:
            _put_ours(devices, pod)
    counts: dict[str, int] = {}
    for pod in held:
        if not pod.is_ours:
            _put_named(devices, pod, counts, problems)
    if devices.claimable:
        _put_claims(devices, claims, {pod.uid for pod in held if pod.is_ours})
    done: set[int] = set()
    for pool in devices.pools.values():
        if pool.unhealthy and not done & {id(sight) for sight in pool.sights}:
            _mark_unhealthy(pool)
            done |= {id(sight) for sight in pool.sights}
    for resource, units in counts.items():
        left = _put_counted(devices.pools.get(resource), units)
        if left:
            crowded.append(f"foreign work holds {left} of {resource} that no card here has room for")
    for sight in devices.sights:
        if 0 < sight.most_shares <= sight.foreign_holders:
            sight.foreign_milli = 1000  # however little they hold, the site lets nobody else in
        if sight.is_crowded:
            crowded.append(f"foreign work holds more of {sight.uuid} than there is")
    return crowded


def _put_ours(devices: Devices, pod: PodHeld) -> None:
    granted = False
    for device in pod.devices:
        if device.told is Told.GRANT and (sight := devices.names.get(device.name.lower())):
            sight.ours_milli += device.units
            granted = True
    if granted:
        return
    for device in pod.devices:  # our annotation is gone or older than the cards: what others say of it
        if device.told is not Told.COUNT and (sight := devices.names.get(device.name.lower())):
            sight.ours_milli += _share(sight, device.units, device.memory_mib)[0]


def _put_named(devices: Devices, pod: PodHeld, counts: dict[str, int], problems: list[str]) -> None:
    told = set()  # vendors whose devices the pod names: what it counts of them is the same again
    for device in pod.devices:
        if device.told is Told.GRANT or device.told is Told.COUNT:
            continue
        sight = devices.names.get(device.name.lower())
        if sight is None:
            if device.told is Told.HAMI:
                problems.append(f"{pod.namespace}/{pod.name} holds {device.name}, which is not seen")
            continue
        told.add(device.vendor)
        if device.told is Told.PLUGIN:
            _hold(sight, 1000, sight.memory_mib)
        else:
            _hold(sight, *_share(sight, device.units, device.memory_mib))
    roles: dict[str, set[Role]] = {}
    asked = []
    for device in pod.devices:
        if device.told is Told.COUNT:
            kind = token(device.name)
            if kind.role not in _BESIDE and kind.vendor not in told:
                roles.setdefault(kind.vendor, set()).add(kind.role)
                asked.append((kind, device))
    for kind, device in asked:
        # A share is asked for together with its cores: one of the two is enough.
        if kind.role is Role.SHARE and Role.CORES in roles[kind.vendor]:
            continue
        counts[device.name] = counts.get(device.name, 0) + device.units


def _share(sight: Sight, cores: int, memory_mib: int) -> tuple[int, int]:
    """Thousandths and MiB of a card that so many cores and MiB are, as the site counts them.

    Memory may be overcommitted: the card's own is then less than the site's. Work without a limit of its cores takes
    what it takes; it counts by its memory, so that no whole card is given beside it.
    """
    registered = sight.memory_as_held
    memory = memory_mib
    if registered > sight.memory_mib > 0:
        memory = -(-memory_mib * sight.memory_mib // registered)
    milli = -(-cores * 1000 // max(sight.cores_of, 1))
    if not cores:
        milli = -(-memory * 1000 // sight.memory_mib) if sight.memory_mib else 1000
    return max(milli, 1), memory


def _hold(sight: Sight, milli: int, memory_mib: int, holders: int = 1) -> None:
    sight.foreign_holders += holders
    sight.foreign_milli += milli
    sight.foreign_memory_mib += memory_mib
    if sight.foreign_milli > 1000 or sight.foreign_memory_mib > sight.memory_mib > 0:
        sight.is_crowded = True
    sight.foreign_milli = min(sight.foreign_milli, 1000)
    sight.foreign_memory_mib = min(sight.foreign_memory_mib, sight.memory_mib)


# -- claims --------------------------------------------------------------------------------------------------------


def _put_claims(devices: Devices, claims: Iterable[Mapping[str, Any]], our_pods: set[str]) -> None:
    for claim in map(table, claims):
        status = table(claim.get("status"))
        results = rows(table(table(status.get("allocation")).get("devices")).get("results"))
        if not results:
            continue
        users = {word(table(each).get("uid")) for each in rows(status.get("reservedFor"))}
        is_ours = is_of_ours(table(claim.get("metadata"))) or bool(users & our_pods)
        for result in map(table, results):
            if result.get("adminAccess") is True:  # looks on, and holds nothing
                continue
            key = (word(result.get("driver")), word(result.get("pool")), word(result.get("device")))
            claimable = devices.claimable.get(key)
            if claimable is None:
                continue
            milli, memory = _claimed(claimable, table(result.get("consumedCapacity")))
            if is_ours:
                claimable.sight.ours_milli += milli
            else:
                _hold(claimable.sight, milli, memory)


def _claimed(claimable: Claimable, consumed: Mapping[str, Any]) -> tuple[int, int]:
    """Thousandths and MiB of the card. All of it unless it is shared; the largest part of any capacity counts."""
    sight = claimable.sight
    if claimable.is_partial or not consumed or not sight.capacity:
        return 1000, sight.memory_mib
    part, memory = Fraction(0), Fraction(0)
    for key, amount in consumed.items():
        name = key.rpartition("/")[2]
        total = sight.capacity.get(name)
        try:
            taken = quantities.exact(amount)
        except ValueError:
            return 1000, sight.memory_mib
        if total and name == "memory":
            memory = taken / total
        elif total:
            part = max(part, taken / total)
    part = part or memory
    milli = min(-(-part.numerator * 1000 // part.denominator), 1000)
    of_memory = min(memory or part, Fraction(1))
    return max(milli, 1), ceil(sight.memory_mib * of_memory)


# -- counted -------------------------------------------------------------------------------------------------------


def _mark_unhealthy(pool: Pool) -> None:
    last_first = sorted(pool.sights, key=lambda s: (s.ours_milli > 0, -(s.index or 0)))
    for sight in last_first[: pool.unhealthy]:
        if not sight.is_identified:
            sight.health = Health.UNHEALTHY


def _put_counted(pool: Pool | None, units: int) -> int:
    """Put foreign units on devices; returns how many fit nowhere."""
    if pool is None:
        return units
    step = Fraction(1000, pool.per_device)
    # What is unhealthy holds no work, as far as anybody knows; it comes last, and what ours hold comes after that.
    order = sorted(pool.sights, key=lambda s: (s.ours_milli > 0, s.health is Health.UNHEALTHY, -(s.index or 0)))
    for sight in order:
        free = 1000 - sight.foreign_milli - sight.ours_milli
        room = min(int((free + _ROUNDING) / step), pool.per_device) if free > 0 else 0
        if sight.step_milli == 1000 and pool.per_device == 1 and free < 1000:
            room = 0  # a whole card has no second holder
        taken = min(room, units)
        if taken:
            milli = min(-(-taken * 1000 // pool.per_device), free)
            _hold(sight, milli, sight.memory_mib * milli // 1000, 0 if pool.is_amount else taken)
            units -= taken
        if not units:
            break
    return units


_ROUNDING = 3  # thirds and sevenths of 1000 do not come out even
