"""A Zuora and an IFS Cloud to develop against: two small servers that behave strictly as the real ones do.

`zuora/` and `ifs/` are the two servers, each with its documents (state), its rules, its answers and a `/_sandbox/` door
for tests. What they share lies here: exact JSON, faults on order, request counting, starting and stopping.
They share no code with the product on purpose: a mistake in its models must not be able to hide on both sides.
"""
