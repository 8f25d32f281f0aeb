package import LockerKit
package import SiteModel

/// How to name a locker: by `controller/number` or by site-wide id.
package enum LockerSelector: Sendable, Hashable {
    case address(String)
    case id(Int)
}

/// A locker's identity in results and events.
package struct LockerIdentity: Sendable, Hashable {
    package let id: Int
    package let address: String
    /// The controller's part of the address.
    package var controller: String {
        String(address.prefix { $0 != "/" })
    }

    package init(id: Int, address: String) {
        self.id = id
        self.address = address
    }
}

/// How an open ended.
package enum Outcome: String, Sendable, CaseIterable {
    case opened
    case alreadyOpen = "already-open"
    case openedLate = "opened-late"
    /// Fired; nothing can prove more.
    case pulsed
    /// Fired; the sensor says still closed.
    case jammed
    /// Fired or not cannot be known.
    case unknown
}

/// A locker's service flags.
package struct ServiceState: Sendable, Equatable {
    package var outOfService = false
    package var brokenLock = false
    package var reasonCode: String?
    package var reason: String?

    package init() {}
}

/// A sensor that does not move with its door, or moves too often.
package struct SensorSuspicion: Sendable, Equatable {
    package enum Kind: String, Sendable, CaseIterable {
        /// It has not moved over so many pulses.
        case unmoved
        /// It moves more often than any door does.
        case flapping
    }

    package let kind: Kind
    package let since: WallTime
    /// What was seen, as one clause.
    package let message: String

    package init(kind: Kind, since: WallTime, message: String) {
        self.kind = kind
        self.since = since
        self.message = message
    }
}

/// The last finished open of a locker.
package struct LastOpen: Sendable, Equatable {
    package let operation: String
    package let at: WallTime
    /// Nil where the open ended in an error.
    package let outcome: Outcome?

    package init(operation: String, at: WallTime, outcome: Outcome?) {
        self.operation = operation
        self.at = at
        self.outcome = outcome
    }
}

/// One locker as the snapshot holds it. Ages are computed by whoever shows it, from `readAt`.
package struct LockerView: Sendable, Equatable {
    package let identity: LockerIdentity
    package let number: Int
    package let name: String
    package let controller: String
    package let bank: String?
    package let type: String?
    package let hasSensor: Bool
    package let staleAfter: Duration
    package let inOpenAll: Bool
    package let isAlwaysOutOfService: Bool

    /// What the sensor said last; shown as current only while young enough.
    package var door: DoorState = .unknown
    package var readAt: ContinuousClock.Instant?
    /// The controller answers and the locker can be fired.
    package var isOperational = false
    package var service = ServiceState()
    package var lastOpen: LastOpen?
    package var wear = Wear()
    /// Why its sensor is not to be believed, as far as it shows; nothing follows from it by itself.
    package var suspicion: SensorSuspicion?

    package init(plan: LockerPlan, controller: ControllerPlan) {
        identity = LockerIdentity(id: plan.id, address: "\(controller.id)/\(plan.number)")
        number = plan.number
        name = plan.name
        self.controller = controller.id
        bank = controller.bank
        type = plan.type
        hasSensor = plan.hasSensor
        staleAfter = controller.staleAfter
        inOpenAll = plan.inOpenAll
        isAlwaysOutOfService = plan.isAlwaysOutOfService
    }

    /// Out of service, whether by a flag or by its type.
    package var isOutOfService: Bool { service.outOfService || isAlwaysOutOfService }

    package func quality(at now: ContinuousClock.Instant) -> Quality {
        guard hasSensor else { return .none }
        guard let readAt else { return .stale }
        return Reading(door, takenAt: readAt).quality(at: now, staleAfter: staleAfter)
    }

    /// What may be shown as the door's state now: `unknown` unless the reading is good.
    package func currentDoor(at now: ContinuousClock.Instant) -> DoorState {
        quality(at: now) == .good ? door : .unknown
    }
}

/// The states of a controller.
package enum ControllerState: String, Sendable, CaseIterable {
    case starting, ready, faulted, quarantined, stopped
}

/// One controller as the snapshot holds it.
package struct ControllerView: Sendable, Equatable {
    package let id: String
    package let driver: String
    package let link: String
    package let bank: String?
    package let lockers: Int

    package var state: ControllerState = .starting
    /// When the state was entered.
    package var since: WallTime
    /// When the board last answered well.
    package var lastGood: ContinuousClock.Instant?
    /// Starts of its module after the first.
    package var restarts = 0
    /// Why it is not ready, or why its module died last.
    package var reason: String?
    /// An output of this board may be energised and could not be switched off.
    package var hasStuckOutput = false
    package var capabilities: Capabilities?

    package init(
        id: String, driver: String, link: String, bank: String?, lockers: Int, since: WallTime
    ) {
        self.id = id
        self.driver = driver
        self.link = link
        self.bank = bank
        self.lockers = lockers
        self.since = since
    }
}

