import BusKit
import LockerKit

/// One board on a Modbus link.
actor ModbusController: LockController {
    nonisolated let plan: BoardPlan
    nonisolated let link: ModbusLink
    nonisolated let context: DriverContext

    private var isStarted = false
    /// The open that is under way.
    private var current: OpenTicket?
    /// Lockers whose coil this controller has switched on and not yet proved off.
    var energised: Set<Int> = []
    /// Of these, the ones whose last off may have acted, with what went wrong. Where off is not safe, it is not repeated then.
    var doubts: [Int: Fault] = [:]
    /// Lockers whose coil read on at the start and has not read off since, on a board whose off is not known to be safe.
    var foundOn: Set<Int> = []
    /// When the last off that was confirmed left.
    var offAt: ContinuousClock.Instant?
    var survey = Survey.due
    /// The board did not answer the survey of the call that is under way.
    var isSurveyUnanswered = false
    /// How many calls there were whose survey went unanswered and whose doors did not.
    var unansweredSurveys = 0

    nonisolated var unownedExecutor: UnownedSerialExecutor { link.unownedExecutor }

    init(_ plan: BoardPlan, link: ModbusLink, context: DriverContext) {
        self.plan = plan
        self.link = link
        self.context = context
    }

    nonisolated var capabilities: Capabilities { plan.capabilities }

    /// How errors name the board.
    nonisolated var name: String { "\(plan.id) (unit \(plan.unit))" }

    /// Connects and writes nothing; the first look at the board is where coils that an earlier life left on are found.
    func start() async throws(LockerError) {
        isStarted = true
        survey = .due
        unansweredSurveys = 0
        try await link.start(plan.id, name)
    }

    func open(_ command: OpenCommand) async throws(LockerError) -> OpenReport {
        guard plan.wires[command.locker] != nil else {
            throw LockerError(.unknownLocker, "no locker \(command.locker) on \(plan.id)")
        }
        return try await link.runOpen { await self.perform(command, $0) }
    }

    func readDoors() async throws(LockerError) -> [DoorReading] {
        try await link.run { await self.readAllDoors() }
    }

    func stop() async throws(LockerError) {
        isStarted = false
        current?.cancel()
        try await link.run {
            let deadline = self.context.clock.now + Limits.stop
            var stuck: LockerError?
            let faults = await self.release(self.energised.sorted(), until: deadline)
            for (locker, fault) in faults.sorted(by: { $0.key < $1.key }) {
                stuck = self.stuckError(locker, fault, fired: .yes)
            }
            await self.link.leave(self.plan.id)
            return stuck.map { .failure($0) } ?? .success(())
        }
    }

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

    private var notStarted: LockerError {
        LockerError(.linkDown, "\(plan.id) has not been started")
    }
}

// MARK: Doors

extension ModbusController {
    private func readAllDoors() async -> Result<[DoorReading], LockerError> {
        guard isStarted else { return .failure(notStarted) }
        let beganAt = context.clock.now
        let deadline = beganAt + BusLimits.doors
        do throws(LockerError) {
            try await settleOutputs(until: beganAt + Limits.leftovers)
        } catch {
            return .failure(error)
        }
        do throws(Fault) {
            let values = try await link.read(
                plan.doors ?? probe, of: plan, isUrgent: false, until: deadline)
            let takenAt = context.clock.now
            noteDoorsAnswered()
            await link.rest()
            return .success(plan.doors(in: values, takenAt: takenAt))
        } catch .refused(let refusal) where plan.doors == nil && 1...3 ~= refusal.number {
            // It was only to be seen whether the board is there, and it is.
            return .success([])
        } catch {
            return .failure(error.harmless(name))
        }
    }

    /// What is read of a board without sensors, only to see that it is there: the first coil.
    private var probe: ReadRequest {
        ReadRequest(
            function: plan.profile.write.readBack,
            address: Int(plan.wires.values.map(\.coil).min() ?? 0), count: 1)
    }
}
