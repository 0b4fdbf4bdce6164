"""Nodes inside of nodes as people see them: the chain with its links, what a host has inside, where its cards count."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from federation.drivers.base import NodeSeen
from tests.e2e.browser import MARKS, look, opened, sign_in
from tests.e2e.product import Client, Product, until
from tests.federation.nested import guest, host, machine, seen

pytestmark = MARKS


@pytest.fixture
def page(product: Product, admin: Client) -> Iterator[Page]:
    with opened(product, admin) as found:
        yield found


def shown(admin: Client, name: str, kind: str, *nodes: NodeSeen) -> str:
    """A simulated site with these nodes; the id of its cluster."""
    slug = name.lower().replace(" ", "-")
    site = admin.post("/sites", {"slug": slug, "name": name, "region": "CN"})["id"]
    settings: dict[str, Any] = {"nodes": [asdict(node) for node in nodes]}
    body = {"site": site, "slug": slug, "name": f"{name} {kind}", "kind": kind, "driver": "fake", "settings": settings}
    made: str = admin.post("/clusters", body)["id"]
    return made


def test_from_a_node_to_its_host_and_back(product: Product, admin: Client, page: Page) -> None:
    inside = shown(
        admin, "Ningbo pods", "kubernetes", guest("k8s-node-3"),
        seen("k8s-node-4", system_uuid="00000000-0000-0000-0000-000000000000"),
    )  # fmt: skip
    middle = shown(admin, "Ningbo lab", "kvm", host("vm-host", "k8s-node-3", system_uuid=machine("vm-host")))
    outside = shown(admin, "Ningbo", "kvm", host("kvm-host-1", "vm-host"))

    def chain() -> Any:
        return next((n for n in admin.get(f"/nodes?cluster={inside}")["results"] if n["outer_hosts"]), None)

    until(chain, seconds=120, what="the links")
    sign_in(product, page)
    page.goto(f"/clusters/{inside}")
    row = page.get_by_role("row").filter(has_text="k8s-node-3")
    expect(row).to_contain_text("in a VM on vm-host (Ningbo lab)")
    expect(row).to_contain_text("that is in a VM on kvm-host-1 (Ningbo)")
    expect(page.get_by_role("row").filter(has_text="k8s-node-4")).to_contain_text("placeholder for a system UUID")
    look(page, "nested-guest")
    page.get_by_role("button", name="Devices of k8s-node-3").click()
    expect(page.get_by_role("region", name="Devices of k8s-node-3")).to_contain_text("#1")
    row.get_by_role("link", name="kvm-host-1").click()
    expect(page).to_have_url(f"{product.url}/clusters/{outside}?node={chain()['outer_hosts'][0]['id']}")
    expect(page.get_by_text("hosts 1 node")).to_be_visible()
    expect(page.get_by_text("Nodes inside:")).to_be_visible()
    expect(page.get_by_role("link", name="vm-host")).to_be_visible()
    devices = page.get_by_role("region", name="Devices of kvm-host-1")
    expect(devices.get_by_text("Counted at").first).to_be_visible()
    expect(devices.get_by_role("link", name="k8s-node-3 #0")).to_be_visible()
    look(page, "nested-host")
    page.get_by_role("button", name="dark").click()
    look(page, "nested-host-dark")
    page.set_viewport_size({"width": 390, "height": 844})
    look(page, "nested-host-dark-narrow")
    page.goto(f"/clusters/{inside}")
    expect(page.get_by_text("in a VM on").first).to_be_visible()
    look(page, "nested-guest-dark-narrow")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing sticks out"
    page.set_viewport_size({"width": 1400, "height": 900})
    page.get_by_label("Language").click()
    page.get_by_text("简体中文").click()
    expect(page.get_by_text("位于虚拟机中").first).to_be_visible()
    look(page, "nested-guest-zh")
    page.goto(f"/clusters/{middle}")
    expect(page.get_by_text("承载 1 个节点")).to_be_visible()
    page.goto("/")
    expect(page.get_by_text("核空闲")).to_be_visible()
    look(page, "nested-overview-zh")
