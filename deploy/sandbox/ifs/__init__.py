"""The IFS Cloud side.

Companies and their set-up (`company`, `defaults`), vouchers and the general ledger (`ledger`, `checks`, `booking`), the
OData answers (`entities`, `odata_filter`, `queries`, `api`, `batch`) and the tests' door (`control`).
"""
