import CoilGuardian
import GPIOLines
package import LockerKit

/// Locks and sensors on the lines of a chip. The guardian drives the locks' lines; the sensors' are watched here.
package actor ExpanderController: LockController {
    private nonisolated let plan: ExpanderPlan
    private nonisolated let number: Int
    private nonisolated let hand: GuardianHand
    private nonisolated let context: DriverContext

    private var isStarted = false
    /// Places of the lockers' lines in the bank; nil while the lines are not held.
    private var places: [Int: Int]?
    private var sensors: SensorBank?

    package nonisolated var unownedExecutor: UnownedSerialExecutor { hand.unownedExecutor }

    init(_ plan: ExpanderPlan, bank number: Int, hand: GuardianHand, context: DriverContext) {
        self.plan = plan
        self.number = number
        self.hand = hand
        self.context = context
    }

    /// What the lines can do and prove.
    package nonisolated var capabilities: Capabilities { plan.capabilities }

    /// Takes the lines; outputs are driven to the level that leaves the locks alone, where that is known.
    package func start() async throws(LockerError) {
        isStarted = true
        try await connect()
    }

    /// Reads the sensors, and proves that chip and guardian are there and nothing is on.
    package func readDoors() async throws(LockerError) -> [DoorReading] {
        guard isStarted else { throw notStarted }
        try await connect()
        try await hand.check(number)
        return try await doors()
    }

    /// Fires a lock, for as long as the pulse takes.
    package func open(_ command: OpenCommand) async throws(LockerError) -> OpenReport {
        guard plan.wires[command.locker] != nil else {
            throw LockerError(.unknownLocker, "no locker \(command.locker) on \(plan.id)")
        }
        guard isStarted else { throw notStarted }
        let beganAt = context.clock.now
        try await connect()
        let before = try await door(of: command.locker, since: beganAt)
        guard let place = places?[command.locker] else { throw notStarted }
        guard !Task.isCancelled else {
            throw LockerError(.cancelled, "cancelled before locker \(command.locker) fired")
        }
        try command.checkDeadline(at: context.clock.now)
        let pulseAt = context.clock.now
        let wanted = min(command.pulse, plan.longestPulse)
        let fired = try await pulse(command.locker, place, wanted)
        let offAt = context.clock.now
        let after = try? await door(of: command.locker, since: offAt)
        guard fired.isSeen != false || before == .closed && after == .open else {
            throw LockerError(
                .linkDown,
                "the line of locker \(command.locker) was told to fire and did not read so; the chip may not have got the order",
                fired: .unknown, sent: .yes)
        }
        return OpenReport(
            evidence: .none, doorBefore: before, doorAfter: after,
            bus: beganAt.duration(to: context.clock.now) - pulseAt.duration(to: offAt),
            pulse: fired.length)
    }

    private func pulse(
        _ locker: Int, _ place: Int, _ length: Duration
    ) async throws(LockerError) -> Fired {
        let (hand, number) = (hand, number)
        let result: Result<Fired, LockerError> = await withTaskCancellationHandler {
            do throws(LockerError) {
                return .success(try await hand.pulse(number, line: place, length: length))
            } catch {
                return .failure(error)
            }
        } onCancel: {
            hand.cut(number)
        }
        let fired = try result.get()
        if Task.isCancelled, fired.length < length {
            throw LockerError(
                .cancelled, "the pulse of locker \(locker) was cut short", fired: .yes, sent: .yes)
        }
        return fired
    }

    /// Switches every line off and lets go of them; a pulse that is under way is cut.
    package nonisolated func stop() async throws(LockerError) {
        hand.cut(number)
        try await end()
    }

    private func end() async throws(LockerError) {
        isStarted = false
        sensors?.end()
        sensors = nil
        places = nil
        try await hand.drop(number)
    }

    private var notStarted: LockerError {
        LockerError(.linkDown, "\(plan.id) has not been started")
    }
}

// MARK: The chip

extension ExpanderController {
    private func doors() async throws(LockerError) -> [DoorReading] {
        guard let sensors else { return [] }
        do throws(GPIOFailure) {
            return try sensors.read().sorted { $0.locker < $1.locker }
        } catch {
            await disconnect()
            throw LockerError(.linkDown, error.description)
        }
    }

    /// Nil where there is none, and where it was seen before that moment only: a door that is just moving may be anything now.
    private func door(
        of locker: Int, since moment: ContinuousClock.Instant
    ) async throws(LockerError) -> DoorState? {
        for reading in try await doors() where reading.locker == locker {
            return reading.door.takenAt >= moment ? reading.door.value : nil
        }
        return nil
    }

    private func disconnect() async {
        sensors?.end()
        sensors = nil
        places = nil
        try? await hand.drop(number)
    }

    /// Takes the lines, where they are not held already.
    private func connect() async throws(LockerError) {
        if places != nil, await hand.isHeld(number) { return }
        await disconnect()
        do throws(LockerError) {
            try await take()
        } catch {
            await disconnect()
            throw error
        }
        guard await hand.isHeld(number) else {
            throw LockerError(.linkDown, "the lines of \(plan.id) are not held")
        }
    }

    private func take() async throws(LockerError) {
        let lines: FoundLines
        let consumer = "lockerd \(plan.id)"
        do throws(GPIOFailure) {
            lines = try FoundLines(plan)
            if !lines.sensors.isEmpty || plan.canary != nil {
                sensors = try SensorBank(lines, plan: plan, consumer: consumer, context: context)
            }
        } catch {
            throw LockerError(.linkDown, error.description)
        }
        try await hand.hold(
            number,
            Bank(
                chip: lines.chip.path, lines: lines.outputs, wiring: plan.outputs,
                isOffKnown: plan.isOffKnown, longest: plan.longestPulse, consumer: consumer))
        places = lines.places
    }
}
