"""The simulated site in PostgreSQL: many workers, restarts, lost connections, and the same truth as in memory."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from random import Random
from threading import Barrier
from uuid import uuid4

import psycopg
import pytest

from federation.drivers.base import DriverConfig, Observation, Rejected, Unavailable, WorkloadSpec
from federation.drivers.base import ObservedState as O
from federation.drivers.fake import FakeDriver, store_of
from federation.drivers.fake_postgres import Link, PostgresStore, close_all, link_to
from federation.drivers.fake_store import FORGET_SECONDS, MemoryStore, Shown, get_control, set_control
from tests.contracts.fake import FakeHarness
from tests.contracts.harness import CARDS, NODE, NODES, spec

AT = datetime(2027, 1, 15, 12, tzinfo=UTC)


@pytest.fixture
def dsn(database_dsn: str) -> Iterator[str]:
    yield database_dsn
    close_all()  # before the test database is dropped


@pytest.fixture
def stores(dsn: str) -> Iterator[Callable[[], PostgresStore]]:
    """As many stores of one site as there are workers, each with a connection of its own."""
    links: list[Link] = []
    cluster_id = f"cluster-{uuid4()}"

    def another() -> PostgresStore:
        links.append(Link(dsn))
        return PostgresStore(links[-1], cluster_id)

    yield another
    for link in links:
        link.close()


def together(count: int, work: Callable[[int], object]) -> list[object]:
    """Run it in so many threads at one moment; what each brought or raised."""
    barrier = Barrier(count)

    def one(number: int) -> object:
        barrier.wait()
        try:
            return work(number)
        except (Rejected, Unavailable) as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def ensuring(sites: list[FakeHarness], wanted: Callable[[int], WorkloadSpec]) -> Callable[[int], object]:
    return lambda i: sites[i].driver().ensure(wanted(i))


# -- races ----------------------------------------------------------------------------------------


def third(card: int, worker: int) -> WorkloadSpec:
    return spec(f"{card}-{worker}", card=card, milli=400)


def test_of_many_workers_that_want_one_device_only_what_fits_gets_it(
    stores: Callable[[], PostgresStore],
) -> None:
    sites = [FakeHarness("kubernetes", stores()) for _ in range(6)]
    for site in sites:
        site.driver().check()  # connects
    for card in range(CARDS):
        results = together(6, ensuring(sites, partial(third, card)))
        refused = [error.reason for error in results if isinstance(error, Rejected)]
        assert refused == ["DeviceBusy"] * 4
        assert len(sites[0].objects()) == 2 * (card + 1)


def the_same(ref: str, worker: int) -> WorkloadSpec:
    return replace(spec(ref), devices=())


def test_of_many_workers_that_ensure_one_ref_all_see_one_object(stores: Callable[[], PostgresStore]) -> None:
    sites = [FakeHarness("kubernetes", stores()) for _ in range(6)]
    for round_ in range(5):
        results = together(6, ensuring(sites, partial(the_same, f"r{round_}")))
        assert len(set(map(str, results))) == 1
    assert len(sites[0].objects()) == 5


def ensure_or_remove(sites: list[FakeHarness], wanted: WorkloadSpec, worker: int) -> Observation:
    driver = sites[worker].driver()
    return driver.ensure(wanted) if worker else driver.remove(wanted.ref)


def test_whichever_comes_first_a_removal_leaves_no_orphan(stores: Callable[[], PostgresStore]) -> None:
    sites = [FakeHarness("kubernetes", stores()) for _ in range(2)]
    for round_ in range(30):
        wanted = spec(f"r{round_}")

        together(2, partial(ensure_or_remove, sites, wanted))
        for site in sites:
            site.advance(10)
        assert sites[0].objects() == []
        with pytest.raises(Rejected):
            sites[0].driver().ensure(wanted)


# -- the same truth -------------------------------------------------------------------------------


def say(site: FakeHarness, random: Random, number: int) -> str:
    """One thing said to a site, and what came back. Old refs are left behind, new ones come."""
    refs = [f"w{i}" for i in range(number // 8, number // 8 + 6)]
    ref = random.choice(refs)
    epoch = 1 + number // 150 - (random.random() < 0.1)
    driver = site.driver(epoch)
    wanted = spec(
        ref,
        card=random.randrange(CARDS),
        milli=random.choice([250, 500, 1000]),
        epoch=epoch,
        generation=random.choice([1, 1, 2]),
        run_seconds=random.choice([None, 5.0, 50.0]),
    )
    things: list[Callable[[], object]] = [
        lambda: driver.ensure(wanted),
        lambda: driver.ensure(wanted),
        lambda: driver.observe(ref),
        lambda: driver.remove(ref),
        lambda: sorted(driver.refs()),
        lambda: driver.observe_many(refs),
        lambda: sorted(map(str, driver.usage(AT, AT))),
        lambda: driver.logs(ref, random.randrange(200)),
        lambda: set_control(site.store, missing_nodes=random.choice([None, [NODE]])),
        lambda: set_control(site.store, error_rate=random.choice([None, 0.2])),
        lambda: site.advance(random.choice([0.2, 3.0, FORGET_SECONDS / 20])),
    ]
    try:
        return str(random.choice(things)())
    except (Rejected, Unavailable) as error:
        return repr(error)


def play(site: FakeHarness, seed: int) -> list[str]:
    """A long random conversation with a site; every answer in it. No device is ever held beyond the whole."""
    random = Random(seed)
    heard = []
    for number in range(400):
        heard.append(say(site, random, number))
        held: dict[str, int] = {}
        for work in site.store.there(site.now).work.values():
            for grant in work.grants:
                held[grant.uuid] = held.get(grant.uuid, 0) + grant.milli
        assert max(held.values(), default=0) <= 1000
    return heard


def test_in_memory_and_in_postgres_a_site_says_the_same(dsn: str) -> None:
    text = ""
    for seed in range(5):
        store = PostgresStore(link_to(dsn), f"cluster-{uuid4()}")
        in_memory, in_postgres = (play(FakeHarness("docker", s), seed) for s in (MemoryStore(), store))
        assert in_memory == in_postgres
        text += "".join(in_memory)
    for word in ("starting", "running", "stopping", "succeeded", "DeviceBusy", "OldGeneration", "NodeMissing", "503"):
        assert word in text  # the conversations were about something


def test_tombstones_and_counted_calls_are_forgotten_after_a_week(dsn: str) -> None:
    cluster_id = f"cluster-{uuid4()}"
    site = FakeHarness("docker", PostgresStore(link_to(dsn), cluster_id), error_rate=1e-9)
    site.driver().remove("old")
    site.driver().ensure(spec("stays"))
    site.advance(FORGET_SECONDS - 60)
    site.driver().remove("newer")
    assert set(site.store.look(["old", "newer", "stays"]).work) == {"old", "newer", "stays"}
    site.advance(120)
    site.driver().remove("newest")
    assert set(site.store.look(["old", "newer", "stays"]).work) == {"newer", "stays"}
    with link_to(dsn).use() as connection:
        keys = connection.execute("SELECT key FROM fakesite.calls WHERE cluster_id = %s", [cluster_id]).fetchall()
    assert {key for (key,) in keys} == {"error newer", "error newest"}


# -- life and death of connections ----------------------------------------------------------------


def config(dsn: str, cluster_id: str) -> DriverConfig:
    return DriverConfig(cluster_id, "baremetal", 1, {"dsn": dsn, "nodes": NODES, "seed": 1})


def backend(dsn: str) -> int:
    with link_to(dsn).use() as connection:
        return connection.info.backend_pid


def test_a_site_survives_a_restart_of_the_hub(dsn: str) -> None:
    mine = config(dsn, f"cluster-{uuid4()}")
    FakeDriver(mine).ensure(spec())
    set_control(store_of(mine), degraded="half", missing_nodes={"b", "a"})
    before = backend(dsn)
    close_all()
    assert FakeDriver(mine).observe("work-1").state in (O.STARTING, O.RUNNING)
    assert get_control(store_of(mine)) == {"degraded": "half", "missing_nodes": ["a", "b"]}
    assert backend(dsn) != before


def test_sites_do_not_see_each_other(dsn: str) -> None:
    one, other = (FakeDriver(config(dsn, f"cluster-{uuid4()}")) for _ in range(2))
    one.ensure(spec(epoch=5))
    assert other.observe("work-1").state == O.ABSENT
    assert list(other.refs()) == []
    other.ensure(spec(epoch=1))


def test_drivers_of_a_process_share_one_connection(dsn: str) -> None:
    FakeDriver(config(dsn, "a")).check()
    assert backend(dsn) == backend(dsn)
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [backend(dsn)]).fetchone()
    connection.close()
    assert row == (1,)


def test_a_lost_connection_is_unavailable_once_and_then_opened_again(dsn: str) -> None:
    driver = FakeDriver(config(dsn, f"cluster-{uuid4()}"))
    driver.ensure(spec())
    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [backend(dsn)])
    with pytest.raises(Unavailable, match="store"):
        driver.observe("work-1")
    assert driver.observe("work-1").state in (O.STARTING, O.RUNNING)


def test_a_forked_worker_opens_its_own_connection_and_leaves_its_parents_alone(dsn: str) -> None:
    mine = config(dsn, f"cluster-{uuid4()}")
    FakeDriver(mine).ensure(spec())
    before = backend(dsn)
    child = os.fork()
    if child == 0:
        try:
            is_there = FakeDriver(mine).observe("work-1").state in (O.STARTING, O.RUNNING)
            FakeDriver(mine).remove("work-1")
            os._exit(0 if is_there and backend(dsn) != before else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert backend(dsn) == before
    assert FakeDriver(mine).observe("work-1").state in (O.STOPPING, O.ABSENT)


def test_a_store_that_cannot_be_reached_is_unavailable_and_tells_no_secret() -> None:
    dsn = "postgresql://someone:hunter2@/nothing?host=/nowhere"
    driver = FakeDriver(config(dsn, "cluster-x"))
    for call in (driver.check, lambda: driver.ensure(spec()), lambda: driver.remove("work-1")):
        with pytest.raises(Unavailable) as refused:
            call()
        assert "hunter2" not in str(refused.value)


def test_nothing_in_the_store_waits_longer_than_five_seconds(dsn: str) -> None:
    with link_to(dsn).use() as connection:
        for name in ("statement_timeout", "lock_timeout"):
            assert connection.execute(f"SHOW {name}".encode()).fetchone() == ("5s",)


def test_a_locked_store_is_unavailable_and_nothing_is_half_done(dsn: str) -> None:
    link = Link(dsn)
    site = FakeHarness("kubernetes", PostgresStore(link, f"cluster-{uuid4()}"))
    site.driver().check()
    with link.use() as connection:
        connection.execute("SET lock_timeout = 100")  # milliseconds
    with psycopg.connect(dsn) as other:
        other.execute("LOCK TABLE fakesite.work IN SHARE MODE")  # reads pass, writes wait
        with pytest.raises(Unavailable):
            site.driver().ensure(spec(epoch=3))
        other.rollback()
    assert site.store.look(["work-1"]) == Shown(epoch=1)
    assert site.driver().ensure(spec()).state == O.STARTING
    link.close()


def test_two_workers_that_come_first_make_the_tables_once(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute("DROP SCHEMA IF EXISTS fakesite CASCADE")
    links = [Link(dsn) for _ in range(4)]
    results = together(4, lambda i: get_control(PostgresStore(links[i], "new")))
    for link in links:
        link.close()
    assert results == [{}] * 4
