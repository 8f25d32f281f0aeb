import BusKit
import LockerKit

/// One board on a serial line. The board ends every pulse by itself, so nothing has to be switched off.
actor SerialBoardController: LockController {
    private nonisolated let plan: BoardPlan
    private nonisolated let link: SerialLink
    private nonisolated let context: DriverContext

    private var isStarted = false
    /// The open that is under way.
    private var current: OpenTicket?
    /// Where doors are read one by one: the lockers in the order in which they are due.
    private var round: [Int]
    /// When lockers were fired whose door somebody waits for.
    private var fired: [Int: ContinuousClock.Instant] = [:]

    nonisolated var unownedExecutor: UnownedSerialExecutor { link.unownedExecutor }

    init(_ plan: BoardPlan, link: SerialLink, context: DriverContext) {
        self.plan = plan
        self.link = link
        self.context = context
        round = plan.sensed
    }

    nonisolated var capabilities: Capabilities { plan.capabilities }

    /// How errors name the board.
    private nonisolated var name: String { "\(plan.id) (address \(plan.codec.address))" }

    /// Connects and sends nothing.
    func start() async throws(LockerError) {
        isStarted = true
        if plan.lacksPolarity {
            context.warning(
                "the doors of \(name) are unknown until somebody says what they tell while open: want open_level = 0 or 1 in its [[controller]]"
            )
        }
        try await link.start(plan.id, name)
    }

    func open(_ command: OpenCommand) async throws(LockerError) -> OpenReport {
        guard plan.wires[command.locker] != nil else {
            throw LockerError(.unknownLocker, "no locker \(command.locker) on \(plan.id)")
        }
        return try await link.runOpen { await self.perform(command, $0) }
    }

    func readDoors() async throws(LockerError) -> [DoorReading] {
        try await link.run {
            let doors = await self.readSome()
            await self.link.rest()
            return doors
        }
    }

    func stop() async throws(LockerError) {
        isStarted = false
        current?.cancel()
        try await link.run {
            await self.link.leave(self.plan.id)
            return .success(())
        }
    }

    private var notStarted: LockerError {
        LockerError(.linkDown, "\(plan.id) has not been started")
    }
}

// MARK: Opening

extension SerialBoardController {
    private func perform(
        _ command: OpenCommand, _ ticket: OpenTicket
    ) async -> Result<OpenReport, LockerError> {
        guard isStarted else { return .failure(notStarted) }
        current = ticket
        defer { current = nil }
        do throws(LockerError) {
            return .success(try await fire(command, ticket))
        } catch {
            return .failure(error)
        }
    }

    private func fire(
        _ command: OpenCommand, _ ticket: OpenTicket
    ) async throws(LockerError) -> OpenReport {
        let beganAt = context.clock.now
        try checkPulse(command)
        try command.checkDeadline(at: beganAt)
        let before = try await lookBefore(command.locker, until: beganAt + Limits.beforePulse)
        guard !ticket.isCancelled else {
            throw LockerError(.cancelled, "cancelled before locker \(command.locker) fired")
        }
        let end = beganAt + Limits.open
        var fault: Fault?
        do throws(Fault) {
            try await link.order(
                plan.wires[command.locker]?.channel ?? 0, of: plan, before: command.deadline,
                until: beganAt + Limits.order)
        } catch {
            fault = error
        }
        guard fault?.mayHaveActed != false else {
            throw (fault ?? .expired).fateful("\(name), asked to fire locker \(command.locker),")
        }
        fired[command.locker] = context.clock.now
        let after = await lookAfter(command.locker, until: end)
        // The answer is lost and the order may have been carried out all the same: boards of these families are known for that. A
        // door that was closed and is open answers it.
        if let fault, before != .closed || after != .open {
            throw fault.fateful("\(name), asked to fire locker \(command.locker),")
        }
        return OpenReport(
            evidence: fault == nil ? .echo : .none, doorBefore: before, doorAfter: after,
            bus: beganAt.duration(to: context.clock.now), pulse: plan.profile.pulse)
    }

