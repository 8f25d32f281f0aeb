import CoreForms
import GRDB
import GRDBSQLite
import LockerCore
import Logging
import SiteModel

/// The open database, and what is remembered of it between commits. One thread at a time uses it.
final class JournalStore {
    let setting: JournalSetting
    /// Nil for a database in memory.
    let file: String?
    let queue: DatabaseQueue
    let clock: AgeClock
    private(set) var head: JournalHead
    /// Operations that have ended lately: whoever still says that they were accepted is late.
    private(set) var ended = RecentNames()
    /// A sync has failed. What it was to keep may never reach the disk, whatever later syncs say, and everything behind it in the
    /// log would be lost with it.
    private var isLogDoubtful = false
    /// The disk was full, and has not had room for more than a few pages since.
    private var lacksRoom = false
    /// Events committed since the last sync.
    private(set) var unsyncedEvents = 0
    /// Something was committed that a power cut may take.
    private(set) var isUnsynced = false
    /// Nil before the first commit, whose level is set whatever it was.
    private var isFullSync: Bool?
    private let logSize: LogSize
    /// Pages at which the next attempt to copy the log is worth while, after one that could not copy all of it.
    private var nextCheckpoint = 0
    /// Rows that have come since rows were last removed.
    private var eventsAdded = 0
    private var auditAdded = 0
    private var operationsAdded = 0

    var name: String { file ?? "memory" }
    var limits: JournalLimits { setting.limits }

    /// Takes over a connection that ``JournalOpening`` has made ready.
    init(
        _ queue: DatabaseQueue, _ db: Database, file: String?, head: JournalHead, clock: AgeClock,
        setting: JournalSetting
    ) {
        self.queue = queue
        self.file = file
        self.head = head
        self.clock = clock
        self.setting = setting
        logSize = LogSize(db)
        // Whatever an earlier run left beyond the limits goes with the first occasion.
        eventsAdded = setting.limits.slack
        auditAdded = setting.limits.slack
        operationsAdded = setting.limits.slack
    }

    /// After the opening has committed what it changed.
    func adopt(_ head: JournalHead) { self.head = head }

    /// Keeps the entries in one transaction: all of them, or none and the reason.
    func commit(_ entries: [JournalEntry], synced: Bool) throws(StoreFailure) {
        let events = entries.count { $0.isEvent }
        let isFull = synced || unsyncedEvents + events > limits.unsyncedEvents
        try renewLog()
        var next = head
        (next.age, next.monotonic) = clock.read()
        next.ended = []
        do {
            try perform(full: isFull) { db in
                for entry in entries { try self.apply(entry, db, &next) }
                try next.write(db)
            }
        } catch {
            lacksRoom = lacksRoom || error.isFull
            throw error
        }
        ended.add(next.ended)
        head = next
        if isFull { noteSync() } else { noteUnsynced(events: events) }
        eventsAdded += events
        for entry in entries {
            switch entry {
            case .audit: auditAdded += 1
            case .accepted: operationsAdded += 1
            default: break
            }
        }
    }

    private func noteSync() {
        isUnsynced = false
        unsyncedEvents = 0
    }

    private func noteUnsynced(events: Int) {
        isUnsynced = true
        unsyncedEvents += events
    }

    /// Makes sure that a power cut takes nothing of what was committed so far.
    func flush() throws(StoreFailure) {
        guard isUnsynced else { return }
        if file != nil {
            do {
                try queue.inDatabase { db in
                    guard let log = WriteAheadLog(db) else { return }
                    try log.sync()
                }
            } catch {
                isLogDoubtful = true
                throw StoreFailure(name, error)
            }
        }
        noteSync()
    }

    /// Runs `body` in a transaction that is rolled back where it fails.
    private func perform(full: Bool, _ body: (Database) throws -> Void) throws(StoreFailure) {
        do {
            try queue.inDatabase { db in
                if full != isFullSync {
                    // Takes effect when it is compiled, so it must not be one of the kept statements.
                    try db.execute(sql: "PRAGMA synchronous = \(full ? "FULL" : "NORMAL")")
                    isFullSync = full
                }
                if db.isInsideTransaction { try db.run("ROLLBACK") }
                try db.run("BEGIN IMMEDIATE")
                do {
                    try body(db)
                    try db.run("COMMIT")
                } catch {
                    // SQLite may have rolled it back already.
                    if db.isInsideTransaction { try? db.run("ROLLBACK") }
                    throw error
                }
            }
        } catch {
            if (error as? DatabaseError)?.resultCode == .SQLITE_IOERR {
                isLogDoubtful = file != nil
            }
            throw StoreFailure(name, error)
        }
    }

