/// What some devices can do beyond opening and telling their doors. A device that keeps books of its own, as a tower does, has most of
/// them; a relay board has none.
public protocol ActingController: LockController {
    /// Carries out one of the actions in ``Capabilities/actions``. Only ``DeviceAction/tap(locker:intervalMilliseconds:count:)`` energises
    /// anything.
    func perform(_ action: DeviceAction) async throws(LockerError) -> DeviceAnswer
}

/// Something that a device is asked for.
public enum DeviceAction: Sendable, Equatable {
    /// The entries of its own log behind that number.
    case log(after: Int64)
    /// Entries up to that number are kept elsewhere, and it may forget them.
    case forget(through: Int64)
    /// Orders that its server has sealed for it; carried unread.
    case relay(SealedParcel)
    /// How many lockers are free, by its own numbers of their types.
    case available
    /// Takes back what the last open has changed in its books: the parcel did not fit.
    case revert(locker: Int, clientInfo: String)
    /// Fires the lock of the locker that was opened last a little, so that it can be heard: `count` times more.
    case tap(locker: Int, intervalMilliseconds: Int, count: Int)
    /// Whether the door that was opened last is open.
    case lastDoor(locker: Int)

    /// The number of the locker on its controller that the caller means: such an action is about the one that was opened last, and is
    /// refused where that was another.
    public var locker: Int? {
        switch self {
        case .revert(let locker, _), .tap(let locker, _, _), .lastDoor(let locker): locker
        case .log, .forget, .relay, .available: nil
        }
    }

    /// The action's name, as in ``Capabilities/actions``.
    public var name: Name {
        switch self {
        case .log: .log
        case .forget: .forget
        case .relay: .relay
        case .available: .available
        case .revert: .revert
        case .tap: .tap
        case .lastDoor: .lastDoor
        }
    }

    /// Names of actions.
    public enum Name: String, Sendable, CaseIterable {
        case log, forget, relay, available, revert, tap
        case lastDoor = "last-door"
    }
}

/// What a device answers to an action.
public enum DeviceAnswer: Sendable, Equatable {
    /// It was done.
    case done
    case log(DeviceLog)
    /// Free lockers by type.
    case available([Int: Int])
    case door(DoorState)
}

/// A stretch of a device's own log, numbered without gaps from 1.
public struct DeviceLog: Sendable, Equatable {
    /// No entry has a higher number: whole numbers up to here are exact in every reader of JSON.
    public static let highestNumber: Int64 = 1 << 53

    /// Number of the oldest entry it still has; its next one where it has none.
    public let oldest: Int64
    /// The number that its next entry will have: one that is not higher than what was asked for means that it began anew.
    public let next: Int64
    /// Names the device whose log it is, so that another one in its place is not taken for it; nil where there is no such name.
    public let source: String?
    /// Oldest first, beginning with the one behind what was asked for where it is still there.
    public let entries: [DeviceLogEntry]
    /// The same stretch as the device has sealed it for its server; nil where nobody may carry it.
    public let parcel: SealedParcel?

    /// Makes a stretch.
    public init(
        oldest: Int64, next: Int64, source: String? = nil, entries: [DeviceLogEntry],
        parcel: SealedParcel? = nil
    ) {
        self.source = source
        self.oldest = oldest
        self.next = next
        self.entries = entries
        self.parcel = parcel
    }
}

/// One entry of a device's log.
public struct DeviceLogEntry: Sendable, Equatable {
    /// Its number in that log, from 1.
    public let number: Int64
    /// What happened, in the driver's words: `access`, `forced-door`.
    public let kind: String
    /// Seconds since 1970 by the device's clock.
    public let at: Int64
    /// The locker's number on its controller, where it is about one.
    public let locker: Int?
    /// Figures that belong to it, by names with their units: `batteryMillivolts`.
    public let figures: [String: Int64]

    /// Makes an entry.
    public init(
        number: Int64, kind: String, at: Int64, locker: Int? = nil, figures: [String: Int64] = [:]
    ) {
        self.number = number
        self.kind = kind
        self.at = at
        self.locker = locker
        self.figures = figures
    }
}

/// What a device and its server have sealed for each other; opaque to whoever carries it, and never logged.
public struct SealedParcel: Sendable, Equatable {
    /// In hexadecimal digits, like the other one.
    public let payload: String
    /// The sender's authentication of the payload.
    public let payloadAuth: String
    /// Which entries of its log are in it, where a device has made it.
    public let entries: ClosedRange<Int64>?

    /// Makes a parcel of its two halves.
    public init(payload: String, payloadAuth: String, entries: ClosedRange<Int64>? = nil) {
        self.payload = payload
        self.payloadAuth = payloadAuth
        self.entries = entries
    }
}
