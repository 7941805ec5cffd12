"""What the poster tells Prometheus."""

from prometheus_client import Counter, Gauge, Histogram

ANSWERS = Counter("zuora_ifs_poster_posts", "POSTs to IFS Cloud, by what the answer meant", ["outcome"])
OUTCOMES = Counter("zuora_ifs_poster_outcomes", "Voucher commands that came to an end", ["outcome"])
UNCERTAIN = Counter("zuora_ifs_poster_uncertain", "POSTs whose answer was lost, or that a crash left open")
TROUBLE = Counter("zuora_ifs_poster_trouble", "Tries of a command that ended in a read without an answer", ["error"])
POST_SECONDS = Histogram(
    "zuora_ifs_poster_post_seconds",
    "Seconds from a POST to its answer",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40),
)
BUDGET_SPENT = Gauge("zuora_ifs_poster_budget_spent", "Requests to IFS Cloud in the last minute")
BUDGET_LIMIT = Gauge("zuora_ifs_poster_budget_limit", "Requests to IFS Cloud that the poster may make in a minute")
WAITING = Gauge("zuora_ifs_poster_waiting", "Voucher commands in the waiting room")
BACKLOG = Gauge("zuora_ifs_poster_backlog", "Voucher commands without an outcome, those in the waiting room among them")
SECONDS_UNTIL_CLEAR = Gauge(
    "zuora_ifs_poster_seconds_until_clear",
    "Seconds until the backlog is clear at the pace of now, if nothing new comes; paused companies are left out, "
    "and it is +Inf while all is paused",
)
SYSTEM_DOWN = Gauge("zuora_ifs_poster_system_down", "1 while IFS Cloud answers nothing and no command is taken up")
