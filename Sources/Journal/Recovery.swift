import CoreForms
import GRDB
import JSONLines
import LockerCore
import LockerKit
import SiteModel

/// Closes what earlier runs began and never ended. Nothing is fired: what was about to be is unknown from now on.
struct Recovery {
    private let store: JournalStore
    private let db: Database
    /// False where this run has given event numbers out already; then nobody could be told under a right one.
    private let tellsEvents: Bool

    init(_ store: JournalStore, _ db: Database, tellsEvents: Bool) {
        self.store = store
        self.db = db
        self.tellsEvents = tellsEvents
    }

    /// The operations as they were closed, oldest first.
    func run(_ head: inout JournalHead) throws -> [OperationView] {
        var closed: [OperationView] = []
        for number in head.pending.values.map(\.row).sorted() {
            guard
                let row = try Row.fetchOne(
                    db, sql: "SELECT * FROM operations WHERE n = ?", arguments: [number])
            else { continue }
            let kept = try KeptOperation(row, db)
            closed.append(try close(kept.view, row, &head))
        }
        head.pending = [:]
        return closed
    }

    private func close(_ view: OperationView, _ row: Row, _ head: inout JournalHead) throws
        -> OperationView
    {
        let number: Int64 = try row.value("n")
        let intended = try intended(view, row, number)
        var known: [Int: LockerResult] = [:]
        for result in view.results { known[result.locker.id] = result }
        var closed = view
        closed.state = .done
        closed.results = []
        for locker in view.lockers {
            if let result = known[locker.id] {
                closed.results.append(result)
                continue
            }
            let pulse = intended[locker.id]
            let mayHaveFired = pulse != nil
            let result = Self.result(locker, mayHaveFired: mayHaveFired)
            closed.results.append(result)
            try store.write(result, row: number, isOpen: view.kind == .open, db)
            // An `open` has an end in the audit whatever became of it; of an `open-all` only what may have fired is told.
            if mayHaveFired || view.kind == .open {
                try note(result, of: view, pulse, &head)
            }
        }
        try db.run("UPDATE operations SET state = 'done' WHERE n = ?", [number])
        if tellsEvents { try tell(closed, &head) }
        return closed
    }

    /// For how long which lockers were about to be fired.
    private func intended(
        _ view: OperationView, _ row: Row, _ number: Int64
    ) throws -> [Int: Duration] {
        if view.kind == .open {
            let pulse: Int = try row.value("intended")
            guard pulse > 0, let locker = view.lockers.first else { return [:] }
            return [locker.id: .milliseconds(pulse)]
        }
        var found: [Int: Duration] = [:]
        let rows = try Row.fetchCursor(
            db, sql: "SELECT locker, intended FROM shots WHERE operation = ? AND intended > 0",
            arguments: [number])
        while let row = try rows.next() {
            found[try row.value(0)] = .milliseconds(try row.value(1) as Int)
        }
        return found
    }

    private static func result(_ locker: LockerIdentity, mayHaveFired: Bool) -> LockerResult {
        if mayHaveFired {
            LockerResult(
                locker: locker,
                ending: .outcome(.unknown, evidence: .none, door: .unknown, timing: OpenTiming()))
        } else {
            LockerResult(
                locker: locker,
                ending: .failed(
                    LockerError(
                        .stopping, "the daemon ended before the lock could fire", fired: .no)))
        }
    }

    private func note(
        _ result: LockerResult, of view: OperationView, _ pulse: Duration?,
        _ head: inout JournalHead
    ) throws {
        var note = AuditNote(.recovered, store.setting.stamp())
        note.operation = view.id
        note.locker = result.locker
        note.result = result
        try store.add(note, db, &head)
        guard let pulse else { return }
        let text = try String.fetchOne(
            db, sql: "SELECT kept FROM lockers WHERE address = ?",
            arguments: [result.locker.address])
        var kept = text.flatMap { try? JSONReader.parse($0) }.map(KeptLocker.init) ?? KeptLocker()
        // Of the moment it was asked for: nobody knows a better one.
        kept.lastOpen = LastOpen(operation: view.id, at: view.acceptedAt, outcome: .unknown)
        // The pulse may have ended only now: a daemon that dies again and again burns no coil.
        kept.coil = KeptCoil(
            heat: (kept.coil?.heat ?? .zero) + pulse,
            atMs: store.setting.monotonicMs(), machineBoot: store.setting.machineBoot,
            recent: (kept.coil?.recent ?? 0) + 1)
        try store.apply(.locker(result.locker, kept), db, &head)
    }

    private func tell(_ view: OperationView, _ head: inout JournalHead) throws {
        let body = EventBody.operationDone(
            operation: view.id, kind: view.kind, scope: OperationScope(view.kind, view.lockers),
            result: view.kind == .open ? view.results.first : nil,
            summary: OpenAllSummary(view.results))
        let event = Event(seq: head.seq + 1, at: store.setting.wallClock(), body: body)
        try store.add(event, db, &head)
    }
}

extension KeptOperation {
    /// From a row of `operations`, its results beside it in the order of the lockers.
    init(_ row: Row, _ db: Database) throws {
        let lockers = LockerList.lockers(try row.value("lockers"))
        let kind = OperationView.Kind(rawValue: try row.value("kind")) ?? .open
        var results: [Int: LockerResult] = [:]
        if kind == .open {
            if let text = try row.value("result") as String?, let first = lockers.first {
                results[first.id] = Self.result(text)
            }
        } else {
            let find = try db.cachedStatement(
                sql: "SELECT locker, result FROM shots WHERE operation = ? AND result IS NOT NULL")
            let rows = try Row.fetchCursor(find, arguments: [try row.value("n") as Int64])
            while let row = try rows.next() {
                results[try row.value(0)] = Self.result(try row.value(1))
            }
        }
        self.init(
            view: OperationView(
                id: try row.value("id"), kind: kind,
                acceptedAt: WallTime(milliseconds: try row.value("accepted_ms")), lockers: lockers,
                state: OperationView.State(rawValue: try row.value("state")) ?? .done,
                results: lockers.compactMap { results[$0.id] }),
            key: try row.value("key"), fingerprint: try row.value("fingerprint"),
            peer: Peer(text: try row.value("peer")),
            reason: try row.value("reason"))
    }

    private static func result(_ text: String) -> LockerResult? {
        (try? JSONReader.parse(text)).flatMap(LockerResult.init)
    }
}
