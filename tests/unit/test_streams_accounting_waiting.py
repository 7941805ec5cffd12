"""Who waits for what, and who has to let others go first."""

from collections.abc import Iterator

from streams.accounting.waiting import Running, Waiting


class Unread(set[int]):
    """Places that nobody goes through."""

    def __iter__(self) -> Iterator[int]:
        raise AssertionError("went through all that wait of an account")


def waiting(count: int, key: str = "key") -> Waiting:
    """Records of one account that wait for one key."""
    found = Waiting()
    for place in range(count):
        found.add(place, f"record {place}", "A", [key])
    return found


def test_what_comes_later_lets_a_running_releases_earlier_records_of_its_account_go_first() -> None:
    index = waiting(3)
    index.running["key"] = Running(0, 2, "cause")
    assert index.ahead("A", 3) == "key"
    assert index.ahead("A", 1) is None
    assert index.ahead("B", 3) is None


def test_what_a_release_lets_out_itself_is_not_compared_with_all_that_wait_of_its_account() -> None:
    index = waiting(3)
    index.by_account["A"] = Unread(index.by_account["A"])
    index.running["key"] = Running(1, 2, "cause")
    assert index.ahead("A", 1) is None
