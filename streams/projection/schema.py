"""The tables of the read model."""

SCHEMA_VERSION = "6"
"""Raised with every change of the tables or of what is put into them; a file of another version is made again."""

# Times are microseconds since 1970, so that they sort; amounts are decimals as text, never floating point.
TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- `mark` tells which record the last one read was, so that a topic made anew is noticed.
CREATE TABLE positions (
    topic TEXT NOT NULL, partition INTEGER NOT NULL, next_offset INTEGER NOT NULL, mark TEXT NOT NULL,
    PRIMARY KEY (topic, partition)
) WITHOUT ROWID;

CREATE TABLE records (
    id TEXT PRIMARY KEY, status TEXT NOT NULL, document_type TEXT NOT NULL, document_number TEXT,
    account_id TEXT, account_number TEXT, account_name TEXT, currency TEXT, amount TEXT,
    has_voucher INTEGER NOT NULL, received INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE INDEX records_by_time ON records (received DESC, id);
CREATE INDEX records_by_status ON records (status, received DESC, id);
CREATE INDEX records_by_account ON records (account_id);
CREATE INDEX records_by_account_number ON records (account_number COLLATE NOCASE);
CREATE INDEX records_by_account_name ON records (account_name COLLATE NOCASE);
CREATE INDEX records_by_number ON records (document_number COLLATE NOCASE);

-- One row per step; the key drops repeats of an event.
CREATE TABLE steps (
    record_id TEXT NOT NULL, event_id TEXT NOT NULL, log_offset INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (record_id, event_id)
) WITHOUT ROWID;

CREATE TABLE totals (
    status TEXT NOT NULL, document_type TEXT NOT NULL, currency TEXT NOT NULL,
    records INTEGER NOT NULL, amount TEXT NOT NULL,
    PRIMARY KEY (status, document_type, currency)
) WITHOUT ROWID;

-- Which records wait for which gap, and what each gap holds up.
CREATE TABLE gaps (gap TEXT NOT NULL, record_id TEXT NOT NULL, PRIMARY KEY (gap, record_id)) WITHOUT ROWID;
CREATE TABLE gap_totals (
    gap TEXT NOT NULL, currency TEXT NOT NULL, records INTEGER NOT NULL, amount TEXT NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (gap, currency)
) WITHOUT ROWID;

-- Every version of every mapping and rule; the one with the highest version holds, unless it is a removal.
CREATE TABLE mapping_versions (
    key TEXT NOT NULL, version INTEGER NOT NULL, partition INTEGER NOT NULL, event_id TEXT NOT NULL,
    kind TEXT NOT NULL, event_type TEXT NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (key, version)
) WITHOUT ROWID;
CREATE UNIQUE INDEX mapping_events ON mapping_versions (key, event_id);

-- Where in the log a record's documents, commands and outcomes are.
CREATE TABLE pointers (
    record_id TEXT NOT NULL, topic TEXT NOT NULL, event_id TEXT NOT NULL,
    partition INTEGER NOT NULL, log_offset INTEGER NOT NULL,
    PRIMARY KEY (record_id, topic, event_id)
) WITHOUT ROWID;

-- What could not be read; `known_by` drops repeats. Its bytes stay in the log.
CREATE TABLE dead_letters (
    id TEXT PRIMARY KEY, known_by TEXT NOT NULL UNIQUE, topic TEXT NOT NULL, parked INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE INDEX dead_letters_by_time ON dead_letters (parked DESC, id);
CREATE INDEX dead_letters_by_topic ON dead_letters (topic, parked DESC, id);
-- Wrapped as they are in the log; NULL once shredded.
CREATE TABLE personal_keys (
    key_id TEXT PRIMARY KEY, account_id TEXT NOT NULL, fingerprint TEXT, wrapped BLOB, made_at TEXT
);

-- Whole, as they were read; each goes once its dead letter is read. Headers are JSON, their bytes as Latin-1.
CREATE TABLE unparked (
    id TEXT PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL, log_offset INTEGER NOT NULL,
    key BLOB, value BLOB, headers BLOB NOT NULL, time INTEGER NOT NULL, reason TEXT NOT NULL
);

CREATE TABLE resent (letter TEXT NOT NULL, place TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (letter, place));
"""
