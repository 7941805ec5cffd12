"""The browser of the tests: Debian's Chromium, or the one that CHROMIUM names."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Open a browser for as long as it is needed; a machine without one skips the test."""
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine; CHROMIUM names one")
    with sync_playwright() as playwright:
        # No sandbox: containers that run tests as root cannot give it to the browser.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
