"""A newcomer connects a real Kubernetes cluster by the console, sends work there and looks into it."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.e2e.product import Client, Product
from tests.kube.node import RealNode

CHROMIUM = os.environ.get("AQUIFER_CHROMIUM") or shutil.which("chromium") or ""
ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "frontend" / "dist" / "index.html"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.processes,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium on this machine"),
    pytest.mark.skipif(not DIST.exists(), reason="the console has not been built (./run builds it)"),
]


def look(page: Page, name: str) -> None:
    """A picture, for who wants to look at the pages of a run."""
    if folder := os.environ.get("AQUIFER_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


@pytest.fixture
def page(product: Product) -> Iterator[Page]:
    """A page whose console must stay free of errors, signed in."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        context = browser.new_context(base_url=product.url, locale="en-US", viewport={"width": 1400, "height": 900})
        context.set_default_timeout(60_000)
        found = context.new_page()
        errors: list[str] = []
        found.on("pageerror", lambda error: errors.append(str(error)))
        found.on("console", lambda said: errors.append(said.text) if "Content Security Policy" in said.text else None)
        found.goto(product.manage("one_time_login").strip())
        yield found
        found.screenshot(path=product.folder / "last-page.png")  # to look at when a test has failed
        assert not errors, errors
        browser.close()


def test_a_cluster_is_connected_and_work_on_it_is_looked_into(
    product: Product, admin: Client, page: Page, real_node: RealNode
) -> None:
    expect.set_options(timeout=60_000)
    product.start_watcher()
    plane = real_node.plane
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
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
