"""The IFS Cloud side: companies and their set-up (`company`, `defaults`), vouchers and the general ledger (`ledger`,
`checks`), the OData answers (`entities`, `odata_filter`, `queries`, `api`, `batch`) and the tests' door (`control`)."""
