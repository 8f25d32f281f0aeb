/// What a door sensor says.
public enum DoorState: String, Sendable, CaseIterable {
    case open, closed
    /// The sensor could not be read, or the board does not know.
    case unknown
}

/// How far a reading may be trusted.
public enum Quality: String, Sendable, CaseIterable {
    /// Young enough to stand for now.
    case good
    /// Too old to stand for now, or never taken.
    case stale
    /// There is no sensor.
    case none
}

/// A sensor value with the moment it was taken.
public struct Reading<Value: Sendable>: Sendable {
    /// What the sensor said.
    public let value: Value
    /// When it said so, on the monotonic clock.
    public let takenAt: ContinuousClock.Instant

    /// Makes a reading taken at `takenAt`.
    public init(_ value: Value, takenAt: ContinuousClock.Instant) {
        self.value = value
        self.takenAt = takenAt
    }

    /// How old the reading is at `now`; never negative.
    public func age(at now: ContinuousClock.Instant) -> Duration {
        max(.zero, takenAt.duration(to: now))
    }

    /// `good` up to `limit`, `stale` beyond it.
    public func quality(at now: ContinuousClock.Instant, staleAfter limit: Duration) -> Quality {
        age(at: now) <= limit ? .good : .stale
    }
}

extension Reading: Equatable where Value: Equatable {}

/// The reading of one locker's door.
public struct DoorReading: Sendable, Equatable {
    /// The locker's number on its controller.
    public let locker: Int
    /// What its sensor said, and when.
    public let door: Reading<DoorState>

    /// Makes the reading of `locker`.
    public init(locker: Int, door: DoorState, takenAt: ContinuousClock.Instant) {
        self.locker = locker
        self.door = Reading(door, takenAt: takenAt)
    }
}