    /// After a sync that failed: copies everything into the database, which is synced, and begins the log anew.
    private func renewLog() throws(StoreFailure) {
        guard isLogDoubtful else { return }
        do {
            try queue.inDatabase { db in
                let code = sqlite3_wal_checkpoint_v2(
                    db.sqliteConnection, nil, SQLITE_CHECKPOINT_TRUNCATE, nil, nil)
                guard code == SQLITE_OK else {
                    throw DatabaseError(resultCode: ResultCode(rawValue: code))
                }
            }
        } catch { throw StoreFailure(name, error) }
        logSize.pages = 0
        isLogDoubtful = false
    }

    /// Removes a portion of what is beyond the limits; true where there may be more.
    func prune() throws(StoreFailure) -> Bool {
        let slack = limits.slack
        let unfiled = head.newestOperation - head.filed
        guard
            eventsAdded >= slack || auditAdded >= slack || operationsAdded >= slack
                || unfiled >= limits.unfiledOperations
        else { return false }
        var next = head
        (next.age, next.monotonic) = clock.read()
        var (moreEvents, moreAudit, moreOperations) = (false, false, false)
        try perform(full: false) { db in
            let retention = Retention(db, self.limits, isInMemory: self.file == nil)
            moreEvents = try retention.events(&next)
            moreAudit = try retention.audit(&next)
            moreOperations = try retention.operations(&next)
            try retention.file(&next)
            try next.write(db)
        }
        head = next
        noteUnsynced(events: 0)
        if !moreEvents { eventsAdded = 0 }
        if !moreAudit { auditAdded = 0 }
        if !moreOperations { operationsAdded = 0 }
        return moreEvents || moreAudit || moreOperations
    }

    /// Copies the log into the database where it has that many pages. A failure is no loss: everything is in the log.
    func checkpoint(from pages: Int) {
        guard file != nil, logSize.pages >= max(pages, nextCheckpoint) else { return }
        queue.inDatabase { db in
            var total: Int32 = 0
            var copied: Int32 = 0
            let code = sqlite3_wal_checkpoint_v2(
                db.sqliteConnection, nil, SQLITE_CHECKPOINT_PASSIVE, &total, &copied)
            if code == SQLITE_OK, total == copied {
                logSize.pages = 0
                nextCheckpoint = 0
            } else {
                if code & 0xFF == SQLITE_IOERR { isLogDoubtful = true }
                // A reader holds some of it back, or the disk is full. To try with every commit would help nobody.
                nextCheckpoint = logSize.pages + limits.idleWalPages
            }
        }
    }

    /// Lengthens the log ahead of its use, see ``JournalLimits/reservedWalPages``. Where that fails it grows by itself.
    func reserveLog() {
        guard file != nil, limits.reservedWalPages > 0 else { return }
        try? queue.inDatabase { db in
            // Within a transaction nobody else writes to the log.
            try db.run("BEGIN IMMEDIATE")
            WriteAheadLog(db)?.reserve(pages: limits.reservedWalPages)
            try db.run("ROLLBACK")
        }
    }

    /// Why nothing new may be begun, though a little may still be written: the disk was full and still is, or nearly.
    ///
    /// Without this, the last few pages would take a small entry and refuse a large one, in turns, and the journal would count
    /// as broken and mended with each.
    func wantOfRoom() -> StoreFailure? {
        guard lacksRoom, file != nil else { return nil }
        lacksRoom = !hasRoom()
        if lacksRoom, hasItsPages() {
            // Copying takes no room then, and gives the log all that it has had.
            nextCheckpoint = 0
            checkpoint(from: 1)
            lacksRoom = !hasRoom()
        }
        return lacksRoom ? StoreFailure(name, DatabaseError(resultCode: .SQLITE_FULL)) : nil
    }

    /// Whether the database's own file is as large as it will be with what the log holds.
    private func hasItsPages() -> Bool {
        let missing = try? queue.inDatabase { db in try WriteAheadLog.missingBytes(db) }
        return missing == 0
    }

    private func hasRoom() -> Bool {
        let found = try? queue.inDatabase { db in
            try db.run("BEGIN IMMEDIATE")
            defer { try? db.run("ROLLBACK") }
            return WriteAheadLog(db)?.reserve(pages: logSize.pages + limits.roomPages) ?? true
        }
        return found == true
    }

    /// Takes its leave: the next run will know that nothing was lost.
    func close() throws(StoreFailure) {
        var last = head
        (last.age, last.monotonic) = clock.read()
        last.isClean = true
        try perform(full: true) { db in try last.write(db) }
        head = last
        noteSync()
        do { try queue.close() } catch { throw StoreFailure(name, error) }
    }
}
