"""What must hold for every plan, tried on fleets and queues that nobody thought of. Pure: no database."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from federation.placement.mix import Mix
from federation.placement.plan import Planner, plan
from federation.placement.policies import POLICIES
from federation.placement.types import (
    CPU_FLAVOR,
    DeviceFree,
    Fleet,
    NodeFree,
    Outcome,
    Placement,
    Refusal,
    Request,
)

MODELS = ("A100", "T4", "MI300X")


@st.composite
def devices(draw: st.DrawFn, index: int) -> DeviceFree:
    model = draw(st.sampled_from(MODELS))
    memory = draw(st.sampled_from([1000, 4000]))
    free = draw(st.sampled_from([0, 250, 500, 1000]))
    return DeviceFree(
        index=index,
        flavor=model.lower(),
        model=model,
        vendor="amd" if model == "MI300X" else "nvidia",
        free_milli=free,
        free_memory_mib=memory if free == 1000 else draw(st.integers(0, memory)),
        memory_mib=memory,
        is_healthy=draw(st.integers(0, 9)) > 0,
        can_share=model != "MI300X",
        step_milli=draw(st.sampled_from([1, 10, 250, 400])),
        most_shares=draw(st.sampled_from([0, 0, 1, 2])),
        held_shares=0 if free == 1000 else 1,
    )


@st.composite
def nodes(draw: st.DrawFn, name: str) -> NodeFree:
    cpu, memory = draw(st.integers(0, 8)), draw(st.integers(0, 8))
    return NodeFree(
        id=name,
        name=name,
        cluster="c",
        site=draw(st.sampled_from(["east", "west"])),
        cpu_milli=cpu * 1000,
        memory_mib=memory * 1000,
        devices=tuple(draw(devices(i)) for i in range(draw(st.integers(0, 4)))),
        is_open=draw(st.integers(0, 9)) > 0,
        total_cpu_milli=8000,
        total_memory_mib=8000,
        price=draw(st.sampled_from([0.0, 1.0, 2.5])),
    )


@st.composite
def requests(draw: st.DrawFn, name: str) -> Request:
    count = draw(st.integers(0, 3))
    milli = draw(st.sampled_from([100, 300, 500, 1000])) if count == 1 else 1000
    amounts = st.dictionaries(
        st.sampled_from([*(m.lower() for m in MODELS), CPU_FLAVOR]), st.sampled_from([0, 500, 2000, 6000])
    )
    return Request(
        id=name,
        cpu_milli=draw(st.integers(0, 5)) * 1000,
        memory_mib=draw(st.integers(0, 5)) * 1000,
        devices=count,
        milli=milli,
        device_memory_mib=draw(st.sampled_from([0, 0, 500, 3000])) if count else 0,
        models=draw(st.frozensets(st.sampled_from(MODELS), max_size=2)),
        sites=draw(st.sampled_from([frozenset[str](), frozenset({"east"})])),
        flavors=draw(st.one_of(st.none(), amounts)),
        replicas=draw(st.integers(1, 3)),
    )


fleets = st.integers(1, 5).flatmap(lambda n: st.tuples(*(nodes(f"n{i}") for i in range(n)))).map(Fleet)
queues = st.integers(1, 8).flatmap(lambda n: st.tuples(*(requests(f"r{i}") for i in range(n))))
policies = st.sampled_from(sorted(POLICIES))
# Those that remember nothing but what is held: of them a plan can be taken up at any point.
forgetful = st.sampled_from(["best-fit", "spread", "fgd", "dotprod", "gpu-packing", "cheapest", "hash"])


def take(fleet: Fleet, placement: Placement, request: Request) -> Fleet:
    """The fleet after a placement, counted afresh and checked at every step, with none of the planner's code."""
    after = {node.id: node for node in fleet.nodes}
    by_flavor: Counter[str] = Counter()
    assert len(placement.members) == request.replicas
    for member in placement.members:
        node = after[member.node]
        assert node.is_open
        assert not request.sites or node.site in request.sites
        assert node.cpu_milli >= request.cpu_milli
        assert node.memory_mib >= request.memory_mib
        assert len({share.index for share in member.devices}) == len(member.devices) == request.devices
        assert member.flavor == CPU_FLAVOR or member.devices
        by_flavor[member.flavor] += sum(s.milli for s in member.devices) if request.devices else request.cpu_milli
        kept = {device.index: device for device in node.devices}
        for share in member.devices:
            device = kept[share.index]
            assert device.is_healthy
            assert device.flavor == member.flavor
            assert not request.models or device.model in request.models
            assert share.milli == rounded(request.milli, device) <= device.free_milli
            assert not device.most_shares or device.held_shares < device.most_shares
            assert share.milli == 1000 or device.can_share
            assert request.device_memory_mib <= share.memory_mib <= device.free_memory_mib
            kept[share.index] = replace(
                device,
                free_milli=device.free_milli - share.milli,
                free_memory_mib=device.free_memory_mib - share.memory_mib,
                held_shares=device.held_shares + 1,
            )
        after[node.id] = replace(
            node,
            cpu_milli=node.cpu_milli - request.cpu_milli,
            memory_mib=node.memory_mib - request.memory_mib,
            devices=tuple(kept.values()),
        )
    if request.flavors is not None:
        assert all(milli <= request.flavors.get(flavor, 0) for flavor, milli in by_flavor.items())
    return Fleet(tuple(after.values()))


