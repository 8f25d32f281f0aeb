import AuditChain
import GRDB
package import LockerCore
import Locks
import Logging

/// The core's durable memory in one SQLite file, `journal.sqlite` in the state folder.
///
/// One thread of its own writes. Everything that has gathered while a commit ran goes into the next one, so that many who wait
/// share one sync. What was recorded as synced is safe from a power cut when `record` returns; everything else after about a
/// second (``JournalLimits/syncDelayMs``), and in any case after a crash of the daemon alone.
///
/// A disk that cannot be written makes the state `broken`: records fail at once, notes wait, and every few seconds somebody
/// tries again, so that it heals by itself. A damaged file, or one of a newer version, never does; it is left as it is.
///
/// After a power cut the newest events may be gone although clients have seen their numbers. Then the numbers move on by
/// ``JournalLimits/eventSkip``, more than can be missing, so that no number is ever given to two events. (One case is not
/// covered: a daemon that is killed while its disk could not be written.)
package final class SQLiteJournal: CoreJournal {
    package let legacy: JournalLegacy
    private let writer: JournalWriter
    private let lookups: JournalReader
    private let audits: JournalReader
    private let isInMemory: Bool

    package var state: JournalState { writer.state }

    private init(
        _ writer: JournalWriter, _ legacy: JournalLegacy, lookups: JournalReader,
        audits: JournalReader, isInMemory: Bool
    ) {
        self.isInMemory = isInMemory
        self.writer = writer
        self.legacy = legacy
        self.lookups = lookups
        self.audits = audits
    }

    /// Opens the journal in `directory`, which is made where there is none; without one it lives in memory.
    ///
    /// Blocks for a few milliseconds and for as long as the disk takes, so call it before anybody waits. Throws only where
    /// another daemon uses the folder; whatever else is wrong makes a journal whose state says so. `vfs` names a file layer of
    /// SQLite other than its own.
    package static func open(
        at directory: String?, _ setting: JournalSetting, vfs: String? = nil
    ) throws(JournalOpenFailure) -> SQLiteJournal {
        let lookups = JournalReader("journal lookups")
        // An audit of a large site takes a while; a lookup that decides about an open does not wait behind it.
        let audits = JournalReader("journal audits")
        let writer = JournalWriter(directory, setting, vfs: vfs, readers: [lookups, audits])
        do {
            let legacy = try writer.start()
            return SQLiteJournal(
                writer, legacy, lookups: lookups, audits: audits, isInMemory: directory == nil)
        } catch {
            throw JournalOpenFailure(description: error.cause)
        }
    }

    package func submit(
        _ entries: [JournalEntry], synced: Bool,
        _ done: @escaping @Sendable (Result<Void, JournalFailure>) -> Void
    ) {
        guard isInMemory else {
            writer.add(.record(entries, synced: synced, done))
            return
        }
        // Nothing in memory outlives the process, written or not: there is nothing to wait for.
        let isTaken = writer.add(.note(entries, promptly: !entries.isEmpty))
        done(isTaken ? .success(()) : .failure(JournalFailure("the journal is closed")))
    }

    /// What reads has to see what was handed over before it, also where nobody waited for that.
    private func settle() async {
        guard isInMemory else { return }
        await withCheckedContinuation { continuation in
            writer.add(.record([], synced: false, { _ in continuation.resume() }))
        }
    }

    package func note(_ entries: [JournalEntry], promptly: Bool) {
        guard !entries.isEmpty else { return }
        writer.add(.note(entries, promptly: promptly))
    }

    package func operation(id: String) async throws(JournalFailure) -> KeptOperation? {
        try await find("id", id)
    }

    package func operation(key: String) async throws(JournalFailure) -> KeptOperation? {
        try await find("key", key)
    }

    /// The newest one: a key may be used again once the core has forgotten it.
    private func find(_ column: String, _ value: String) async throws(JournalFailure)
        -> KeptOperation?
    {
        await settle()
        let oldest = writer.oldestAge
        return try await lookups.read { db in
            let head = try db.cachedStatement(sql: "SELECT filed FROM meta")
            let filed = try Int64.fetchOne(head) ?? 0
            let find = try db.cachedStatement(sql: OperationSearch.newest(column))
            guard let row = try Row.fetchOne(find, arguments: [value, filed]) else { return nil }
            // Too old, and only not removed yet.
            let age: Int64 = try row.value("age_ms")
            if age < oldest, try row.value("state") != "pending" { return nil }
            return try KeptOperation(row, db)
        }
    }

    package func audit(_ query: AuditQuery) async throws(JournalFailure) -> AuditPage {
        await settle()
        return try await audits.read { db in
            var page = AuditPage()
            page.headHash = AuditChain.genesis
            page.firstPrevious = AuditChain.genesis
            let row = try Row.fetchOne(
                db.cachedStatement(
                    sql: "SELECT audit_n, audit_hash, audit_first, audit_previous FROM meta"))
            guard let row else { return page }
            page.headNumber = try row.value(0)
            page.headHash = try row.value(1)
            page.firstNumber = try row.value(2)
            page.firstPrevious = try row.value(3)
            page.entries = try String.fetchAll(
                db.cachedStatement(
                    sql: """
                        SELECT entry FROM audit WHERE n > ?1 AND (?2 IS NULL OR locker = ?2)
                        ORDER BY n LIMIT ?3
                        """), arguments: [query.since, query.locker, max(0, query.limit)])
            return page
        }
    }

    package func fingerprint(of text: String) -> String { AuditChain.digest(text.utf8) }

    package func observe(_ observer: JournalObserver) { writer.observe(observer) }

    package func close() async {
        await withCheckedContinuation { continuation in writer.close(continuation) }
    }
}
