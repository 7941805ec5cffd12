"""The two far sides, Zuora and IFS Cloud, and what their clients share: session, tokens, retry, budget."""
