import LockerKit
import Locks
import SiteModel

/// What doors do over time, and what that says: forced, late, held open, or a sensor that is not to be believed.
///
/// Not thread-safe by itself in what it returns: whoever calls it appends the events in the same order, under one lock.
final class DoorTruth: Sendable {
    /// The order that fired last.
    fileprivate struct Pulse {
        let at: ContinuousClock.Instant
        /// Until then a door may open by it, however often.
        let expectedUntil: ContinuousClock.Instant
        /// Until then a door that has not opened yet may.
        let lateUntil: ContinuousClock.Instant
        /// The door has opened and closed since: another opening is not by this pulse.
        var isSpent = false
        /// When the door was first seen open after it.
        var openedAt: ContinuousClock.Instant?
    }

    /// An open that ended as jammed.
    fileprivate struct Jam {
        let operation: String
        let firedAt: ContinuousClock.Instant
        let until: ContinuousClock.Instant
    }

    fileprivate struct Record {
        var pulse: Pulse?
        var jam: Jam?
        /// As they were before the newest order, should that turn out not to have fired.
        var before: (pulse: Pulse?, jam: Jam?)
        /// The sensor has said closed in this run.
        var hasClosed = false
        var openSince: ContinuousClock.Instant?
        var isHeld = false
        /// Movements, oldest first, as many as make a suspicion.
        var flips: [ContinuousClock.Instant] = []
        /// Pulses in a row over which the sensor did not move.
        var unmoved = 0
        var suspicion: SensorSuspicion?
    }

    /// What follows from a reading.
    struct Findings: Sendable {
        var events: [EventBody] = []
        /// An open that had ended as jammed opened the door after all.
        var late: LateDoor?
        /// What is suspected now, where that changed.
        var suspicion: SensorSuspicion??
    }

    private let records = Mutex<[String: Record]>([:])
    private let plan: Mutex<DoorPlan>
    private let wallClock: @Sendable () -> WallTime

    init(_ plan: DoorPlan, wallClock: @escaping @Sendable () -> WallTime) {
        self.plan = Mutex(plan)
        self.wallClock = wallClock
    }

    func adopt(_ plan: DoorPlan) { self.plan.withLock { $0 = plan } }

    /// An order leaves for the driver: from now on the door may open by it.
    func noteOrder(
        _ address: String, at: ContinuousClock.Instant, pulse: Duration, doorWait: Duration,
        isOpen: Bool
    ) {
        let late = plan.withLock(\.late)
        records.withLock { records in
            let expected = at + pulse + doorWait
            let record = records[address] ?? Record()
            records[address, default: Record()].before = (record.pulse, record.jam)
            records[address]?.jam = nil
            records[address]?.pulse = Pulse(
                at: at, expectedUntil: expected, lateUntil: max(expected, at + late),
                openedAt: isOpen ? at : nil)
        }
    }

    /// Nothing was fired by the newest order.
    func takeBack(_ address: String) {
        records.withLock { records in
            guard let before = records[address]?.before else { return }
            records[address]?.pulse = before.pulse
            records[address]?.jam = before.jam
        }
    }

    /// The open has ended with the door still closed; it may yet open. It has where the answer is not nil.
    func noteJam(
        _ address: String, operation: String, firedAt: ContinuousClock.Instant
    ) -> LateDoor? {
        let late = plan.withLock(\.late)
        return records.withLock { records in
            if let openedAt = records[address]?.pulse?.openedAt, openedAt > firedAt {
                return LateDoor(operation: operation, door: firedAt.duration(to: openedAt))
            }
            records[address, default: Record()].jam = Jam(
                operation: operation, firedAt: firedAt, until: firedAt + late)
            return nil
        }
    }

    /// An order of an earlier run, `age` ago: a door that it opens now was not forced.
    func restore(_ address: String, age: Duration, now: ContinuousClock.Instant) {
        let late = plan.withLock(\.late)
        guard age <= late else { return }
        records.withLock { records in
            guard records[address]?.pulse == nil else { return }
            records[address, default: Record()].pulse = Pulse(
                at: now - age, expectedUntil: now - age, lateUntil: now - age + late)
        }
    }

    /// A watched pulse is over: the sensor has moved by it, or it has not. Returns the suspicion where it is new.
    ///
    /// Of a door that was open before, nothing is concluded unless the sensor has never said anything else.
    func notePulseOver(
        _ address: String, hasMoved: Bool, wasOpen: Bool
    ) -> SensorSuspicion? {
        let limit = plan.withLock(\.suspectPulses)
        return records.withLock { records in
            guard var record = records[address] else { return nil }
            if wasOpen, record.hasClosed { return nil }
            record.unmoved = hasMoved ? 0 : record.unmoved + 1
            var found: SensorSuspicion?
            if limit > 0, record.unmoved >= limit, record.suspicion == nil {
                found = SensorSuspicion(
                    kind: .unmoved, since: wallClock(),
                    message: record.unmoved == 1
                        ? "the sensor has not moved over a pulse"
                        : "the sensor has not moved over \(record.unmoved) pulses")
                record.suspicion = found
            }
            records[address] = record
            return found
        }
    }

