import LockerKit

/// One locker: a coil, a door and its sensor, computed from the time of the last pulse.
struct SimulatedDoor {
    /// How often a flapping sensor changes its mind.
    static let flap: Duration = .milliseconds(100)

    typealias Instant = ContinuousClock.Instant

    let fault: LockerFault?
    let hasSensor: Bool
    private var energisedUntil: Instant?
    private var opensAt: Instant?
    /// Nil with `opensAt` set: stays open.
    private var closesAt: Instant?

    init(_ description: LockerDescription) throws(LockerError) {
        fault = try LockerFault(description.options)
        hasSensor = description.hasSensor
    }

    func isEnergised(at now: Instant) -> Bool {
        energisedUntil.map { now < $0 } ?? false
    }

    /// Energises the coil; the door follows.
    mutating func fire(at now: Instant, pulse: Duration, closeAfter: Duration?) {
        energisedUntil = now + pulse
        guard fault != .jam else { return }
        var delay = Duration.zero
        if case .slow(let duration)? = fault { delay = duration }
        if !isOpen(at: now) { opensAt = now + delay }
        closesAt = closeAfter.map { now + delay + $0 }
    }

    /// Switches the coil off; false where it was off.
    mutating func release(at now: Instant) -> Bool {
        defer { energisedUntil = nil }
        return isEnergised(at: now)
    }

    /// Whether the door is open, whatever its sensor says.
    func isOpen(at now: Instant) -> Bool {
        if fault == .ajar { return true }
        guard let opensAt, now >= opensAt else { return false }
        return closesAt.map { now < $0 } ?? true
    }

    /// What the sensor says; nil where there is none.
    func sensor(at now: Instant, since start: Instant) -> DoorState? {
        guard hasSensor else { return nil }
        switch fault {
        case .noSensor: return .unknown
        case .flapping:
            let flaps = Int(start.duration(to: now) / Self.flap)
            return flaps.isMultiple(of: 2) ? .closed : .open
        default: return isOpen(at: now) ? .open : .closed
        }
    }

    /// When the door will next move by itself.
    func nextMove(after now: Instant) -> Instant? {
        [opensAt, closesAt].compactMap { $0 }.filter { $0 > now }.min()
    }
}
