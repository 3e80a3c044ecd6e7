"""The gate for pytest: the fixture `driftline_check`, and findings as the message of a failure."""

import pytest


@pytest.fixture
def driftline_check():
    """Compares, and fails the test where something is at alarm: `driftline_check(reference, current)`."""
    from driftline import check

    def gate(reference=None, current=None, *, fail_on="alarm", **options):
        __tracebackhide__ = True
        return check(reference, current, **options).assert_ok(fail_on)

    return gate