def rounded(milli: int, device: DeviceFree) -> int:
    """The first multiple of the device's step that is enough, or all of it."""
    return next((m for m in range(device.step_milli, 1000, device.step_milli) if m >= milli), 1000)


def fits(node: NodeFree, request: Request) -> bool:
    """By the plainest reading of the rules: could this node take one member?"""
    if not node.is_open or (request.sites and node.site not in request.sites):
        return False
    if node.cpu_milli < request.cpu_milli or node.memory_mib < request.memory_mib:
        return False
    if not request.devices:
        return request.flavors is None or request.flavors.get(CPU_FLAVOR, -1) >= request.cpu_milli
    good: Counter[str] = Counter()
    for d in node.devices:
        milli = 1000 if request.milli == 1000 else rounded(request.milli, d)
        share = d.memory_mib
        if request.milli < 1000:
            share = request.device_memory_mib or d.memory_mib * milli // 1000
        counted = request.devices * milli
        good[d.flavor] += (
            d.is_healthy
            and (not request.models or d.model in request.models)
            and (d.can_share or request.milli == 1000)
            and d.free_milli >= milli
            and (not d.most_shares or d.held_shares < d.most_shares)
            and (request.flavors is None or request.flavors.get(d.flavor, -1) >= counted)
            and d.free_memory_mib >= share
            and d.memory_mib >= request.device_memory_mib
        )
    return any(count >= request.devices for count in good.values())


def emptied(fleet: Fleet) -> Fleet:
    def empty(node: NodeFree) -> NodeFree:
        devices = tuple(
            replace(d, free_milli=1000, free_memory_mib=d.memory_mib, is_healthy=True, held_shares=0)
            for d in node.devices
        )
        cpu, memory = node.total_cpu_milli, node.total_memory_mib
        return replace(node, cpu_milli=cpu, memory_mib=memory, devices=devices, is_open=True)

    return Fleet(tuple(empty(node) for node in fleet.nodes))


def check_refusal(refusal: Refusal, request: Request, fleet: Fleet) -> None:
    if request.replicas == 1:
        assert not any(fits(node, request) for node in fleet.nodes), "what fits must be placed"
        could_ever = any(fits(node, replace(request, flavors=None)) for node in emptied(fleet).nodes)
        assert refusal.is_final is not could_ever
        assert sum(refusal.filters.values()) == len(fleet.nodes), "every node is counted once"
        if refusal.is_final:
            check_nearest(refusal, replace(request, flavors=None), emptied(fleet))
        else:
            check_nearest(refusal, request, fleet)
    if refusal.is_final:
        assert refusal.reason in {"NeverFits", "NoMatchingModel"}
    else:
        assert refusal.reason != "NeverFits"


def check_nearest(refusal: Refusal, request: Request, fleet: Fleet) -> None:
    """The named node has what is said, it is too little, and no node that got as far has more."""
    if (miss := refusal.miss) is None:
        return
    have = {node.id: amount for node in fleet.nodes if (amount := there(node, request, miss.filter)) is not None}
    assert have[miss.node] == miss.has == max(have.values())
    assert len(have) == refusal.filters[miss.filter]
    assert miss.filter == list(refusal.filters)[-1]
    if miss.filter != "device-memory":  # without a wish of its own a share wants what goes with it
        assert miss.has < miss.wanted


