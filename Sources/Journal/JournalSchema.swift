import GRDB

/// The tables, by version. `PRAGMA user_version` says which one a file has.
enum JournalSchema {
    /// Each step leads from the version of its place to the next; a step that was ever released is never changed.
    static let steps = [version1, version2]

    static var version: Int { steps.count }

    /// Throws where the file is not for this program to write.
    static func check(_ db: Database, file: String) throws {
        let found = try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0
        guard found <= version else {
            throw StoreFailure(
                file: file,
                cause:
                    "it was written by a newer version of lockerd (\(found), this one knows \(version))",
                isPermanent: true)
        }
        if found == 0, try Int.fetchOne(db, sql: "SELECT count(*) FROM sqlite_master") ?? 0 > 0 {
            throw StoreFailure(
                file: file, cause: "it is the database of another program; move it away",
                isPermanent: true)
        }
    }

    /// Brings the file up to date, in one transaction with whatever the caller does.
    static func migrate(_ db: Database) throws {
        let found = try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0
        guard found < version else { return }
        for step in steps[found...] { try db.execute(sql: step) }
        try db.execute(sql: "PRAGMA user_version = \(version)")
    }

    /// How far the logs that devices keep themselves have become events.
    private static let version2 = """
        CREATE TABLE cursors(
            controller TEXT PRIMARY KEY, through INTEGER NOT NULL) STRICT, WITHOUT ROWID;
        """

    /// Narrow tables that grow at their end: a commit then touches few pages, and each costs 4 KiB in the log.
    private static let version1 = """
        CREATE TABLE meta(
            id INTEGER PRIMARY KEY CHECK (id = 1),
            -- of the newest entry of the audit, apart from the entries, so that a removed end shows
            audit_n INTEGER NOT NULL, audit_hash TEXT NOT NULL,
            -- of the oldest entry kept, and the hash of the one before it
            audit_first INTEGER NOT NULL, audit_previous TEXT NOT NULL,
            -- newest event number ever given out
            seq INTEGER NOT NULL,
            -- the journal's own clock, and the machine's at the same moment
            age_ms INTEGER NOT NULL, monotonic_ms INTEGER NOT NULL, machine_boot TEXT NOT NULL,
            clean INTEGER NOT NULL,
            operations INTEGER NOT NULL, lockers INTEGER NOT NULL,
            -- no operation before this one is pending
            pending_from INTEGER NOT NULL,
            -- the newest operation that the indexes know
            filed INTEGER NOT NULL) STRICT;
        CREATE TABLE operations(
            n INTEGER PRIMARY KEY,
            id TEXT NOT NULL, kind TEXT NOT NULL, accepted_ms INTEGER NOT NULL,
            -- [id, address, id, address, ...]
            lockers TEXT NOT NULL, total INTEGER NOT NULL,
            key TEXT, fingerprint TEXT NOT NULL, peer TEXT NOT NULL, reason TEXT,
            state TEXT NOT NULL, age_ms INTEGER NOT NULL, boot TEXT NOT NULL,
            -- of the one locker of an `open`; those of an `open-all` are in `shots`
            intended INTEGER NOT NULL, result TEXT,
            -- whether the indexes know it
            filed INTEGER NOT NULL) STRICT;
        -- Filled some operations at a time and later, because nobody is to wait for two more pages: the newest ones are found
        -- by looking at each.
        CREATE INDEX operation_id ON operations(id) WHERE filed = 1;
        CREATE INDEX operation_key ON operations(key) WHERE filed = 1 AND key IS NOT NULL;
        CREATE TABLE shots(
            operation INTEGER NOT NULL, locker INTEGER NOT NULL,
            -- whether the lock was about to be fired: 0, or for how many milliseconds
            intended INTEGER NOT NULL, result TEXT,
            PRIMARY KEY (operation, locker)) STRICT, WITHOUT ROWID;
        CREATE TABLE events(
            seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, type TEXT NOT NULL,
            locker INTEGER, address TEXT,
            -- separated by line feeds; NULL for the address's own
            controllers TEXT, members TEXT NOT NULL) STRICT;
        CREATE TABLE audit(
            n INTEGER PRIMARY KEY, locker TEXT, hash TEXT NOT NULL, entry TEXT NOT NULL) STRICT;
        CREATE TABLE lockers(
            address TEXT PRIMARY KEY, id INTEGER NOT NULL, kept TEXT NOT NULL) STRICT, WITHOUT ROWID;
        """
}
