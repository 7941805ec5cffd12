"""The Zuora side.

Records and their life (`store`, `invoices`, `payments`, `memos`), how they look (`documents`, `memo_documents`),
believable data (`catalog`, `generator`), the REST answers (`api`, `object_query`), callouts (`callouts`) and the tests'
door (`control`).
"""
