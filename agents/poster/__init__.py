"""The poster: carries voucher commands to IFS Cloud, each exactly once.

What belongs here: one command's way to its outcome. What does not: what a voucher is made of (streams.accounting), and
how IFS is asked (streams.systems.ifs).
"""
