import CoreForms
import GRDB
import JSONLines
import LockerCore
import SiteModel

extension JournalEntry {
    var isEvent: Bool { if case .event = self { true } else { false } }
    var isCursor: Bool { if case .cursor = self { true } else { false } }

    /// Of a locker, with what an earlier run left of it.
    func merged(with earlier: [String: KeptLocker]) -> JournalEntry {
        guard case .locker(let locker, var kept) = self, let before = earlier[locker.address]
        else { return self }
        kept.merge(before)
        return .locker(locker, kept)
    }
}

extension Duration {
    /// Whole milliseconds, at least one: none means that nothing was intended.
    fileprivate var intendedMs: Int { max(1, Int((self / .milliseconds(1)).rounded(.up))) }
}

extension JournalStore {
    /// Writes one entry. What is about an operation that is not there is passed over: the disk could not be written when that
    /// was accepted.
    func apply(_ entry: JournalEntry, _ db: Database, _ head: inout JournalHead) throws {
        switch entry {
        case .accepted(let operation, let note):
            // Said again by somebody who was not sure.
            guard head.pending[operation.id] == nil, !head.ended.contains(operation.id),
                !ended.contains(operation.id)
            else { return }
            try add(operation, db, &head)
            try add(note, db, &head)
        case .intent(let operation, let locker, let pulse):
            guard let found = try place(of: operation, db, head) else { return }
            try db.run(
                found.isOpen
                    ? "UPDATE operations SET intended = ?2 WHERE n = ?1"
                    : """
                    INSERT INTO shots VALUES (?1, ?3, ?2, NULL)
                    ON CONFLICT(operation, locker) DO UPDATE SET intended = excluded.intended
                    """,
                found.isOpen
                    ? [found.row, pulse.intendedMs] : [found.row, pulse.intendedMs, locker.id])
        case .result(let operation, let result):
            guard let found = try place(of: operation, db, head) else { return }
            try write(result, row: found.row, isOpen: found.isOpen, db)
        case .ended(let operation, let state): try end(operation, state, db, &head)
        case .event(let event): try add(event, db, &head)
        case .locker(let locker, let kept):
            try db.run(
                "INSERT OR REPLACE INTO lockers VALUES (?, ?, ?)",
                [locker.address, locker.id, kept.json.text])
        case .audit(let note): try add(note, db, &head)
        case .cursor(let controller, let through):
            try db.run(
                "INSERT OR REPLACE INTO cursors VALUES (?, ?)", [controller, through])
        }
    }

    private func add(_ operation: AcceptedOperation, _ db: Database, _ head: inout JournalHead)
        throws
    {
        try db.run(
            "INSERT INTO operations VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'pending', ?, ?, 0, NULL, 0)",
            [
                operation.id, operation.kind.rawValue, operation.acceptedAt.milliseconds,
                LockerList.text(operation.lockers), operation.lockers.count, operation.key,
                operation.fingerprint, operation.peer.text, operation.reason, head.age,
                setting.bootID,
            ])
        head.newestOperation = db.lastInsertedRowID
        head.pending[operation.id] = OperationPlace(
            row: db.lastInsertedRowID, kind: operation.kind.rawValue)
        head.operations += 1
        head.operationLockers += operation.lockers.count
    }

    /// Nil where there is no such operation.
    private func place(of operation: String, _ db: Database, _ head: JournalHead) throws
        -> OperationPlace?
    {
        if let known = head.pending[operation] { return known }
        let find = try db.cachedStatement(sql: OperationSearch.newest("id"))
        guard let row = try Row.fetchOne(find, arguments: [operation, head.filed]) else {
            return nil
        }
        return OperationPlace(row: try row.value("n"), kind: try row.value("kind"))
    }

    func write(_ result: LockerResult, row: Int64, isOpen: Bool, _ db: Database) throws {
        if isOpen {
            try db.run("UPDATE operations SET result = ? WHERE n = ?", [result.json.text, row])
        } else {
            try db.run(
                """
                INSERT INTO shots VALUES (?, ?, 0, ?)
                ON CONFLICT(operation, locker) DO UPDATE SET result = excluded.result
                """, [row, result.locker.id, result.json.text])
        }
    }

    private func end(
        _ operation: String, _ state: OperationView.State, _ db: Database,
        _ head: inout JournalHead
    ) throws {
        guard let found = try place(of: operation, db, head) else { return }
        try db.run("UPDATE operations SET state = ? WHERE n = ?", [state.rawValue, found.row])
        head.pending[operation] = state == .pending ? found : nil
        if state != .pending { head.ended.append(operation) }
    }

    func add(_ event: Event, _ db: Database, _ head: inout JournalHead) throws {
        let record = RecordedEvent(event.body)
        let isOwn = record.locker.map { record.controllers == [$0.controller] } ?? false
        // A number that is there already is of an earlier run, whose events could not be read when this one began.
        try db.run(
            "INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                Int64(clamping: event.seq), event.at.milliseconds, record.type, record.locker?.id,
                record.locker?.address,
                isOwn ? nil : record.controllers.sorted().joined(separator: "\n"), record.members,
            ])
        head.events += db.changesCount
        head.seq = max(head.seq, event.seq)
    }

    func add(_ note: AuditNote, _ db: Database, _ head: inout JournalHead) throws {
        let number = head.auditNumber + 1
        let (text, hash) = AuditForms.entry(note, number: number, previous: head.auditHash)
        // A row that is there already was put there by somebody else.
        try db.run(
            "INSERT OR REPLACE INTO audit VALUES (?, ?, ?, ?)",
            [number, (note.locker ?? note.result?.locker)?.address, hash, text])
        head.auditNumber = number
        head.auditHash = hash
    }
}
