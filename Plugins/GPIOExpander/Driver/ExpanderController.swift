import CoilGuardian
import GPIOLines
package import LockerKit

/// Locks and sensors on the lines of a chip. The guardian drives the locks' lines; the sensors' are watched here.
package actor ExpanderController: LockController {
    /// What was found of the plan on the machine.
    private struct Found {
        let chip: Chip
        /// Places of the lockers' lines in the bank.
        let places: [Int: Int]
    }

    private nonisolated let plan: ExpanderPlan
    private nonisolated let number: Int
    private nonisolated let hand: GuardianHand
    private nonisolated let context: DriverContext

    private var isStarted = false
    private var found: Found?
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
        let before = try await doors().first { $0.locker == command.locker }
        guard let place = found?.places[command.locker] else { throw notStarted }
        guard !Task.isCancelled else {
            throw LockerError(.cancelled, "cancelled before locker \(command.locker) fired")
        }
        try command.checkDeadline(at: context.clock.now)
        let pulseAt = context.clock.now
        let wanted = min(command.pulse, plan.longestPulse)
        let taken = try await pulse(command.locker, place, wanted)
        let pulseTime = pulseAt.duration(to: context.clock.now)
        let after = try? await doors().first { $0.locker == command.locker }
        return OpenReport(
            evidence: .none, doorBefore: before?.door.value, doorAfter: after?.door.value,
            bus: beganAt.duration(to: context.clock.now) - pulseTime, pulse: taken)
    }

    private func pulse(
        _ locker: Int, _ place: Int, _ length: Duration
    ) async throws(LockerError) -> Duration {
        let (hand, number) = (hand, number)
        let result: Result<Duration, LockerError> = await withTaskCancellationHandler {
            do throws(LockerError) {
                return .success(try await hand.pulse(number, line: place, length: length))
            } catch {
                return .failure(error)
            }
        } onCancel: {
            hand.cut(number)
        }
        let taken = try result.get()
        if Task.isCancelled, taken < length {
            throw LockerError(
                .cancelled, "the pulse of locker \(locker) was cut short", fired: .yes, sent: .yes)
        }
        return taken
    }

    /// Switches every line off and lets go of them.
    package func stop() async throws(LockerError) {
        isStarted = false
        sensors?.end()
        sensors = nil
        found = nil
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

    private func disconnect() async {
        sensors?.end()
        sensors = nil
        found = nil
        try? await hand.drop(number)
    }

    /// Takes the lines, where they are not held already.
    private func connect() async throws(LockerError) {
        if found != nil, await hand.isHeld(number) { return }
        await disconnect()
        do throws(GPIOFailure) {
            try await take()
        } catch {
            await disconnect()
            throw LockerError(.linkDown, error.description)
        }
        guard await hand.isHeld(number) else {
            throw LockerError(.linkDown, "the lines of \(plan.id) are not held")
        }
    }

    private func take() async throws(GPIOFailure) {
        let chip = try Chip.find(plan.chip)
        let inputChip = plan.inputChip == plan.chip ? chip : try Chip.find(plan.inputChip)
        let consumer = "lockerd \(plan.id)"
        var lines: [Bank.Line] = []
        var places: [Int: Int] = [:]
        var inputs: [Int: SensorBank.Sensor] = [:]
        for locker in plan.lockers {
            guard let wires = plan.wires[locker] else { continue }
            places[locker] = lines.count
            lines.append(
                Bank.Line(
                    offset: try offset(of: wires.output, on: chip), onLevel: wires.onLevel))
            if let input = wires.input {
                let line = try offset(of: input, on: inputChip)
                if let other = inputs[line] {
                    throw shared(line, inputChip, other.locker, locker)
                }
                inputs[line] = SensorBank.Sensor(locker: locker, openLevel: wires.openLevel)
            }
        }
        try refuseSharedLines(lines, inputs, chip, inputChip)
        if !inputs.isEmpty {
            sensors = try SensorBank(
                inputs, of: inputChip, plan: plan, consumer: consumer, context: context)
        }
        let bank = Bank(
            chip: chip.path, lines: lines, wiring: plan.outputs, isOffKnown: plan.isOffKnown,
            longest: plan.longestPulse, consumer: consumer)
        do throws(LockerError) {
            try await hand.hold(number, bank)
        } catch {
            throw GPIOFailure(0, error.message)
        }
        found = Found(chip: chip, places: places)
    }

    /// Names and offsets may mean the same line, which only the chip can tell.
    private func refuseSharedLines(
        _ lines: [Bank.Line], _ inputs: [Int: SensorBank.Sensor], _ chip: Chip, _ inputChip: Chip
    ) throws(GPIOFailure) {
        var owners: [Int: Int] = [:]
        for (locker, line) in zip(plan.lockers, lines) {
            if let owner = owners.updateValue(locker, forKey: line.offset) {
                throw shared(line.offset, chip, owner, locker)
            }
            if chip == inputChip, let sensor = inputs[line.offset] {
                throw shared(line.offset, chip, sensor.locker, locker)
            }
        }
    }

    private func shared(_ line: Int, _ chip: Chip, _ one: Int, _ other: Int) -> GPIOFailure {
        GPIOFailure(0, "line \(line) of \(chip.name): lockers \(one) and \(other) share it")
    }

    private func offset(
        of word: ExpanderPlan.LineWord, on chip: Chip
    ) throws(GPIOFailure) -> Int {
        switch word {
        case .offset(let offset):
            guard offset < chip.lines else {
                throw GPIOFailure(
                    0,
                    "line \(offset) of \(chip.name) (\(chip.label)): it has lines 0-\(chip.lines - 1)"
                )
            }
            return offset
        case .name(let name):
            let named = try chip.allLines().filter { $0.name == name }
            guard named.count == 1 else {
                throw GPIOFailure(
                    0,
                    "line \"\(name)\" of \(chip.name) (\(chip.label)): \(named.isEmpty ? "no line" : "more than one line") has that name"
                )
            }
            return named[0].offset
        }
    }
}
