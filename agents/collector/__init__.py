"""The collector: from "something happened" to the full document. The only agent that talks to Zuora."""
