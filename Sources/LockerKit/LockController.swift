/// One lock-controller board or tower, as the core sees it.
///
/// The core sends one command at a time to all the controllers of a link, so an implementation needs no queue of its
/// own. A controller never exits or traps because its device is gone: it throws ``LockerError/Code/linkDown`` and tries
/// again at the next call.
public protocol LockController: Sendable {
    /// What the board can do and prove. Fixed once the controller is made.
    var capabilities: Capabilities { get }

    /// Gets ready to be used. Energises nothing.
    ///
    /// Throwing ``LockerError/Code/linkDown`` means "not now": the core shows the controller as faulted and goes on calling
    /// ``readDoors()``, which is where the driver tries again.
    func start() async throws(LockerError)

    /// Energises the lock of one locker for one pulse and returns when the coil is known to be off, or, where the board
    /// times the pulse, when the board has acknowledged it.
    ///
    /// A task cancelled in here leaves the coil off. An error says truthfully whether the coil fired; a driver never
    /// repeats an open by itself. Nothing is energised once the command's deadline has passed: see
    /// ``OpenCommand/checkDeadline(at:)``.
    func open(_ command: OpenCommand) async throws(LockerError) -> OpenReport

    /// Reads every door sensor of the board, in one transaction where the board has one.
    ///
    /// Lockers without a sensor are left out. This is also the core's probe: it must notice a lost device and reconnect.
    func readDoors() async throws(LockerError) -> [DoorReading]

    /// Drives every output this controller switched on to off, then lets go of the device. `start` may follow.
    func stop() async throws(LockerError)
}

/// The order to open one locker.
public struct OpenCommand: Sendable, Equatable {
    /// The locker's number on its controller, from 1.
    public let locker: Int
    /// How long the coil is to be energised; the core has capped it.
    public let pulse: Duration
    /// What a tower needs to open by a token issued elsewhere; relayed unread.
    public let token: OpenToken?
    /// Whether the locker that this controller opened last is to be opened once more. A device that has an order of its own for that takes
    /// it by the right that was given for the first time; all others fire as usual.
    public let isAgain: Bool
    /// The lock must not be energised at this moment of the context's clock or later; nil where it may be at any time.
    public let deadline: ContinuousClock.Instant?

    /// Makes the order.
    public init(
        locker: Int, pulse: Duration, token: OpenToken? = nil, isAgain: Bool = false,
        deadline: ContinuousClock.Instant? = nil
    ) {
        self.isAgain = isAgain
        self.locker = locker
        self.pulse = pulse
        self.token = token
        self.deadline = deadline
    }

    /// Throws ``LockerError/Code/expired`` where the deadline has passed at `now`.
    ///
    /// The last thing a driver does before it energises: whatever took time until then (a queue, a reconnection, a look at the
    /// doors) may have taken the open beyond it, and the person it was for may be gone.
    public func checkDeadline(at now: ContinuousClock.Instant) throws(LockerError) {
        guard let deadline, now >= deadline else { return }
        throw LockerError(
            .expired, "the deadline passed before the lock could fire", fired: .no, sent: .no)
    }
}

/// An open token as a tower's issuer made it. Opaque here, and never logged.
public struct OpenToken: Sendable, Equatable {
    /// The token's payload.
    public let payload: String
    /// The issuer's authentication of the payload.
    public let payloadAuth: String

    /// Makes a token of its two halves.
    public init(payload: String, payloadAuth: String) {
        self.payload = payload
        self.payloadAuth = payloadAuth
    }
}

/// What supports the claim that something happened.
public enum Evidence: String, Sendable, CaseIterable {
    /// The door's own sensor.
    case doorSensor = "door-sensor"
    /// A contact inside the lock.
    case lockFeedback = "lock-feedback"
    /// The board repeated the order, so it understood it.
    case echo
    /// Nothing.
    case none
}

/// What the driver knows after an open.
public struct OpenReport: Sendable, Equatable {
    /// What the board itself proved: `lockFeedback`, `echo` or `none`. A door sensor is reported by the doors below.
    public let evidence: Evidence
    /// The door just before the pulse, where the driver read it.
    public let doorBefore: DoorState?
    /// The door just after the pulse, where the driver read it.
    public let doorAfter: DoorState?
    /// Time on the bus, pulse excluded.
    public let bus: Duration
    /// How long the coil was, or in the board's hands will be, energised.
    public let pulse: Duration

    /// Makes a report.
    public init(
        evidence: Evidence, doorBefore: DoorState? = nil, doorAfter: DoorState? = nil,
        bus: Duration = .zero, pulse: Duration
    ) {
        self.evidence = evidence
        self.doorBefore = doorBefore
        self.doorAfter = doorAfter
        self.bus = bus
        self.pulse = pulse
    }
}

/// What a board can do and prove. The core plans with it and `status` shows it.
public struct Capabilities: Sendable, Equatable {
    /// Who ends a pulse.
    public enum PulseTiming: String, Sendable, CaseIterable {
        /// The board: the coil falls even if this computer dies.
        case board
        /// This computer, by a second command.
        case host
    }

    /// Who ends a pulse.
    public let pulseTiming: PulseTiming
    /// The best evidence an open of this board can return by itself.
    public let evidence: Evidence
    /// How many locks the board may energise at once; at least 1.
    public let maximumTogether: Int
    /// Whether it is known which output level leaves a door locked. Without that nothing may be swept "off".
    public let polarityKnown: Bool
    /// Whether the board reads door sensors.
    public let doorSensors: Bool
    /// What an ``ActingController`` can do beyond that; empty for others.
    public let actions: Set<DeviceAction.Name>

    /// Makes a declaration.
    public init(
        pulseTiming: PulseTiming, evidence: Evidence, maximumTogether: Int = 1,
        polarityKnown: Bool, doorSensors: Bool, actions: Set<DeviceAction.Name> = []
    ) {
        self.actions = actions
        precondition(maximumTogether >= 1, "a board energises at least one lock at a time")
        self.pulseTiming = pulseTiming
        self.evidence = evidence
        self.maximumTogether = maximumTogether
        self.polarityKnown = polarityKnown
        self.doorSensors = doorSensors
    }
}
