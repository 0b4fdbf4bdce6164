"""Terms of requests on fleets that nobody thought of, against the plainest reading of the rules. Pure: no database."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from federation.placement.plan import Planner
from federation.placement.types import CPU_FLAVOR, DeviceFree, Fleet, NodeFree, Placement, Refusal, Request

MODELS = ("A100", "T4")
REGIONS = ("CN-SH", "CN-BJ", "US", "")
CLASSES = ("", "ib", "roce")
TOPOLOGIES = ("any", "site", "cluster", "rack", "network", "node")
PAIRS = [
    (topology, spread)
    for topology in TOPOLOGIES
    for spread in ("", "node", "rack", "site")
    if spread == ""
    or topology == "any"
    or (topology in ("site", "cluster", "network") and spread in ("node", "rack"))
    or (topology == "rack" and spread == "node")
]


@st.composite
def devices(draw: st.DrawFn, index: int, steps: Sequence[int]) -> DeviceFree:
    model = draw(st.sampled_from(MODELS))
    free = draw(st.sampled_from([0, 500, 1000, 1000]))
    return DeviceFree(
        index=index, flavor=model.lower(), model=model, vendor="nvidia", free_milli=free, free_memory_mib=4 * free,
        memory_mib=4000, can_share=True, step_milli=draw(st.sampled_from(steps)),
        mode=draw(st.sampled_from(["exclusive", "shared", "sliced"])), most_shares=draw(st.sampled_from([0, 0, 2])),
    )  # fmt: skip


@st.composite
def nodes(draw: st.DrawFn, name: str, steps: Sequence[int]) -> NodeFree:
    labels = {"zone": draw(st.sampled_from("ab")), "aquifer.io/network-class": draw(st.sampled_from(CLASSES))}
    site = draw(st.sampled_from(["east", "west"]))
    return NodeFree(
        id=name, name=name, cluster=draw(st.sampled_from("cd")), site=site, cpu_milli=draw(st.integers(0, 4)) * 1000,
        memory_mib=8000, devices=tuple(draw(devices(i, steps)) for i in range(draw(st.integers(0, 3)))),
        rack=draw(st.sampled_from(["", "r1", "r2"])), network=draw(st.sampled_from(["", "n1"])),
        labels={key: value for key, value in labels.items() if value}, is_open=draw(st.integers(0, 9)) > 0,
        total_cpu_milli=4000, total_memory_mib=8000, price=draw(st.sampled_from([1.0, 2.0])),
        carbon=draw(st.sampled_from([0.0, 5.0])), region="CN-SH" if site == "east" else draw(st.sampled_from(REGIONS)),
    )  # fmt: skip


@st.composite
def terms(draw: st.DrawFn) -> dict[str, object]:
    """Of one member. Most are left out, or nothing would ever fit."""
    wanted: dict[str, st.SearchStrategy[object]] = {
        "regions": st.sampled_from([frozenset({"CN"}), frozenset({"US"}), frozenset({"cn-sh", "US"})]),
        "labels": st.sampled_from([{"zone": "a"}, {"zone": "b", "aquifer.io/network-class": "ib"}]),
        "network_class": st.sampled_from(["ib", "roce"]),
        "modes": st.sampled_from([frozenset({"exclusive"}), frozenset({"shared", "sliced"})]),
        "prefer": st.sampled_from(["money", "energy"]),
    }
    return {name: draw(strategy) for name, strategy in wanted.items() if draw(st.integers(0, 3)) == 0}


@st.composite
def requests(draw: st.DrawFn, name: str, *, is_gang: bool, has_quota: bool) -> Request:
    count = draw(st.integers(0, 2))
    replicas = draw(st.integers(2, 5)) if is_gang else 1
    topology, spread = draw(st.sampled_from(PAIRS))
    quota = st.dictionaries(st.sampled_from(["a100", "t4", CPU_FLAVOR]), st.sampled_from([0, 1000, 2000, 3000]))
    return Request(
        id=name, cpu_milli=draw(st.integers(0, 2)) * 1000, memory_mib=1000, devices=count,
        milli=draw(st.sampled_from([300, 500, 1000])) if count == 1 else 1000,
        models=draw(st.sampled_from([frozenset[str](), frozenset[str](), frozenset({"T4"})])), replicas=replicas,
        min_replicas=draw(st.integers(0, replicas)) if is_gang else 0, topology=topology, spread=spread,
        flavors=draw(quota) if has_quota else None, **draw(terms()),
    )  # fmt: skip


# Where quota limits, all devices of a flavor give alike: only then is the most that fits well defined.
fleets = st.sampled_from([(1,), (1, 400, 1000)]).flatmap(
    lambda steps: st.integers(1, 6).flatmap(lambda n: st.tuples(*(nodes(f"n{i}", steps) for i in range(n)))).map(Fleet)
)
even_fleets = st.sampled_from([1, 400]).flatmap(
    lambda step: st.integers(1, 5).flatmap(lambda n: st.tuples(*(nodes(f"n{i}", (step,)) for i in range(n)))).map(Fleet)
)
policies = st.sampled_from(["best-fit", "packing", "spread", "random", "round-robin", "least-loaded", "greenest"])


# -- the rules, as they are written ----------------------------------------------------------------


def suits(node: NodeFree, request: Request) -> bool:
    """What a node is, whatever is on it."""
    return (
        node.is_open
        and (not request.regions or any(in_region(node.region, wanted) for wanted in request.regions))
        and all(node.labels.get(name) == value for name, value in request.labels.items())
        and request.network_class in ("", node.labels.get("aquifer.io/network-class"))
    )


def in_region(region: str, wanted: str) -> bool:
    parts, asked = region.upper().split("-"), wanted.upper().split("-")
    return parts[: len(asked)] == asked


def ways(node: NodeFree, request: Request) -> Iterator[tuple[str, list[int], list[int]]]:
    """Flavor, devices and what is taken of each: all ways in which a node could take one member."""
    if not suits(node, request) or node.cpu_milli < request.cpu_milli or node.memory_mib < request.memory_mib:
        return
    if not request.devices:
        yield CPU_FLAVOR, [], []
    groups: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for place, d in enumerate(node.devices):
        milli = 1000
        if request.milli < 1000:
            milli = next((m for m in range(d.step_milli, 1000, d.step_milli) if m >= request.milli), 1000)
        if (
            (not request.models or d.model in request.models)
            and (not request.modes or d.mode in request.modes)
            and d.free_milli >= milli
            and d.free_memory_mib >= (4000 * milli // 1000)
            and (not d.most_shares or d.held_shares < d.most_shares)
        ):
            groups[d.flavor].append((place, milli))
    for flavor, found in groups.items():
        if request.devices == 1:
            yield from ((flavor, [place], [milli]) for place, milli in found)
        elif request.devices and len(found) >= request.devices:
            yield flavor, [p for p, _ in found[: request.devices]], [m for _, m in found[: request.devices]]


def taken(node: NodeFree, request: Request, places: Sequence[int], millis: Sequence[int]) -> NodeFree:
    kept = list(node.devices)
    for place, milli in zip(places, millis, strict=True):
        d = kept[place]
        kept[place] = replace(
            d, free_milli=d.free_milli - milli, free_memory_mib=d.free_memory_mib - 4000 * milli // 1000,
            held_shares=d.held_shares + 1,
        )  # fmt: skip
    return replace(
        node, cpu_milli=node.cpu_milli - request.cpu_milli, memory_mib=node.memory_mib - request.memory_mib,
        devices=tuple(kept),
    )  # fmt: skip


def place_of(node: NodeFree, kind: str) -> object:
    """The place of a kind that a node is in; None for nowhere."""
    if kind == "any":
        return ()
    if kind == "rack":
        return (node.site, node.cluster, node.rack) if node.rack else None
    if kind == "network":
        return (node.site, node.network) if node.network else None
    return {"site": node.site, "cluster": (node.site, node.cluster), "node": node.id}[kind]


def places(fleet: Iterable[NodeFree], kind: str) -> list[list[NodeFree]]:
    found: dict[object, list[NodeFree]] = defaultdict(list)
    for node in fleet:
        if (place := place_of(node, kind)) is not None:
            found[place].append(node)
    return list(found.values())


Counts = frozenset[tuple[int, ...]]


def members_of(node: NodeFree, request: Request, flavors: Sequence[str], most: int) -> Counts:
    """All numbers of members by flavor that one node can hold."""
    found: set[tuple[int, ...]] = set()
    seen: set[object] = set()
    queue = [(node, (0,) * len(flavors))]
    while queue:
        at, counts = queue.pop()
        if (key := (at.devices, at.cpu_milli, at.memory_mib, counts)) in seen:
            continue
        seen.add(key)
        found.add(counts)
        if sum(counts) < most:
            for flavor, at_devices, millis in ways(at, request):
                f = flavors.index(flavor)
                queue.append((taken(at, request, at_devices, millis),
                              tuple(c + (i == f) for i, c in enumerate(counts))))  # fmt: skip
    return frozenset(found)


def most_in(place: Sequence[NodeFree], request: Request) -> int:
    """The most members, up to all, that a place holds: every way is tried."""
    flavors = ["a100", "t4", CPU_FLAVOR]
    by_spot: dict[object, set[tuple[int, ...]]] = defaultdict(set)
    for node in place:
        spot = place_of(node, request.spread) if request.spread else node.id
        if spot is not None:
            by_spot[spot] |= members_of(node, request, flavors, 1 if request.spread else request.replicas)
    cost = request.devices * request.milli if request.devices else request.cpu_milli
    if request.milli < 1000:
        step = next((d.step_milli for node in place for d in node.devices), 1)
        cost = next((m for m in range(step, 1000, step) if m >= request.milli), 1000)
    sums = {(0, 0, 0)}
    for counts in by_spot.values():
        sums = {tuple(a + b for a, b in zip(one, two, strict=True)) for one in sums for two in counts}  # type: ignore[misc]
        sums = {one for one in sums if sum(one) <= request.replicas and affordable(one, flavors, cost, request)}
    return max(map(sum, sums))


def affordable(counts: Sequence[int], flavors: Sequence[str], cost: int, request: Request) -> bool:
    room = request.flavors
    return room is None or all(
        not n or (f in room and n * cost <= room[f]) for n, f in zip(counts, flavors, strict=True)
    )


def emptied(fleet: Fleet) -> Fleet:
    def empty(node: NodeFree) -> NodeFree:
        held = tuple(replace(d, free_milli=1000, free_memory_mib=4000, held_shares=0) for d in node.devices)
        return replace(node, cpu_milli=4000, memory_mib=8000, devices=held, is_open=True)

    return Fleet(tuple(map(empty, fleet.nodes)))


def take(fleet: Fleet, placement: Placement, request: Request) -> Fleet:
    """The fleet after a placement, with each term checked."""
    after = {node.id: node for node in fleet.nodes}
    used: Counter[str] = Counter()
    assert request.least <= len(placement.members) <= request.replicas
    for member in placement.members:
        node = after[member.node]
        by_index = {d.index: place for place, d in enumerate(node.devices)}
        at, millis = [by_index[s.index] for s in member.devices], [s.milli for s in member.devices]
        assert suits(node, request) and node.cpu_milli >= request.cpu_milli and node.memory_mib >= request.memory_mib
        assert len(set(at)) == request.devices
        for place, milli in zip(at, millis, strict=True):
            alone = replace(request, devices=1) if request.devices else request
            assert (member.flavor, [place], [milli]) in list(ways(node, alone))
        after[member.node] = taken(node, request, at, millis)
        used[member.flavor] += sum(millis) if request.devices else request.cpu_milli
    if request.replicas > 1:
        there = [place_of(after[m.node], request.topology) for m in placement.members]
        assert None not in there and len(set(there)) == 1
        if request.spread:
            spots = [place_of(after[m.node], request.spread) for m in placement.members]
            assert None not in spots and len(set(spots)) == len(spots)
    if request.flavors is not None:
        assert all(milli <= request.flavors.get(flavor, 0) for flavor, milli in used.items())
    return Fleet(tuple(after.values()))


# -- what must hold --------------------------------------------------------------------------------


@settings(database=None, deadline=None, max_examples=200)
@given(fleet=fleets, data=st.data(), policy=policies)
def test_single_work_goes_where_its_terms_allow_and_is_refused_only_when_nothing_fits(
    fleet: Fleet, data: st.DataObject, policy: str
) -> None:
    planner = Planner(fleet, policy)
    for number in range(data.draw(st.integers(1, 5))):
        request = data.draw(requests(f"r{number}", is_gang=False, has_quota=data.draw(st.booleans())))
        outcome = planner.place(request)
        fitting = [n for n in fleet.nodes if any(pays(way, request) for way in ways(n, request))]
        if isinstance(outcome, Placement):
            if request.prefer and policy != "random":
                price = {n.id: n.price if request.prefer == "money" else n.carbon for n in fleet.nodes}
                assert price[outcome.members[0].node] == min(price[n.id] for n in fitting), (
                    "what it prefers comes first"
                )
            fleet = take(fleet, outcome, request)
            continue
        assert not fitting
        assert sum(outcome.filters.values()) == len(fleet.nodes)
        could = any(any(ways(n, request)) for n in emptied(fleet).nodes)
        assert outcome.is_final is not could
        check_static(outcome, request, emptied(fleet) if outcome.is_final else fleet)


def pays(way: tuple[str, list[int], list[int]], request: Request) -> bool:
    flavor, _, millis = way
    room = request.flavors
    return room is None or room.get(flavor, -1) >= (sum(millis) if request.devices else request.cpu_milli)


def check_static(refusal: Refusal, request: Request, fleet: Fleet) -> None:
    """Each node is counted at the first filter that removes it, and the nearest miss is one."""
    counts: Counter[str] = Counter()
    has: Counter[str] = Counter()
    for node in fleet.nodes:
        matched = sum(node.labels.get(name) == value for name, value in request.labels.items())
        if not node.is_open:
            counts["closed"] += 1
        elif request.regions and not any(in_region(node.region, wanted) for wanted in request.regions):
            counts["region"] += 1
        elif matched < len(request.labels):
            counts["label"] += 1
            has[node.id] = matched
        elif request.network_class not in ("", node.labels.get("aquifer.io/network-class")):
            counts["network-class"] += 1
    for name in ("closed", "region", "label", "network-class"):
        assert refusal.filters.get(name, 0) == counts[name]
    miss = refusal.miss
    if miss is not None and miss.filter == "label":
        assert (miss.wanted, miss.has, miss.unit) == (len(request.labels), max(has.values()), "labels")
        assert has[miss.node] == miss.has


def check_gang(fleet: Fleet, request: Request, outcome: Placement | Refusal) -> Fleet:
    rooms = {frozenset(n.id for n in place): most_in(place, request) for place in places(fleet.nodes, request.topology)}
    most = max(rooms.values(), default=0)
    if isinstance(outcome, Placement):
        assert len(outcome.members) == min(most, request.replicas), "as many as fit"
        return take(fleet, outcome, request)
    assert most < request.least, "a place that holds enough is found"
    unpaid = replace(request, flavors=None)
    when_empty = max((most_in(place, unpaid) for place in places(emptied(fleet).nodes, request.topology)), default=0)
    assert outcome.is_final is (when_empty < request.least)
    miss = outcome.miss
    if miss is not None and miss.unit == "members":
        assert (miss.wanted, miss.has) == (request.least, when_empty if outcome.is_final else most)
        if miss.has:
            there = emptied(fleet) if outcome.is_final else fleet
            (nearest,) = [
                p for p in places(there.nodes, request.topology) if where(p[0], request.topology) == miss.where
            ]
            assert most_in(nearest, unpaid if outcome.is_final else request) == miss.has
            assert str(miss.has) in outcome.message + outcome.nearest
    if outcome.reason in ("NotEnoughTogether", "NotEnoughApart"):
        easier = replace(request, topology="any", spread="")
        assert max(most_in(place, easier) for place in places(fleet.nodes, "any")) >= request.least
        assert sum(outcome.filters.values()) == len(fleet.nodes)
    return fleet


def where(node: NodeFree, topology: str) -> str:
    names = {
        "any": [], "site": [node.site], "cluster": [node.site, node.cluster],
        "rack": [node.site, node.cluster, node.rack], "network": [node.site, node.network],
        "node": [node.site, node.cluster, node.name],
    }  # fmt: skip
    return "/".join(names[topology])


@settings(database=None, deadline=None, max_examples=250)
@given(fleet=fleets, data=st.data(), policy=policies)
def test_a_gang_is_placed_whenever_some_place_holds_it(fleet: Fleet, data: st.DataObject, policy: str) -> None:
    planner = Planner(fleet, policy)
    for number in range(data.draw(st.integers(1, 4))):
        request = data.draw(requests(f"r{number}", is_gang=True, has_quota=False))
        outcome = planner.place(request)
        fleet = check_gang(fleet, request, outcome)
        again = Planner(fleet, policy if policy not in ("random", "round-robin") else "best-fit")
        whole = replace(request, id="probe", min_replicas=1, topology="any", spread="")
        if policy not in ("random", "round-robin"):
            assert planner_copy(planner, whole) == again.place(whole), "a refused gang holds nothing, a placed one all"


def planner_copy(planner: Planner, request: Request) -> Placement | Refusal:
    """What a planner would answer, given back again."""
    outcome = planner.gangs().place(request)
    found = planner.place(request) if outcome is None else None
    if outcome is not None:
        planner.gangs().give_back(outcome)
        return Placement(request.id, outcome.members, planner._policy.name, outcome.best)
    assert found is not None
    return found


@settings(database=None, deadline=None, max_examples=250)
@given(fleet=even_fleets, data=st.data(), policy=policies)
def test_quota_for_several_flavors_keeps_no_gang_out_that_some_choice_of_them_lets_in(
    fleet: Fleet, data: st.DataObject, policy: str
) -> None:
    planner = Planner(fleet, policy)
    for number in range(data.draw(st.integers(1, 3))):
        request = data.draw(requests(f"r{number}", is_gang=True, has_quota=True))
        fleet = check_gang(fleet, request, planner.place(request))


def test_the_rules_of_this_file_can_tell_right_from_wrong() -> None:
    assert len(PAIRS) == 6 + 3 + 3 * 2 + 1
    assert in_region("CN-SH", "cn") and not in_region("CNX", "CN") and not in_region("", "CN")
