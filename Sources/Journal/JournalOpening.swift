import GRDB
import JSONLines
import LockerCore
import Logging
import SiteModel

/// From a folder to a store that can be written, with what earlier runs left.
struct JournalOpening {
    let setting: JournalSetting
    /// Nil for a database in memory.
    let file: String?
    /// SQLite's file layer by name; nil for its own. Tests put failing disks in its place.
    let vfs: String?

    struct Opened {
        let store: JournalStore
        let legacy: JournalLegacy
        /// The last run did not take its leave, and the file is too large to be checked in a hurry.
        let needsCheck: Bool
    }

    private var name: String { file ?? "memory" }

    /// What SQLite calls the database.
    var location: String { Self.location(file, vfs) }

    static func location(_ file: String?, _ vfs: String?) -> String {
        guard let file else { return ":memory:" }
        guard let vfs else { return file }
        var escaped = ""
        for byte in file.utf8 {
            let isPlain =
                UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte
                || UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte
                || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
                || byte == UInt8(ascii: "/") || byte == UInt8(ascii: ".")
                || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
            let digits = String(byte, radix: 16)
            escaped +=
                isPlain
                ? String(UnicodeScalar(byte)) : "%" + (digits.count < 2 ? "0" : "") + digits
        }
        return "file:\(escaped)?vfs=\(vfs)"
    }

    static func configuration(readonly: Bool) -> Configuration {
        var configuration = Configuration()
        configuration.label = "journal"
        configuration.readonly = readonly
        configuration.foreignKeysEnabled = false
        // A transaction that cannot even be rolled back is no reason to end the daemon; the next one sees to it.
        configuration.allowsUnsafeTransactions = true
        // Somebody looks into the file with another program, and has locked it for a moment.
        configuration.busyMode = .timeout(0.5)
        configuration.prepareDatabase { db in
            try db.execute(sql: "PRAGMA cache_size = -512")
            try db.execute(sql: "PRAGMA temp_store = MEMORY")
        }
        return configuration
    }

    /// With `isLate` this run has begun without the file, and has given event numbers out.
    func open(isLate: Bool) throws(StoreFailure) -> Opened {
        var queue: DatabaseQueue?
        do {
            let opened = try DatabaseQueue(
                path: location, configuration: Self.configuration(readonly: false))
            queue = opened
            return try opened.inDatabase { db in
                try tune(db)
                return try start(opened, db, isLate: isLate)
            }
        } catch {
            try? queue?.close()
            throw error as? StoreFailure ?? StoreFailure(name, error)
        }
    }

    private func tune(_ db: Database) throws {
        // First of all: what is not ours, or not yet, is left as it is.
        try JournalSchema.check(db, file: name)
        // Debian's SQLite overwrites what is deleted, which makes every removal a write.
        try db.execute(sql: "PRAGMA secure_delete = OFF")
        guard file != nil else { return }
        let mode = try String.fetchOne(db, sql: "PRAGMA journal_mode = WAL")
        guard mode == "wal" else {
            throw StoreFailure(
                file: name, cause: "its file system has no shared memory; want a local one")
        }
        try db.execute(sql: "PRAGMA journal_size_limit = \(16 << 20)")
        try db.execute(sql: "PRAGMA synchronous = FULL")
    }

    /// Everything that opening changes, in one transaction, and then what earlier runs left.
    private func start(_ queue: DatabaseQueue, _ db: Database, isLate: Bool) throws -> Opened {
        var opened: (store: JournalStore, head: JournalHead, legacy: JournalLegacy)?
        var needsCheck = false
        try db.inTransaction(.immediate) {
            try JournalSchema.migrate(db)
            var head = try JournalHead(db) ?? JournalHead()
            if !head.isClean { needsCheck = try !check(db) }
            try compareEnds(db, head)
            let clock = AgeClock(
                head, machineBoot: setting.machineBoot, monotonicMs: setting.monotonicMs)
            if !head.isClean, head.machineBoot != setting.machineBoot {
                head.seq += setting.limits.eventSkip
            }
            (head.age, head.monotonic) = clock.read()
            head.machineBoot = setting.machineBoot
            head.isClean = false
            let store = JournalStore(
                queue, db, file: file, head: head, clock: clock, setting: setting)
            var legacy = JournalLegacy()
            legacy.recovered = try Recovery(store, db, tellsEvents: !isLate).run(&head)
            try head.write(db)
            opened = (store, head, legacy)
            return .commit
        }
        guard let (store, head, found) = opened else {
            throw StoreFailure(file: name, cause: "it could not be read")
        }
        store.adopt(head)
        var legacy = found
        try legacy.load(db, head, events: isLate ? 0 : setting.limits.events)
        return Opened(store: store, legacy: legacy, needsCheck: needsCheck)
    }

