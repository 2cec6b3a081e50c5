-- What was measured, over time. Stages and levels are named once.
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    component TEXT NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (component, name)
);
-- A stage in a period: how long it took (antiphon_core::measure::Snapshot as bytes) and how often it failed.
CREATE TABLE spans (
    period_s INTEGER NOT NULL,
    at INTEGER NOT NULL,
    series INTEGER NOT NULL REFERENCES series (id),
    errors INTEGER NOT NULL,
    spans BLOB NOT NULL,
    PRIMARY KEY (period_s, at, series)
) WITHOUT ROWID;
-- A level in a period, on average.
CREATE TABLE levels (
    period_s INTEGER NOT NULL,
    at INTEGER NOT NULL,
    series INTEGER NOT NULL REFERENCES series (id),
    value REAL NOT NULL,
    PRIMARY KEY (period_s, at, series)
) WITHOUT ROWID;
-- Profiles, benchmark results, load tests and the optimizer's log, as JSON: kept by kind, the latest first.
CREATE TABLE documents (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    at INTEGER NOT NULL,
    machine TEXT NOT NULL,
    subject TEXT NOT NULL,
    content TEXT NOT NULL
);
CREATE INDEX documents_by_kind ON documents (kind, subject, machine, at);
