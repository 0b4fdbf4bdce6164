"""What properties of billing are tried on."""

from hypothesis import strategies as st


def runs(most: int = 6) -> st.SearchStrategy[list[tuple[int, int, int]]]:
    """Seconds after ten, how long, and how much of the unit."""
    one = st.tuples(st.integers(0, 20_000), st.integers(1, 20_000), st.integers(1, 9000))
    return st.lists(one, min_size=1, max_size=most)
