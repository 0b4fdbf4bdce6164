"""A newcomer connects a real Kubernetes cluster by the console, sends work there and looks into it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser import MARKS, ROOT, look, opened, sign_in
from tests.e2e.product import Client, Product, until
from tests.kube.node import IMAGE, RealNode

pytestmark = MARKS


@pytest.fixture
def page(product: Product, admin: Client) -> Iterator[Page]:
    with opened(product, admin) as found:
        sign_in(product, found)
        yield found


def test_a_cluster_is_connected_and_work_on_it_is_looked_into(
    product: Product, admin: Client, page: Page, real_node: RealNode
) -> None:
    product.start_watcher()
    plane = real_node.plane
    # What the page says to prepare, word for word; then server, token and authority are typed.
    plane.kubectl("apply", "-f", str(ROOT / "deploy" / "kubernetes" / "direct.yaml"))
    page.goto("/sites")
    page.get_by_role("button", name="Add").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("A Kubernetes cluster, directly").click()
    dialog.get_by_label("Name of the place").fill("Cellar")
    dialog.get_by_label("Name of the cluster").fill("Rack")
    dialog.get_by_text("Server and token").click()
    dialog.get_by_label("API server").fill(plane.url)
    dialog.get_by_label("Token", exact=True).fill(plane.token("aquifer-system", "aquifer-hub"))
    dialog.get_by_label("Certificate of its authority").fill(plane.ca_pem)
    dialog.get_by_role("button", name="Try the connection").click()
    expect(dialog.get_by_text(plane.version).first).to_be_visible()
    look(page, "try")
    dialog.get_by_role("button", name="Connect the cluster").click()
    expect(dialog.get_by_text("Connected").first).to_be_visible()
    look(page, "joined")
    dialog.get_by_role("link", name="Open its page").click()
    expect(page.get_by_text(real_node.name).first).to_be_visible()
    look(page, "cluster")
    # Work of a project, on that cluster.
    cluster = admin.get("/clusters?slug=rack")["results"][0]["id"]
    pool = admin.post("/pools", {"slug": "rack", "name": "Rack", "clusters": [cluster]})["id"]
    tenant = admin.post("/tenants", {"slug": "acme-rack", "name": "Acme"})["id"]
    project = admin.post("/projects", {"tenant": tenant, "slug": "lab", "name": "Lab"})["id"]
    admin.post("/quotas", {"tenant": tenant, "project": project, "flavor": "cpu", "nominal_milli": 2000})
    script = "httpd -p 8080 -h /etc; i=0; while true; do i=$((i+1)); echo line $i; sleep 1; done"
    body = {
        "project": project, "pool": pool, "name": "look-at-me", "kind": "notebook", "image": IMAGE, "ports": [8080],
        "accelerators": 0, "cpu_milli": 100, "memory_mib": 64, "grace_seconds": 1, "command": ["sh", "-c", script],
    }  # fmt: skip
    work = admin.post("/workloads", body)["id"]
    page.goto(f"/workloads/{work}")
    # Its output comes live, and what the cluster noted of it.
    expect(page.get_by_label("Logs", exact=True).get_by_text("line 3")).to_be_visible()
    expect(page.get_by_text("Pulled").first).to_be_visible()
    page.set_viewport_size({"width": 1400, "height": 2600})  # a terminal draws only what of it can be seen
    # A shell in it: what is typed runs there, and its exit code is told.
    page.get_by_role("button", name="Open a shell").click()
    terminal = page.locator(".aq-terminal")
    expect(terminal.get_by_text("# ").first).to_be_visible()
    page.keyboard.type("echo sum $((20+22))\n")
    expect(terminal.get_by_text("sum 42").first).to_be_visible()
    look(page, "shell")
    page.keyboard.type("exit 7\n")
    expect(page.get_by_text("exit code 7")).to_be_visible()
    # Once it is gone at the cluster its output is still there.
    admin.post(f"/workloads/{work}/cancel")
    until(
        lambda: all(a["state"] == "released" for a in admin.get(f"/allocations?workload={work}")["results"]),
        what="release",
    )
    page.reload()
    expect(page.get_by_label("Logs", exact=True).get_by_text("line 3")).to_be_visible()
    for name, scheme, width in (("wide-dark", "dark", 1400), ("narrow", "light", 390)):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.set_viewport_size({"width": width, "height": 900})
        look(page, f"work-{name}")
    noted = {entry["what"] for entry in admin.get("/audit-entries?target_type=workload")["results"]}
    assert {"shell.open", "shell.close"} <= noted