/// Whether the site can open doors, in one word.
package enum HealthLevel: String, Sendable, CaseIterable {
    case ok, degraded, down
}

/// The site's health with every cause there is.
package struct Health: Sendable, Equatable {
    /// One reason why the site is not well.
    package struct Cause: Sendable, Equatable {
        /// Machine-readable: `controller-faulted`, `controller-quarantined`, `locker-broken`, …
        package let code: String
        /// What it is about: a controller's id or a locker's address.
        package let subject: String
        package let message: String

        package init(code: String, subject: String, message: String) {
            self.code = code
            self.subject = subject
            self.message = message
        }
    }

    package var level: HealthLevel
    package var causes: [Cause]

    package init(level: HealthLevel, causes: [Cause] = []) {
        self.level = level
        self.causes = causes
    }
}

/// Where an operation's time went.
package struct OpenTiming: Sendable, Equatable {
    /// From arrival to the turn on the lane.
    package var queue: Duration = .zero
    /// On the bus, pulse excluded.
    package var bus: Duration = .zero
    package var pulse: Duration = .zero
    /// From the pulse to the door seen open; nil where it was not seen.
    package var door: Duration?

    package init() {}
}

/// How one locker fared in an operation.
package struct LockerResult: Sendable, Equatable {
    package enum Ending: Sendable, Equatable {
        case outcome(Outcome, evidence: Evidence, door: DoorState, timing: OpenTiming)
        case failed(LockerError)
        /// Left alone on purpose: `out of service`, `excluded from open-all`, `cancelled before firing`.
        case skipped(reason: String)
    }

    package let locker: LockerIdentity
    package let ending: Ending
    /// How often the order was given, the first time included.
    package let attempts: Int

    package init(locker: LockerIdentity, ending: Ending, attempts: Int = 1) {
        self.locker = locker
        self.ending = ending
        self.attempts = attempts
    }
}

extension LockerResult.Ending: CustomStringConvertible {
    /// For the log: `opened (door-sensor)`, `LINK_DOWN: …`, `skipped: out of service`.
    package var description: String {
        switch self {
        case .outcome(let outcome, let evidence, _, _):
            "\(outcome.rawValue) (\(evidence.rawValue))"
        case .failed(let error): error.description
        case .skipped(let reason): "skipped: \(reason)"
        }
    }
}

/// An operation as `operation`, `open` and `open-all` show it.
package struct OperationView: Sendable, Equatable {
    package enum Kind: String, Sendable {
        case open
        case openAll = "open-all"
    }

    package enum State: String, Sendable {
        case pending, done, cancelled
    }

    package let id: String
    package let kind: Kind
    package let acceptedAt: WallTime
    /// Every locker it is about, in order.
    package let lockers: [LockerIdentity]
    package var state: State
    /// Results so far; for `open` at most one.
    package var results: [LockerResult]
    /// True in a reply that repeats an earlier one because of its idempotency key.
    package var isReplayed = false
    /// How long an `open-all` was expected to take when it began.
    package var estimate: Duration?
    /// The error in which an `open` ended; an `open-all` has those of its lockers.
    package var failure: LockerError? {
        if kind == .open, case .failed(let error) = results.first?.ending { error } else { nil }
    }

    package init(
        id: String, kind: Kind, acceptedAt: WallTime, lockers: [LockerIdentity],
        state: State = .pending, results: [LockerResult] = []
    ) {
        self.id = id
        self.kind = kind
        self.acceptedAt = acceptedAt
        self.lockers = lockers
        self.state = state
        self.results = results
    }
}

/// What `cancel` found.
package struct CancelView: Sendable, Equatable {
    package let operation: String
    package let state: OperationView.State
    /// Lockers whose lock was asked to fire, or may have been.
    package let fired: [LockerIdentity]
    /// Lockers that never will by this operation.
    package let notFired: [LockerIdentity]

    package init(
        operation: String, state: OperationView.State, fired: [LockerIdentity],
        notFired: [LockerIdentity]
    ) {
        self.operation = operation
        self.state = state
        self.fired = fired
        self.notFired = notFired
    }
}
