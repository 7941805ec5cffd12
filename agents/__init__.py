"""Who acts: every process and agent, in the order a record passes through them.

ingress takes a webhook in, collector fetches the record, bookkeeper joins it with its mapping, poster writes it to IFS
Cloud, console and cli show it to people. Agents never import each other: they speak through topics.
"""
