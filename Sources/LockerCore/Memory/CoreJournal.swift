package import SiteModel

/// The core's durable memory. What is recorded survives the end of the process; what is recorded as synced survives the end
/// of the power, too.
///
/// Everything is kept in the order in which it was handed over, whichever way.
package protocol CoreJournal: Sendable {
    /// Whether it can be written.
    var state: JournalState { get }
    /// What earlier runs left.
    var legacy: JournalLegacy { get }

    /// Puts `entries` into line behind all that was handed over before, and calls `done`, from any thread, once all of that is
    /// kept. Never blocks, so that whoever holds a lock or an actor while he calls it settles the order.
    ///
    /// A failure means that nothing of `entries` is kept, now or later; what was noted before waits for a better time.
    func submit(
        _ entries: [JournalEntry], synced: Bool,
        _ done: @escaping @Sendable (Result<Void, JournalFailure>) -> Void)

    /// Keeps entries soon, and never fails: what cannot be written waits, the oldest events give way. With `promptly` at
    /// once, otherwise together with whatever is recorded next.
    func note(_ entries: [JournalEntry], promptly: Bool)

    /// An operation of this or an earlier run.
    func operation(id: String) async throws(JournalFailure) -> KeptOperation?
    /// The operation that an idempotency key was used for.
    func operation(key: String) async throws(JournalFailure) -> KeptOperation?

    /// Entries of the audit, oldest first.
    func audit(_ query: AuditQuery) async throws(JournalFailure) -> AuditPage

    /// What stands for a text that must not be stored itself.
    func fingerprint(of text: String) -> String

    /// Says who is to be told. Called once, before anything is recorded.
    func observe(_ observer: JournalObserver)

    /// Writes what waits and lets go. What is recorded afterwards fails.
    func close() async
}

extension CoreJournal {
    /// ``submit(_:synced:_:)``, waited for. The order is settled only where nothing else is handed over meanwhile.
    package func record(
        _ entries: [JournalEntry], synced: Bool
    ) async throws(JournalFailure) {
        let result: Result<Void, JournalFailure> = await withCheckedContinuation { continuation in
            submit(entries, synced: synced) { continuation.resume(returning: $0) }
        }
        try result.get()
    }
}

/// Whom a journal tells what it does, from a thread of its own.
package struct JournalObserver: Sendable {
    /// After each commit that held events, the highest of their numbers; also of events that could not be kept, so that
    /// whoever listens now hears of them.
    package var written: @Sendable (UInt64) -> Void
    package var changed: @Sendable (JournalState) -> Void
    /// What earlier runs left, where that could be read only after this run had begun. Called before anything of this run is
    /// written: what was noted of lockers meanwhile is not, it is to be noted anew.
    package var late: @Sendable (JournalLegacy) -> Void

    package init(
        written: @escaping @Sendable (UInt64) -> Void = { _ in },
        changed: @escaping @Sendable (JournalState) -> Void = { _ in },
        late: @escaping @Sendable (JournalLegacy) -> Void = { _ in }
    ) {
        self.written = written
        self.changed = changed
        self.late = late
    }
}

/// Why something could not be kept or read, as one lower-case clause: `the disk is full`.
package struct JournalFailure: Error, Sendable, Equatable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        self.description = description
    }
}

/// Whether the journal keeps what it is given.
package enum JournalState: Sendable, Equatable {
    case durable
    /// By choice: no folder was given.
    case memory
    /// Ordinary opens are refused until it can be written again.
    case broken(reason: String)
}

/// What earlier runs left for this one.
package struct JournalLegacy: Sendable {
    /// Number of the newest event. Where nobody could find out, a number that none has reached: events of a run that began
    /// without its journal are never taken for others.
    package var lastSeq: UInt64 = 0
    /// The newest events, oldest first, at most ``EventLog/capacity``; those of the recovery are the last.
    package var events: [Event] = []
    /// By address.
    package var lockers: [String: KeptLocker] = [:]
    /// Operations of earlier runs whose outcome nobody wrote down, as they were closed at this start.
    package var recovered: [OperationView] = []
    /// Whether any idempotency key may have been kept: without one nobody needs to be looked up.
    package var hasKeys = false
    /// Up to which entry the logs of controllers are events already, by their ids.
    package var cursors: [String: Int64] = [:]

    package init() {}
}

/// One thing to keep.
package enum JournalEntry: Sendable {
    /// With its line in the audit. May come more than once, as long as the operation is under way: whoever is not sure that the
    /// journal knows it says it again, and it is kept once.
    case accepted(AcceptedOperation, AuditNote)
    /// A lock is about to be fired for `pulse`. No outcome after it means that it may have been.
    case intent(operation: String, locker: LockerIdentity, pulse: Duration)
    /// What one locker came to; also an amendment of an earlier result.
    case result(operation: String, LockerResult)
    case ended(operation: String, state: OperationView.State)
    case event(Event)
    /// What is known of a locker apart from its door.
    case locker(LockerIdentity, KeptLocker)
    case audit(AuditNote)
    /// The entries of a controller's own log up to that number are events of this site; kept in one with these.
    case cursor(controller: String, through: Int64)
}

