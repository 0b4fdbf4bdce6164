from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.product import Client, Product, running


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """One running product for all end-to-end tests."""
    folder: Path = tmp_path_factory.mktemp("product")
    with running(folder) as found:
        yield found


@pytest.fixture(scope="session")
def admin(product: Product) -> Client:
    return Client(product.url, product.token())
