"""The read model: topics projected into an SQLite file that can be thrown away and made again from the log.

Every batch and the offsets up to which it read are one transaction, so a crash costs nothing and repeats nothing.
"""
