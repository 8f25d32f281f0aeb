import GRDB

/// Removes what is too old or too many, a portion at a time, so that nobody waits for it.
struct Retention {
    /// Rows removed at once.
    private static let portion = 1000
    /// Operations removed at once; an `open-all` brings a row for each locker along.
    private static let operationPortion = 64

    private let db: Database
    private let limits: JournalLimits
    private let isInMemory: Bool

    init(_ db: Database, _ limits: JournalLimits, isInMemory: Bool) {
        self.db = db
        self.limits = limits
        self.isInMemory = isInMemory
    }

    /// Each returns whether there may be more to remove.
    func events(_ head: inout JournalHead) throws -> Bool {
        // By rows and not by number: numbers may skip.
        let excess = head.events - limits.events
        guard excess > 0 else { return false }
        try db.run(
            "DELETE FROM events WHERE seq IN (SELECT seq FROM events ORDER BY seq LIMIT ?)",
            [min(excess, Self.portion)])
        head.events -= db.changesCount
        return db.changesCount == Self.portion
    }

    func audit(_ head: inout JournalHead) throws -> Bool {
        let kept = isInMemory ? limits.auditInMemory : limits.audit
        let first = min(
            head.auditNumber - Int64(kept) + 1, head.auditFirst + Int64(Self.portion))
        guard first > head.auditFirst else { return false }
        let find = try db.cachedStatement(sql: "SELECT hash FROM audit WHERE n = ?")
        // Where somebody has removed it, the entry after it still names its hash; the check will say what is missing.
        if let hash = try String.fetchOne(find, arguments: [first - 1]) {
            head.auditPrevious = hash
        }
        head.auditFirst = first
        try db.run("DELETE FROM audit WHERE n < ?", [first])
        return head.auditNumber - first + 1 > Int64(kept)
    }

    /// Makes the newest operations known to the indexes.
    func file(_ head: inout JournalHead) throws {
        guard head.filed < head.newestOperation else { return }
        try db.run("UPDATE operations SET filed = 1 WHERE n > ?", [head.filed])
        head.filed = head.newestOperation
    }

    func operations(_ head: inout JournalHead) throws -> Bool {
        let most =
            isInMemory ? min(limits.operations, limits.operationsInMemory) : limits.operations
        let find = try db.cachedStatement(
            sql: "SELECT n, total, state, age_ms FROM operations ORDER BY n LIMIT ?")
        let portion = Self.operationPortion + head.pending.count
        let oldest = try Row.fetchAll(find, arguments: [portion])
        var removed = 0
        for row in oldest where try row.value("state") != "pending" {
            let isTooOld = try row.value("age_ms") < head.age - limits.operationAgeMs
            let isTooMany =
                head.operations > most
                || head.operationLockers > limits.operationLockers
            guard isTooOld || isTooMany else { return false }
            let number: Int64 = try row.value("n")
            try db.run("DELETE FROM shots WHERE operation = ?", [number])
            try db.run("DELETE FROM operations WHERE n = ?", [number])
            head.operations = max(0, head.operations - 1)
            head.operationLockers = max(0, head.operationLockers - max(0, try row.value("total")))
            removed += 1
        }
        return removed > 0
    }
}