    /// The door has moved, at some moment between `since` and `at`.
    func noteMove(
        _ locker: LockerIdentity, to door: DoorState, at: ContinuousClock.Instant,
        since: ContinuousClock.Instant
    ) -> Findings {
        let plan = plan.withLock(\.self)
        return records.withLock { records in
            var record = records[locker.address] ?? Record()
            var findings = record.move(locker, to: door, at: at, since: since)
            record.noteFlip(at: at, plan, wallClock, &findings)
            if let suspicion = findings.suspicion {
                findings.events.append(.sensorSuspect(locker: locker, suspicion: suspicion))
            }
            records[locker.address] = record
            return findings
        }
    }

    /// The door was read and had not moved.
    func noteStill(_ locker: LockerIdentity, _ door: DoorState, at: ContinuousClock.Instant)
        -> Findings
    {
        let plan = plan.withLock(\.self)
        return records.withLock { records in
            var findings = Findings()
            // A door that nobody has touched since the start needs no record.
            guard door == .open || records[locker.address]?.suspicion?.kind == .flapping else {
                return findings
            }
            var record = records[locker.address] ?? Record()
            if door == .open { record.noteOpen(locker, at: at, limit: plan.held, &findings) }
            if record.suspicion?.kind == .flapping,
                record.flips.last.map({ $0 + plan.suspectWindow <= at }) ?? true
            {
                record.suspicion = nil
                record.flips = []
                findings.suspicion = .some(nil)
                findings.events.append(.sensorSuspect(locker: locker, suspicion: nil))
            }
            records[locker.address] = record
            return findings
        }
    }
}

extension DoorTruth.Record {
    fileprivate mutating func move(
        _ locker: LockerIdentity, to door: DoorState, at: ContinuousClock.Instant,
        since: ContinuousClock.Instant
    ) -> DoorTruth.Findings {
        var findings = DoorTruth.Findings()
        let isByPulse = pulse.map { at >= $0.at && since <= $0.expectedUntil } ?? false
        hasClosed = true
        guard door == .open else {
            let heldFor = isHeld ? openSince?.duration(to: at) : nil
            openSince = nil
            isHeld = false
            if !isByPulse { pulse?.isSpent = true }
            findings.events.append(.doorClosed(locker: locker, heldFor: heldFor))
            return findings
        }
        openSince = at
        let isLate =
            pulse.map { pulse in
                pulse.openedAt == nil && !pulse.isSpent && at >= pulse.at
                    && since <= pulse.lateUntil
            } ?? false
        if let pulse, at >= pulse.at, pulse.openedAt == nil { self.pulse?.openedAt = at }
        if let jam, at >= jam.firedAt, since <= jam.until {
            findings.late = LateDoor(operation: jam.operation, door: jam.firedAt.duration(to: at))
        }
        jam = nil
        findings.events.append(.doorOpened(locker: locker, late: findings.late))
        if !isByPulse, !isLate {
            findings.events.append(
                .doorForced(locker: locker, sinceLastPulse: pulse?.at.duration(to: at)))
        }
        return findings
    }

    /// Counts movements; one also proves that the sensor is not dead.
    fileprivate mutating func noteFlip(
        at: ContinuousClock.Instant, _ plan: DoorPlan, _ wallClock: () -> WallTime,
        _ findings: inout DoorTruth.Findings
    ) {
        unmoved = 0
        if suspicion?.kind == .unmoved {
            suspicion = nil
            findings.suspicion = .some(nil)
        }
        guard plan.suspectFlips > 0 else { return }
        flips.append(at)
        flips.removeAll { $0 + plan.suspectWindow <= at }
        if flips.count > plan.suspectFlips { flips.removeFirst(flips.count - plan.suspectFlips) }
        guard flips.count >= plan.suspectFlips, suspicion == nil else { return }
        suspicion = SensorSuspicion(
            kind: .flapping, since: wallClock(),
            message:
                "the sensor moved \(flips.count) times within \(plan.suspectWindow.components.seconds) s"
        )
        findings.suspicion = suspicion
    }

    fileprivate mutating func noteOpen(
        _ locker: LockerIdentity, at: ContinuousClock.Instant, limit: Duration,
        _ findings: inout DoorTruth.Findings
    ) {
        guard let since = openSince else {
            openSince = at
            return
        }
        let open = since.duration(to: at)
        guard limit > .zero, open >= limit, !isHeld else { return }
        isHeld = true
        findings.events.append(.doorHeld(locker: locker, open: open, limit: limit))
    }
}
