"""One piece of work from order to end, on a real agent and real processes."""

from conftest import Site
from fakehub import FakeHub


def test_work_runs_to_success_with_its_log_and_exit_code(hub: FakeHub, site: Site) -> None:
    hub.want("job", "sh", "-c", "echo out; echo err >&2; echo grüße")
    site.start()
    work = hub.wait_state("job", "succeeded")
    assert (work["exit_code"], work["reason"], work["generation"], work["epoch"]) == (0, "", 1, 1)
    hub.wait(lambda: hub.logs.get("job") == "out\nerr\ngrüße\n")
    assert hub.offsets["job"] == work["log_bytes"] == len("out\nerr\ngrüße\n".encode())
    hub.want_absent("job")
    hub.wait_gone("job")
    assert site.leftovers() == []


def test_a_failure_keeps_its_exit_code(hub: FakeHub, site: Site) -> None:
    hub.want("job", "sh", "-c", "exit 7")
    site.start()
    work = hub.wait_state("job", "failed")
    assert (work["exit_code"], work["reason"]) == (7, "")
