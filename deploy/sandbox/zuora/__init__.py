"""The Zuora side: documents and their life (`store`), how they look (`documents`), believable data (`catalog`, `generator`),
the REST answers (`api`, `object_query`), callouts (`callouts`) and the tests' door (`control`)."""
