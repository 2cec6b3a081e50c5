PRAGMA user_version = 1;
-- What is needed to find, choose and forget an entry. The id is made of the kind and the key.
CREATE TABLE entries (
    id INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    expires_ms INTEGER NOT NULL,
    used_ms INTEGER NOT NULL,
    size INTEGER NOT NULL,
    body INTEGER NOT NULL
);
CREATE INDEX entries_by_use ON entries (used_ms);
CREATE INDEX entries_by_expiry ON entries (expires_ms);
-- The entries as bytes, in the order they came: apart, so that whoever walks through entries need not read them.
CREATE TABLE bodies (
    id INTEGER PRIMARY KEY,
    bytes BLOB NOT NULL
);
-- How much there is of each kind.
CREATE TABLE totals (
    kind INTEGER PRIMARY KEY,
    entries INTEGER NOT NULL,
    bytes INTEGER NOT NULL
);
CREATE TRIGGER entry_added AFTER INSERT ON entries BEGIN
    INSERT INTO totals VALUES (NEW.kind, 1, NEW.size)
        ON CONFLICT (kind) DO UPDATE SET entries = entries + 1, bytes = bytes + NEW.size;
END;
CREATE TRIGGER entry_removed AFTER DELETE ON entries BEGIN
    DELETE FROM bodies WHERE id = OLD.body;
    UPDATE totals SET entries = entries - 1, bytes = bytes - OLD.size WHERE kind = OLD.kind;
END;
