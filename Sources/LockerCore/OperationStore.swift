import LockerKit
import SiteModel

/// One accepted operation.
final class OperationRecord {
    /// What was asked for, for telling a repeated key from a reused one.
    enum Identity: Equatable, Sendable {
        /// Of an earlier run: what stands for it in the journal.
        case kept(fingerprint: String)
        case open(
            locker: Int, reason: String?, token: OpenToken?, isMaintenance: Bool,
            isAgain: Bool = false)
        /// The scope as it was asked for: a site that has grown since makes no other request of it.
        case openAll(
            controller: String?, bank: String?, lockers: Set<LockerSelector>?, reason: String?,
            includesOutOfService: Bool)
    }

    let ticket: Ticket
    let identity: Identity
    let acceptedAt: ContinuousClock.Instant
    /// Who asked, and why.
    let peer: Peer
    let reason: String?
    var view: OperationView

    init(
        view: OperationView, identity: Identity, acceptedAt: ContinuousClock.Instant, peer: Peer,
        reason: String?, opening: [JournalEntry] = []
    ) {
        ticket = Ticket(opening: opening)
        self.peer = peer
        self.reason = reason
        self.view = view
        self.identity = identity
        self.acceptedAt = acceptedAt
    }
}

extension OperationRecord.Identity {
    /// The parameters as one text, the same for the same request. Holds a token, so it is never stored itself.
    var text: String {
        switch self {
        case .kept(let fingerprint): fingerprint
        case .open(let locker, let reason, let token, let isMaintenance, let isAgain):
            Self.join(
                [
                    "open", String(locker), reason, token?.payload, token?.payloadAuth,
                    String(isMaintenance),
                ] + (isAgain ? ["again"] : []))
        case .openAll(let controller, let bank, let lockers, let reason, let includes):
            Self.join([
                "open-all", controller, bank, lockers.map(Self.list), reason, String(includes),
            ])
        }
    }

    private static func list(_ lockers: Set<LockerSelector>) -> String {
        join(
            lockers.map { selector in
                switch selector {
                case .id(let id): "#\(id)"
                case .address(let address): address
                }
            }.sorted())
    }

    /// Each part with its length before it, so that no two lists make the same text.
    private static func join(_ parts: [String?]) -> String {
        parts.map { part in part.map { "\($0.utf8.count):\($0)" } ?? "-" }.joined()
    }
}

/// Operations by id and by idempotency key, forgotten by age and number.
struct OperationStore {
    /// How long an operation and its key are kept.
    static let lifetime: Duration = .seconds(24 * 3600)
    /// How many are kept at most; the oldest finished one goes first.
    static let capacity = 100_000
    /// As many where a journal on disk has all of them: what is forgotten here is found there.
    static let capacityBesideJournal = 10_000

    /// Lockers that all kept operations may be about; the oldest finished operation goes first.
    static let lockerCapacity = 1_000_000
    /// Operations that may be under way at once; one more is refused as busy.
    static let pendingLimit = 1024
    /// Lockers that operations under way may be about, in all: twice as many as the largest site has.
    static let pendingLockerLimit = 131_072

    var capacity = Self.capacity
    /// A key was dropped that a journal may still know.
    private(set) var hasForgottenKeys = false
    private(set) var pendingCount = 0
    private(set) var pendingLockerCount = 0
    private var lockerCount = 0
    private var records: [String: OperationRecord] = [:]
    private var keys: [String: String] = [:]
    private var keyOf: [String: String] = [:]
    /// Ids by age; what stands before `oldest` is gone.
    private var order: [String] = []
    private var oldest = 0

    subscript(id: String) -> OperationRecord? { records[id] }

    func record(key: String) -> OperationRecord? { keys[key].flatMap { records[$0] } }

    var pending: [OperationRecord] { records.values.filter { $0.view.state == .pending } }

    mutating func add(_ record: OperationRecord, key: String?) {
        let id = record.view.id
        records[id] = record
        order.append(id)
        pendingCount += 1
        pendingLockerCount += record.view.lockers.count
        lockerCount += record.view.lockers.count
        if let key {
            keys[key] = id
            keyOf[id] = key
        }
    }

    /// An operation of an earlier run, which has ended.
    mutating func adopt(_ record: OperationRecord, key: String?) {
        guard records[record.view.id] == nil else { return }
        add(record, key: key.flatMap { keys[$0] == nil ? $0 : nil })
        noteEnd(of: record)
        record.ticket.finish()
    }

    /// Its key may be used again: nothing was fired, and nothing kept.
    mutating func releaseKey(of id: String) {
        guard let key = keyOf.removeValue(forKey: id) else { return }
        keys[key] = nil
    }

    /// The operation is no longer under way.
    mutating func noteEnd(of record: OperationRecord) {
        pendingCount -= 1
        pendingLockerCount -= record.view.lockers.count
    }

    /// Drops what is too old or too many. A pending operation is never dropped.
    mutating func prune(now: ContinuousClock.Instant) {
        while oldest < order.count, let record = records[order[oldest]] {
            let isTooOld = record.acceptedAt.duration(to: now) > Self.lifetime
            let isTooMany = records.count > capacity || lockerCount > Self.lockerCapacity
            guard isTooOld || isTooMany, record.view.state != .pending else { break }
            let id = order[oldest]
            records[id] = nil
            lockerCount -= record.view.lockers.count
            if let key = keyOf.removeValue(forKey: id) {
                keys[key] = nil
                hasForgottenKeys = true
            }
            oldest += 1
        }
        if oldest > 4096, oldest > order.count / 2 {
            order.removeFirst(oldest)
            oldest = 0
        }
    }
}
