from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.e2e.product import Client, Product, running

_LAST_BYTES = 3000  # of each log


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails shows what the product's processes said last."""
    report = yield
    found = getattr(item, "funcargs", {}).get("product")
    if report.failed and isinstance(found, Product):
        for log in sorted(found.folder.glob("*.log")):
            if text := log.read_text(errors="replace")[-_LAST_BYTES:].strip():
                report.sections.append((log.name, text))
    return report


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """One running product for all end-to-end tests."""
    folder: Path = tmp_path_factory.mktemp("product")
    with running(folder) as found:
        yield found


@pytest.fixture(scope="session")
def admin(product: Product) -> Client:
    return Client(product.url, product.token())