/// An operation at its beginning.
package struct AcceptedOperation: Sendable {
    package let id: String
    package let kind: OperationView.Kind
    package let acceptedAt: WallTime
    package let lockers: [LockerIdentity]
    package let key: String?
    /// Stands for the parameters: equal for the same request, and tells nothing of them.
    package let fingerprint: String
    package let peer: Peer
    package let reason: String?

    package init(
        id: String, kind: OperationView.Kind, acceptedAt: WallTime, lockers: [LockerIdentity],
        key: String?, fingerprint: String, peer: Peer, reason: String?
    ) {
        self.id = id
        self.kind = kind
        self.acceptedAt = acceptedAt
        self.lockers = lockers
        self.key = key
        self.fingerprint = fingerprint
        self.peer = peer
        self.reason = reason
    }
}

/// An operation as the journal has it.
package struct KeptOperation: Sendable, Equatable {
    package let view: OperationView
    package let key: String?
    package let fingerprint: String
    package let peer: Peer
    package let reason: String?

    package init(
        view: OperationView, key: String?, fingerprint: String, peer: Peer, reason: String?
    ) {
        self.view = view
        self.key = key
        self.fingerprint = fingerprint
        self.peer = peer
        self.reason = reason
    }
}

/// What is kept of a locker.
package struct KeptLocker: Sendable, Equatable {
    package var service = ServiceState()
    package var lastOpen: LastOpen?
    package var wear = Wear()
    package var coil: KeptCoil?

    package init() {}
}

extension KeptLocker {
    /// What was set since stands, what was counted since is added.
    package mutating func merge(_ earlier: KeptLocker) {
        if service == ServiceState() { service = earlier.service }
        if lastOpen == nil { lastOpen = earlier.lastOpen }
        wear.add(earlier.wear)
    }
}

/// How warm a coil was. A clock that counts while the machine sleeps says how long ago; after another start of the machine
/// nobody knows, and the coil counts as no cooler.
package struct KeptCoil: Sendable, Equatable {
    /// On-time that has not been rested off yet.
    package var heat: Duration
    /// Milliseconds since the machine's start.
    package var atMs: Int64
    /// Names that start of the machine.
    package var machineBoot: String
    /// Pulses within the minute before.
    package var recent: Int

    package init(heat: Duration, atMs: Int64, machineBoot: String, recent: Int = 0) {
        self.recent = recent
        self.heat = heat
        self.atMs = atMs
        self.machineBoot = machineBoot
    }
}

/// One entry of the audit, before it is numbered and chained.
package struct AuditNote: Sendable {
    /// What was done, in one word each.
    package enum Act: String, Sendable, CaseIterable {
        case started, stopped, open
        case openAll = "open-all"
        /// What one locker came to.
        case outcome
        /// A door that opened only after its open had been called jammed.
        case amended
        /// An open whose outcome nobody wrote down before the daemon ended.
        case recovered
        case cancel, service, restart, reload
        /// Something a device was asked for; the subject says which, and what for.
        case act
    }

    package let act: Act
    package let stamp: AuditStamp
    /// Nil where the daemon itself acted.
    package var peer: Peer?
    package var operation: String?
    package var locker: LockerIdentity?
    /// How many lockers, of an `open-all`.
    package var lockers: Int?
    package var key: String?
    package var reason: String?
    package var isMaintenance = false
    package var result: LockerResult?
    package var service: ServiceState?
    /// A controller's, link's or version's name.
    package var subject: String?

    package init(_ act: Act, _ stamp: AuditStamp) {
        self.act = act
        self.stamp = stamp
    }
}

/// When something was done, by every clock there is.
package struct AuditStamp: Sendable, Equatable {
    package let at: WallTime
    /// Milliseconds since the machine's start, suspension included.
    package let monotonicMs: Int64
    /// Names the start of the daemon.
    package let bootID: String
    /// Names the start of the machine.
    package let machineBoot: String
    /// Whether the wall clock was synchronised.
    package let isSynchronized: Bool

    package init(
        at: WallTime, monotonicMs: Int64, bootID: String, machineBoot: String, isSynchronized: Bool
    ) {
        self.at = at
        self.monotonicMs = monotonicMs
        self.bootID = bootID
        self.machineBoot = machineBoot
        self.isSynchronized = isSynchronized
    }
}

/// Which entries of the audit.
package struct AuditQuery: Sendable {
    /// Only entries after this number.
    package var since: Int64
    /// Most entries in one answer.
    package var limit: Int
    /// Only entries about this locker, by address.
    package var locker: String?

    package init(since: Int64 = 0, limit: Int, locker: String? = nil) {
        self.since = since
        self.limit = limit
        self.locker = locker
    }
}

/// A part of the audit.
package struct AuditPage: Sendable, Equatable {
    /// Each entry as the JSON object it was kept as, its `hash` included.
    package var entries: [String] = []
    /// Number and hash of the newest entry, remembered apart from the entries; number 0 before the first.
    package var headNumber: Int64 = 0
    package var headHash = ""
    /// Number of the oldest entry that is kept, and the hash that it names as the one before it. Older ones were given up by age.
    package var firstNumber: Int64 = 1
    package var firstPrevious = ""

    package init() {}
}
