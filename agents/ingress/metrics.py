"""What ingress counts; labels take few values, whatever callers send."""

from prometheus_client import Counter, Gauge, Histogram

CALLOUTS = Counter(
    "zuora_ifs_ingress_callouts",
    "Callouts by HTTP status and by document type (or unknown, unreadable, none)",
    ["answer", "type"],
)
REFUSED = Counter(
    "zuora_ifs_ingress_refused",
    "Callouts that were not let in, by why: wrong credentials, wrong signature, wrong token, too many requests, …",
    ["why"],
)
SECONDS = Histogram(
    "zuora_ifs_ingress_seconds",
    "From a callout's head to its answer, Kafka's confirmation included",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20),
)
IN_FLIGHT = Gauge("zuora_ifs_ingress_in_flight", "Callouts being answered at this moment")
