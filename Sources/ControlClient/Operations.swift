package import JSONLines

/// A locker's name in results and events.
public struct LockerName: Sendable, Hashable {
    /// Site-wide number; nil where the daemon gave only the address.
    public let id: Int?
    /// `controller/number`.
    public let address: String

    package init?(_ json: JSON?) {
        if let address = json?.stringValue {
            (id, self.address) = (nil, address)
        } else if let address = json?["address"]?.stringValue {
            (id, self.address) = (json?["id"]?.intValue, address)
        } else if let id = json?.intValue ?? json?["id"]?.intValue {
            (self.id, address) = (id, String(id))
        } else {
            return nil
        }
    }

    static func read(_ json: JSON?, at place: String) throws(ControlError) -> LockerName {
        guard let name = LockerName(json) else {
            throw .malformed("\(place): want a locker, got \(json?.kind ?? "nothing")")
        }
        return name
    }
}

/// How the lock of one locker was opened, or was not.
public struct Outcome: OpenWord {
    /// The word on the wire.
    public let rawValue: String
    /// Takes any word.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// Fired, and the evidence says open.
    public static let opened = Outcome(rawValue: "opened")
    /// The door stood open before.
    public static let alreadyOpen = Outcome(rawValue: "already-open")
    /// Fired; the door was seen open only after the usual time.
    public static let openedLate = Outcome(rawValue: "opened-late")
    /// Fired; nothing can prove more.
    public static let pulsed = Outcome(rawValue: "pulsed")
    /// Fired; the sensor says still closed.
    public static let jammed = Outcome(rawValue: "jammed")
    /// Fired or not cannot be known.
    public static let unknown = Outcome(rawValue: "unknown")
    /// Left alone on purpose, by an open-all.
    public static let skipped = Outcome(rawValue: "skipped")
}

/// How one locker fared in an operation.
public struct LockerResult: Sendable, Equatable {
    /// Which locker.
    public let locker: LockerName
    /// Nil where it ended in `fault`.
    public let outcome: Outcome?
    /// What the outcome rests on: `door-sensor`, `lock-feedback`, `echo`, `none`.
    public let evidence: String?
    /// From the pulse to the door seen open, in milliseconds.
    public let doorMs: Double?
    /// How often the order was given; more than once only where the one before never reached the board.
    public let attempts: Int
    /// Why it was skipped.
    public let reason: String?
    /// Why it was not opened; nil where `outcome` says how it ended.
    public let fault: DaemonFault?

    /// Whether the door is open, as far as anybody can know.
    public var isOpened: Bool {
        switch outcome {
        case .opened?, .alreadyOpen?, .openedLate?, .pulsed?: true
        default: false
        }
    }

    package init(_ json: JSON, at place: String) throws(ControlError) {
        let fields = try Fields(json, at: place)
        locker = try LockerName.read(fields["locker"], at: fields.path("locker"))
        outcome = fields["outcome"]?.stringValue.map(Outcome.init(rawValue:))
        evidence = fields["evidence"]?.stringValue
        doorMs = fields["timing"]?["doorMs"]?.doubleValue
        reason = fields["reason"]?.stringValue
        fault = fields["error"].map(DaemonFault.init)
        attempts = fields["attempts"]?.intValue ?? fault?.attempts ?? 1
    }
}

/// An accepted `open` or `open-all`, as far as it has come.
public struct OperationResult: Sendable {
    /// The operation's id.
    public let operation: String
    /// `pending`, `done` or `cancelled`.
    public let state: String
    /// Results so far; one for an `open` that is done.
    public let results: [LockerResult]
    /// Counts, of an `open-all` only.
    public let summary: Summary?
    /// Lockers it is about, where the daemon told.
    public let total: Int?
    /// How long an `open-all` was expected to take when it began, in milliseconds, where the daemon told.
    public let estimateMs: Double?
    /// True where this repeats an earlier answer because of its idempotency key.
    public let isReplayed: Bool
    /// The result as the daemon sent it, one line of JSON.
    public let json: String

    /// The counts of an `open-all`.
    public struct Summary: Sendable, Equatable {
        /// Opened, already open, opened late, pulsed.
        public let opened: Int
        /// Errors and jammed locks.
        public let failed: Int
        /// Left alone on purpose.
        public let skipped: Int
        /// Fired or not cannot be known.
        public let unknown: Int
    }

    /// Whether it goes on.
    public var isPending: Bool { state == "pending" }

    package init(_ reply: Reply) throws(ControlError) {
        let fields = try Fields(reply.result, at: "result")
        operation = try fields.string("operation")
        state = try fields.string("state")
        isReplayed = fields["replayed"]?.boolValue ?? false
        json = reply.text
        estimateMs = fields["estimateMs"]?.doubleValue
        total = fields["lockers"]?.arrayValue?.count ?? fields["total"]?.intValue
        if fields["results"] == nil {
            let isEnded = fields["outcome"] != nil || fields["error"] != nil
            results = isEnded ? [try LockerResult(reply.result, at: "result")] : []
        } else {
            results = try fields.array("results", LockerResult.init)
        }
        if let summary = fields["summary"] {
            let counts = try Fields(summary, at: "result.summary")
            self.summary = Summary(
                opened: try counts.integer("opened"), failed: try counts.integer("failed"),
                skipped: try counts.integer("skipped"), unknown: try counts.integer("unknown"))
        } else {
            summary = nil
        }
    }
}

/// What an `open-all` would come to.
public struct OpenAllPlan: Sendable {
    /// Lockers it would be about.
    public let total: Int
    /// How many of them would be left alone.
    public let skipped: Int
    /// How long it would take at best, in milliseconds.
    public let estimateMs: Double
    /// The result as the daemon sent it, one line of JSON.
    public let json: String

    package init(_ reply: Reply) throws(ControlError) {
        let fields = try Fields(reply.result, at: "plan")
        // Anything else is the answer of a daemon that did what it was to plan.
        guard try fields.boolean("dryRun") else {
            throw .malformed("plan.dryRun: want true, got false")
        }
        total = try fields.integer("total")
        skipped = try fields.integer("skipped")
        guard let estimate = fields["estimateMs"]?.doubleValue else {
            throw .malformed("plan.estimateMs: want a number")
        }
        estimateMs = estimate
        json = reply.text
    }
}

/// The newest step of an `open-all`.
public struct OpenAllProgress: Sendable {
    /// The operation's id.
    public let operation: String
    /// Lockers that are dealt with.
    public let done: Int
    /// Lockers it is about.
    public let total: Int
    /// The newest of them.
    public let newest: LockerResult?

    init(_ json: JSON) throws(ControlError) {
        let fields = try Fields(json, at: "progress")
        operation = try fields.string("operation")
        done = try fields.integer("done")
        total = try fields.integer("total")
        newest = fields["locker"] == nil ? nil : try LockerResult(json, at: "progress")
    }
}

/// What `cancel` found.
public struct CancelResult: Sendable {
    /// The operation's id.
    public let operation: String
    /// `pending`, `done` or `cancelled`.
    public let state: String
    /// Lockers whose lock was asked to fire, or may have been.
    public let fired: [LockerName]
    /// Lockers that never will by this operation.
    public let notFired: [LockerName]
    /// The result as the daemon sent it, one line of JSON.
    public let json: String

    package init(_ reply: Reply) throws(ControlError) {
        let fields = try Fields(reply.result, at: "cancel")
        operation = try fields.string("operation")
        state = try fields.string("state")
        fired = try fields.array("fired", LockerName.read)
        notFired = try fields.array("notFired", LockerName.read)
        json = reply.text
    }
}
