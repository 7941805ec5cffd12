"""The benchmark of posting in small: lost answers double and lose nothing, and a burst costs what its batches need."""

import pytest

from deploy.sandbox.ifs.app import create_app
from deploy.sandbox.ifs.settings import IfsSettings as SandboxSettings
from deploy.sandbox.ifs.state import IfsSandbox
from deploy.sandbox.serving import listening
from tests.benchmarks.bench_posting import NO_LIMIT, Load, Report, measure


async def measured(load: Load, **settings: int) -> Report:
    sandbox = IfsSandbox(SandboxSettings(**settings))
    known = sandbox.settings
    async with listening(create_app(sandbox)) as url:
        return await measure(url, load, realm=known.realm, client_id=known.client_id, client_secret=known.client_secret)


@pytest.mark.parametrize("batch_size", [1, 10])
async def test_lost_answers_double_nothing_and_leave_nothing_out(batch_size: int) -> None:
    load = Load(200, batch_size, requests_per_minute=NO_LIMIT, losses=0.1, settle_seconds=3.5, shortest_wait_seconds=0)
    report = await measured(load, requests_per_minute=0)
    assert (report.done, report.doubled, report.missing) == (200, 0, 0)
    assert report.lost


async def test_a_burst_of_two_companies_costs_two_requests_for_fifty_vouchers() -> None:
    report = await measured(Load(200, 50, companies=("10", "20")))
    assert (report.done, report.doubled, report.missing, report.refused) == (200, 0, 0, 0)
    assert report.requests <= 4 * 2 + 2 * 8  # and what is read of each company once in some minutes
