"""The console's first page in a browser: what an accountant sees and does."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import chromium
from tests.support.console_process import ConsoleProcess
from tests.support.projecting import Cluster, cluster_of, step
from tests.support.waiting import eventually_now

GAP = {"kind": "tax", "company": "10", "key": "VAT25"}


@pytest.fixture
def cluster(kafka_bootstrap: str, unique: str, tmp_path: Path) -> Cluster:
    made = cluster_of(kafka_bootstrap, unique, tmp_path)
    asyncio.run(made.make_topics())
    held = {"company": "10", "currency": "EUR", "missing": [GAP], "accountName": "Acme Robotics"}
    asyncio.run(
        made.send_steps(
            step("Invoice:inv-1", "mapping-missing", amount="1190.00", **held),
            step("Invoice:inv-2", "mapping-missing", amount="10.50", **held),
            step("Payment:p-3", "posted", amount="99.00", currency="USD", accountName="Blue Harbor"),
        )
    )
    return made


@pytest.fixture
def url(cluster: Cluster, tmp_path: Path) -> Iterator[str]:
    tokens = "maria:viewer:look-at-this,anna:mapper:annas-token,bert:mapper:berts-token,olga:operator:olga-stops"
    console = ConsoleProcess(cluster, tmp_path, tokens, ZIFS_FOUR_EYES="true")
    try:
        yield console.until_ready()
    finally:
        console.stop()


@pytest.fixture
def page(url: str) -> Iterator[Page]:
    """A browser that is signed in; whatever its console complains about fails the test."""
    complaints: list[str] = []
    with chromium() as browser:
        opened = browser.new_page()
        opened.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        opened.goto(f"{url}/login#look-at-this")
        expect(opened.get_by_role("heading", name="All records")).to_be_visible()
        yield opened
    assert complaints == []


def test_an_accountant_sees_what_is_missing_and_what_waits_for_it(page: Page) -> None:
    missing = page.locator("#missing")

    expect(missing.get_by_role("row", name="Tax code VAT25 10 2")).to_contain_text("1\u202f200.50 EUR")
    expect(page.get_by_role("link", name="Mapping missing 2")).to_contain_text("1\u202f200.50 EUR")
    assert "look-at-this" not in page.url


def test_an_operator_sees_what_is_still_to_be_posted_and_who_paused_it(page: Page, url: str) -> None:
    posting = page.get_by_role("region", name="To be posted")
    expect(posting).to_contain_text("Nothing waits to be posted.", timeout=15_000)

    body = {"company": "10", "reason": "closing the month"}
    answer = page.request.post(f"{url}/api/posting/pause", data=body, headers={"Authorization": "Bearer olga-stops"})
    assert answer.status == 200, answer.text()
    page.reload()

    expect(posting.get_by_role("listitem")).to_contain_text("company 10 by olga", timeout=15_000)
    expect(posting.get_by_role("listitem")).to_contain_text("closing the month")


def test_records_are_filtered_by_status_and_found_by_number_or_account(page: Page) -> None:
    table = page.locator("#records-table tbody tr")

    page.get_by_label("Status").select_option("Posted")
    expect(table).to_have_count(1)
    expect(table).to_contain_text("Blue Harbor")
    page.get_by_role("link", name="Clear").click()
    page.get_by_label("Search").fill("acme")
    page.get_by_label("Search").press("Enter")
    expect(table).to_have_count(2)
    page.get_by_label("Search").fill("INV-2")
    page.get_by_role("button", name="Search").click()
    expect(table).to_have_count(1)


def test_the_page_brings_itself_up_to_date_and_keeps_the_focus(page: Page, cluster: Cluster) -> None:
    link = page.get_by_role("link", name="INV-1")
    link.focus()

    sent = cluster.send_steps(step("Invoice:inv-2", "posted", minute=5, amount="10.50", currency="EUR"))
    # Playwright runs an event loop of its own in this thread.
    with ThreadPoolExecutor() as threads:
        threads.submit(asyncio.run, sent).result()

    expect(page.get_by_role("link", name="Mapping missing 1")).to_be_visible(timeout=15_000)
    expect(page.get_by_role("link", name="Posted 2")).to_be_visible()
    expect(link).to_be_focused()


def test_a_record_opens_with_its_history(page: Page) -> None:
    page.get_by_role("link", name="INV-1").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Invoice INV-1")
    expect(page.get_by_text("Tax code VAT25 (company 10)").first).to_be_visible()
    expect(page.locator(".history li")).to_have_count(1)


def test_it_fits_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})

    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_everything_that_takes_the_focus_has_a_name(page: Page) -> None:
    for element in page.locator("a, button, input:not([type=hidden]), select, [tabindex]").all():
        name = element.evaluate(
            "one => one.labels?.length || one.getAttribute('aria-labelledby') || one.innerText.trim()"
        )
        assert name, element.evaluate("one => one.outerHTML")


def test_a_change_that_anna_proposes_is_approved_by_bert(page: Page, url: str) -> None:
    bearer = {"Authorization": "Bearer annas-token"}
    body = {"glAccount": "2610", "comment": "new tax code"}
    answer = page.request.put(f"{url}/api/mappings/tax/10/VAT25", data=body, headers=bearer)
    assert answer.status == 202, answer.text()
    page.get_by_role("link", name="To approve 1").click(timeout=15_000)
    change = page.get_by_role("article", name="Proposal of anna")
    expect(change.get_by_role("row", name="Tax code VAT25, company 10")).to_contain_text("2610")
    expect(change.get_by_role("button")).to_have_count(0)

    page.get_by_role("button", name="Sign out").click()
    page.goto(f"{url}/login?next=/proposals")
    page.get_by_label("Token").fill("berts-token")
    page.get_by_role("button", name="Sign in").click()
    change.get_by_label("Comment").fill("seen the letter")
    change.get_by_role("button", name="Approve").click()

    expect(page.get_by_text("Nothing waits for approval.")).to_be_visible()
    expect(page.get_by_role("row", name="anna new tax code")).to_contain_text("approved")
    eventually_now(lambda: page.request.get(f"{url}/api/mappings").json()["items"], seconds=60)
    (mapping,) = page.request.get(f"{url}/api/mappings").json()["items"]
    assert (mapping["glAccount"], mapping["actor"], mapping["approvedBy"]) == ("2610", "anna", "bert")