    /// Looks for damage after a run that did not take its leave; false where the file is too large to do that now.
    private func check(_ db: Database) throws -> Bool {
        let pages = try Int64.fetchOne(db, sql: "PRAGMA page_count") ?? 0
        let size = try Int64.fetchOne(db, sql: "PRAGMA page_size") ?? 4096
        guard pages * size <= setting.limits.checkedBytes else { return false }
        try Self.check(db, file: name)
        return true
    }

    static func check(_ db: Database, file: String) throws {
        let found = try String.fetchOne(db, sql: "PRAGMA quick_check(1)") ?? "nothing"
        guard found != "ok" else { return }
        throw StoreFailure(
            file: file,
            cause: "it is damaged (\(found.prefix(200))); keep a copy for repair and move it away",
            isPermanent: true)
    }

    /// The audit's last row has to be the one that the head remembers. Where it is not, the audit goes on from the head all the
    /// same: to number anew would hide what was done.
    private func compareEnds(_ db: Database, _ head: JournalHead) throws {
        let last = try Row.fetchOne(db, sql: "SELECT n, hash FROM audit ORDER BY n DESC LIMIT 1")
        let number = try last?.value("n") as Int64? ?? 0
        let hash = try last?.value("hash") as String? ?? head.auditHash
        guard number != head.auditNumber || hash != head.auditHash else { return }
        setting.logger.error(
            "the audit has been changed: its last entry is not the one that was written last",
            metadata: [
                "file": "\(name)", "last": "\(number)", "written": "\(head.auditNumber)",
            ])
    }
}

extension JournalLegacy {
    /// Reads what the core begins with.
    fileprivate mutating func load(_ db: Database, _ head: JournalHead, events limit: Int) throws {
        lastSeq = head.seq
        hasKeys =
            try Bool.fetchOne(
                db, sql: "SELECT EXISTS (SELECT 1 FROM operations WHERE key IS NOT NULL)") ?? false
        events.reserveCapacity(min(limit, 10_000))
        let rows = try Row.fetchCursor(
            db,
            sql: """
                SELECT seq, at_ms, type, locker, address, controllers, members FROM events
                ORDER BY seq DESC LIMIT ?
                """, arguments: [limit])
        while let row = try rows.next() { events.append(try Event(row)) }
        events.reverse()
        let logs = try Row.fetchCursor(db, sql: "SELECT controller, through FROM cursors")
        while let row = try logs.next() { cursors[try row.value(0)] = try row.value(1) as Int64 }
        let kept = try Row.fetchCursor(db, sql: "SELECT address, kept FROM lockers")
        while let row = try kept.next() {
            let address: String = try row.value(0)
            lockers[address] = KeptLocker(
                json: (try? JSONReader.parse(try row.value(1) as String)) ?? .null)
        }
    }
}

extension Event {
    /// From a row of `events`.
    fileprivate init(_ row: Row) throws {
        var locker: LockerIdentity?
        if let id = try row.value(3) as Int?, let address = try row.value(4) as String? {
            locker = LockerIdentity(id: id, address: address)
        }
        var controllers: Set<String> = []
        if let text = try row.value(5) as String? {
            controllers = Set(text.split(separator: "\n").map(String.init))
        } else if let locker {
            controllers = [locker.controller]
        }
        self.init(
            seq: UInt64(clamping: try row.value(0) as Int64),
            at: WallTime(milliseconds: try row.value(1)),
            body: .recorded(
                RecordedEvent(
                    type: try row.value(2), locker: locker, controllers: controllers,
                    members: try row.value(6))))
    }
}