    /// A coil is on for at most the pulse that was asked for, and this board knows one length.
    private func checkPulse(_ command: OpenCommand) throws(LockerError) {
        guard command.pulse < plan.profile.pulse else { return }
        throw LockerError(
            .invalidRequest,
            "the pulse of \(command.pulse.wholeMilliseconds) ms is shorter than the \(plan.profile.pulse.wholeMilliseconds) ms of every pulse of \(name)"
        )
    }

    /// Reads the door before anything is energised: it also proves that board and line are there, and shows whether the line
    /// repeats what is sent.
    private func lookBefore(
        _ locker: Int, until deadline: ContinuousClock.Instant
    ) async throws(LockerError) -> DoorState? {
        do throws(Fault) {
            let levels = try await link.ask(
                plan.question(about: locker), of: plan, isUrgent: true, until: deadline)
            return plan.door(of: locker, in: levels)
        } catch .refused {
            // A sensor that cannot be read must not lock anybody out.
            return plan.wires[locker]?.hasSensor == true ? .unknown : nil
        } catch {
            throw error.harmless(name)
        }
    }

    private func lookAfter(
        _ locker: Int, until deadline: ContinuousClock.Instant
    ) async -> DoorState? {
        guard plan.wires[locker]?.hasSensor == true else { return nil }
        do throws(Fault) {
            let levels = try await link.ask(
                plan.question(about: locker), of: plan, isUrgent: true, until: deadline)
            return plan.door(of: locker, in: levels)
        } catch {
            return nil
        }
    }
}

// MARK: Doors

extension SerialBoardController {
    private func readSome() async -> Result<[DoorReading], LockerError> {
        guard isStarted else { return .failure(notStarted) }
        let deadline = context.clock.now + BusLimits.doors
        guard !plan.profile.readsAll, !plan.sensed.isEmpty else {
            return await readAll(until: deadline)
        }
        var doors: [DoorReading] = []
        for locker in due() {
            // Read or not, it is the others' turn now: one channel that never answers must not keep them from being read.
            round.removeAll { $0 == locker }
            round.append(locker)
            do throws(Fault) {
                doors += try await read(.one(channel: plan.wires[locker]?.channel ?? 1), deadline)
            } catch {
                guard doors.isEmpty else { break }
                return .failure(error.harmless(name))
            }
        }
        return .success(doors)
    }

    /// Also asks a board without sensors, only to see that it is there.
    private func readAll(
        until deadline: ContinuousClock.Instant
    ) async -> Result<[DoorReading], LockerError> {
        do throws(Fault) {
            let locker = plan.sensed.first ?? plan.wires.keys.min() ?? 1
            return .success(try await read(plan.question(about: locker), deadline))
        } catch {
            return .failure(error.harmless(name))
        }
    }

    private func read(
        _ question: Question, _ deadline: ContinuousClock.Instant
    ) async throws(Fault) -> [DoorReading] {
        let levels = try await link.ask(question, of: plan, isUrgent: false, until: deadline)
        let now = context.clock.now
        let asked = plan.sensed.filter { plan.profile.readsAll || isAbout($0, question) }
        return asked.compactMap { locker in
            plan.door(of: locker, in: levels).map {
                DoorReading(locker: locker, door: $0, takenAt: now)
            }
        }
    }

    private func isAbout(_ locker: Int, _ question: Question) -> Bool {
        question == .one(channel: plan.wires[locker]?.channel ?? 1)
    }

    /// The lockers to read in one call: those whose door somebody waits for, then the ones that were read longest ago.
    private func due() -> [Int] {
        let now = context.clock.now
        fired = fired.filter { $0.value.duration(to: now) < Limits.interest }
        let first = round.filter { fired[$0] != nil }
        return Array((first + round.filter { fired[$0] == nil }).prefix(Limits.readsPerCall))
    }
}