def there(node: NodeFree, request: Request, found: str) -> int | None:
    """What a node has of what a filter looks at; None when it was removed earlier."""
    if not node.is_open or (request.sites and node.site not in request.sites):
        return None
    groups: dict[str, list[tuple[DeviceFree, int]]] = {}
    suited = False
    for d in node.devices:
        if (request.models and d.model not in request.models) or (request.milli < 1000 and not d.can_share):
            continue
        suited = True
        milli = 1000 if request.milli == 1000 else rounded(request.milli, d)
        if request.flavors is None or request.flavors.get(d.flavor, -1) >= request.devices * milli:
            groups.setdefault(d.flavor, []).append((d, milli))
    if request.devices and not (suited and groups):
        return None
    if not request.devices and request.flavors is not None and request.flavors.get(CPU_FLAVOR, -1) < request.cpu_milli:
        return None
    usable = [
        [(d, m) for d, m in g if d.is_healthy and (not d.most_shares or d.held_shares < d.most_shares)]
        for g in groups.values()
    ]
    free = [[d for d, m in g if d.free_milli >= m] for g in usable]
    roomy = [[d for d in g if d.free_memory_mib >= needed(d, request)] for g in free]
    if found == "accelerators":
        if any(len(g) >= request.devices for g in free):
            return None
        if request.milli == 1000:
            return max(map(len, free))
        return max((d.free_milli for g in usable for d, _ in g), default=0)
    if found == "device-memory":
        memory = [sorted((d.free_memory_mib for d in g), reverse=True) for g in free if len(g) >= request.devices]
        if not memory or any(len(g) >= request.devices for g in roomy):
            return None
        return max(g[request.devices - 1] for g in memory)
    if request.devices and not any(len(g) >= request.devices for g in roomy):
        return None
    if found == "cpu":
        return node.cpu_milli if node.cpu_milli < request.cpu_milli else None
    return node.memory_mib if node.cpu_milli >= request.cpu_milli else None


def needed(d: DeviceFree, request: Request) -> int:
    whole = d.memory_mib if request.milli == 1000 else d.memory_mib * rounded(request.milli, d) // 1000
    return max(request.device_memory_mib, whole) if request.milli == 1000 else request.device_memory_mib or whole


@settings(database=None, deadline=None, max_examples=200)
@given(fleet=fleets, queue=queues, policy=policies, seed=st.integers(0, 3))
def test_no_plan_over_allocates_and_what_fits_is_placed(
    fleet: Fleet, queue: Sequence[Request], policy: str, seed: int
) -> None:
    planner = Planner(fleet, policy, seed, Mix.of(queue))
    for request in queue:
        outcome: Outcome = planner.place(request)
        assert outcome.request == request.id
        if isinstance(outcome, Placement):
            fleet = take(fleet, outcome, request)
        else:
            check_refusal(outcome, request, fleet)


@settings(database=None, deadline=None, max_examples=100)
@given(fleet=fleets, queue=queues, policy=forgetful)
def test_a_plan_in_one_go_is_the_plan_made_afresh_after_each_step(
    fleet: Fleet, queue: Sequence[Request], policy: str
) -> None:
    """Nothing that the planner remembers from earlier requests changes what it answers."""
    mix = Mix.of(queue)
    planner = Planner(fleet, policy, mix=mix)
    for request in queue:
        outcome = planner.place(request)
        assert outcome == Planner(fleet, policy, mix=mix).place(request)
        if isinstance(outcome, Placement):
            fleet = take(fleet, outcome, request)


@settings(database=None, deadline=None, max_examples=100)
@given(fleet=fleets, queue=queues, policy=policies, seed=st.integers(0, 3))
def test_one_batch_decides_as_single_calls_do_and_the_same_each_time(
    fleet: Fleet, queue: Sequence[Request], policy: str, seed: int
) -> None:
    single = Planner(fleet, policy, seed, Mix.of(queue))
    expected = [single.place(request) for request in queue]
    assert list(Planner(fleet, policy, seed, Mix.of(queue)).place_all(queue)) == expected
    assert list(plan(queue, fleet, policy, seed)) == expected
