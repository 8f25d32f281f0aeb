import AuditChain
import GRDB
import LockerCore

/// The one row that moves with every commit. In memory it moves only after the commit: what is rolled back never was.
struct JournalHead {
    var auditNumber: Int64 = 0
    var auditHash = AuditChain.genesis
    var auditFirst: Int64 = 1
    var auditPrevious = AuditChain.genesis
    /// The newest event number given out.
    var seq: UInt64 = 0
    /// The journal's own clock: how long daemons have kept this file, in milliseconds.
    var age: Int64 = 0
    /// Milliseconds since the start of the machine, at the same moment.
    var monotonic: Int64 = 0
    var machineBoot = ""
    /// Whether the last run took its leave.
    var isClean = true
    var operations = 0
    /// That the kept operations are about, in all.
    var operationLockers = 0
    /// Operations under way, by id.
    var pending: [String: OperationPlace] = [:]
    /// Operations that have ended in the commit under way.
    var ended: [String] = []
    /// How many are kept; counted when the file is opened.
    var events = 0
    /// Row of the newest operation.
    var newestOperation: Int64 = 0

    /// Row of the newest operation that the indexes know.
    var filed: Int64 = 0

    /// No operation before this row is pending.
    var pendingFrom: Int64 { pending.values.map(\.row).min() ?? newestOperation + 1 }

    init() {}

    /// Reads the row; nil in a new file.
    init?(_ db: Database) throws {
        guard let row = try Row.fetchOne(db, sql: "SELECT * FROM meta WHERE id = 1") else {
            return nil
        }
        auditNumber = try row.value("audit_n")
        auditHash = try row.value("audit_hash")
        auditFirst = try row.value("audit_first")
        auditPrevious = try row.value("audit_previous")
        seq = UInt64(clamping: try row.value("seq") as Int64)
        age = try row.value("age_ms")
        monotonic = try row.value("monotonic_ms")
        machineBoot = try row.value("machine_boot")
        isClean = try row.value("clean")
        operations = try row.value("operations")
        operationLockers = try row.value("lockers")
        filed = try row.value("filed")
        let from: Int64 = try row.value("pending_from")
        let under = try Row.fetchCursor(
            db, sql: "SELECT id, n, kind FROM operations WHERE n >= ? AND state = 'pending'",
            arguments: [from])
        while let row = try under.next() {
            pending[try row.value(0)] = OperationPlace(
                row: try row.value(1), kind: try row.value(2))
        }
        guard isPlausible else { throw ImplausibleHead() }
        events = try Int.fetchOne(db, sql: "SELECT count(*) FROM events") ?? 0
        newestOperation = try Int64.fetchOne(db, sql: "SELECT max(n) FROM operations") ?? 0
    }

    /// Whether one can count on from here. The file may have been written by anybody.
    private var isPlausible: Bool {
        let most: Int64 = 1 << 53
        return [
            auditNumber, auditFirst, Int64(clamping: seq), age, Int64(operations),
            Int64(operationLockers), filed,
        ].allSatisfy { (0..<most).contains($0) } && auditFirst <= auditNumber + 1
            && (-most..<most).contains(monotonic)
    }

    func write(_ db: Database) throws {
        try db.run(
            """
            INSERT OR REPLACE INTO meta VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """,
            [
                auditNumber, auditHash, auditFirst, auditPrevious, Int64(clamping: seq), age,
                monotonic, machineBoot, isClean, operations, operationLockers, pendingFrom,
                filed,
            ])
    }
}

/// Where an operation is kept.
struct OperationPlace {
    let row: Int64
    /// An `open` has its one result beside it.
    let isOpen: Bool

    init(row: Int64, kind: String) {
        self.row = row
        isOpen = kind == OperationView.Kind.open.rawValue
    }
}

/// The row holds what no journal writes.
struct ImplausibleHead: Error {}

extension Row {
    /// The value of a column. Throws where it is of another type, which a subscript would end the process for.
    func value<Value: DatabaseValueConvertible & StatementColumnConvertible>(_ column: String)
        throws -> Value
    {
        try decode(Value.self, forColumn: column)
    }

    func value<Value: DatabaseValueConvertible & StatementColumnConvertible>(_ index: Int) throws
        -> Value
    {
        try decode(Value.self, atIndex: index)
    }
}

extension Database {
    /// Runs a statement that is prepared once and kept.
    func run(_ sql: String, _ arguments: StatementArguments = StatementArguments()) throws {
        try cachedStatement(sql: sql).execute(arguments: arguments)
    }
}
