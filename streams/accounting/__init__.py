"""From a Zuora document to a voucher: pure functions of data. No clock, no network, no floats."""
