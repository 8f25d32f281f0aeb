package import LockerKit
import Locks

/// One simulated board.
package final class SimulatedController: LockController {
    private struct State {
        var isStarted = false
        var doors: [Int: SimulatedDoor]
        /// For each locker whose door will move by itself, the task that reports it.
        var watchers: [Int: Task<Void, Never>] = [:]
    }

    private let id: String
    private let numbers: [Int]
    private let link: SimulatedLink
    private let state: Mutex<State>

    init(_ description: ControllerDescription, link: SimulatedLink) throws(LockerError) {
        id = description.id
        self.link = link
        numbers = description.lockers.map(\.number)
        var doors: [Int: SimulatedDoor] = [:]
        for locker in description.lockers { doors[locker.number] = try SimulatedDoor(locker) }
        state = Mutex(State(doors: doors))
    }

    /// What the link's options say.
    package var capabilities: Capabilities { link.settings.capabilities }

    /// The lockers whose coil is energised now; for tests, which look at the hardware from outside.
    package var energised: Set<Int> {
        let now = clock.now
        return state.withLock { state in
            Set(state.doors.filter { $0.value.isEnergised(at: now) }.keys)
        }
    }

    private var clock: any MonotonicClock { link.context.clock }

    /// Plugs the board in; a link that is down says so here, and the next read tries again.
    package func start() async throws(LockerError) {
        state.withLock { $0.isStarted = true }
        try await link.enter()
    }

    /// Fires a lock.
    ///
    /// With pulses timed by the board this returns at once; with pulses timed by the host it takes as long as the pulse.
    package func open(_ command: OpenCommand) async throws(LockerError) -> OpenReport {
        let locker = command.locker
        guard let fault = state.withLock({ $0.doors[locker].map(\.fault) }) else {
            throw LockerError(.unknownLocker, "no locker \(locker) on \(id)")
        }
        guard state.withLock({ $0.isStarted }) else {
            throw LockerError(.linkDown, "\(id) has not been started")
        }
        let beganAt = clock.now
        try await link.enter(isOpen: true)
        if Task.isCancelled {
            throw LockerError(.cancelled, "cancelled before locker \(locker) fired")
        }
        try command.checkDeadline(at: clock.now)
        if fault == .refuse {
            throw LockerError(.refused, "\(id) refuses to open locker \(locker)", sent: .yes)
        }
        let fate = link.fate()
        if case .strike(let fault) = fate, fault.when == .before { link.strike(fault) }
        let bus = beganAt.duration(to: clock.now)
        let before = sensor(of: locker)
        try fire(command)
        if case .strike(let fault) = fate, fault.when == .after { link.strike(fault) }
        if capabilities.pulseTiming == .host { try await endPulse(command) }
        var isLost = fault == .replyLost
        if case .replyLost = fate { isLost = true }
        if isLost {
            throw LockerError(
                .timedOut, "\(id) did not answer the open of locker \(locker)", fired: .unknown,
                sent: .yes)
        }
        return OpenReport(
            evidence: capabilities.evidence, doorBefore: before, doorAfter: sensor(of: locker),
            bus: bus, pulse: command.pulse)
    }

    /// Reads the sensors.
    package func readDoors() async throws(LockerError) -> [DoorReading] {
        guard state.withLock({ $0.isStarted }) else {
            throw LockerError(.linkDown, "\(id) has not been started")
        }
        try await link.enter()
        return numbers.compactMap(reading)
    }

    /// Switches every coil off; the doors go on moving by themselves.
    package func stop() async throws(LockerError) {
        link.waitForHungCall()
        let now = clock.now
        let (released, watchers) = state.withLock { state in
            state.isStarted = false
            defer { state.watchers = [:] }
            let released = numbers.filter { state.doors[$0]?.release(at: now) == true }
            return (released, Array(state.watchers.values))
        }
        for watcher in watchers { watcher.cancel() }
        for locker in released { link.noteCoil(id, locker, isOn: false) }
    }
}

extension SimulatedController {
    private func fire(_ command: OpenCommand) throws(LockerError) {
        let now = clock.now
        let locker = command.locker
        let isFired = state.withLock { state in
            // A stop may have come while this open waited for the cable.
            guard state.isStarted else { return false }
            state.doors[locker]?.fire(
                at: now, pulse: command.pulse, closeAfter: link.settings.closeAfter)
            return true
        }
        guard isFired else {
            throw LockerError(.cancelled, "\(id) was stopped before locker \(locker) fired")
        }
        link.noteFired()
        link.noteCoil(id, locker, isOn: true, token: command.token)
        // What the board ends, it ends also when this process is gone: the journal may say so now.
        if capabilities.pulseTiming == .board {
            link.noteCoil(id, locker, isOn: false, after: command.pulse)
        }
        watch(locker)
    }

    /// Waits for the end of a pulse that this computer times, and switches the coil off on every path.
    private func endPulse(_ command: OpenCommand) async throws(LockerError) {
        let isCut: Bool
        do {
            try await clock.sleep(for: command.pulse)
            isCut = false
        } catch {
            isCut = true
        }
        state.withLock { _ = $0.doors[command.locker]?.release(at: clock.now) }
        link.noteCoil(id, command.locker, isOn: false)
        if isCut {
            throw LockerError(
                .cancelled, "the pulse of locker \(command.locker) was cut short", fired: .yes,
                sent: .yes)
        }
    }

    private func sensor(of locker: Int) -> DoorState? {
        let now = clock.now
        return state.withLock { $0.doors[locker]?.sensor(at: now, since: link.startedAt) }
    }

    private func reading(_ locker: Int) -> DoorReading? {
        let now = clock.now
        return sensor(of: locker).map { DoorReading(locker: locker, door: $0, takenAt: now) }
    }

    /// Reports every move the door makes by itself from now on, as a board with edge detection does.
    private func watch(_ locker: Int) {
        let isNeeded = state.withLock { state in
            state.doors[locker]?.hasSensor == true && state.doors[locker]?.fault != .noSensor
                && state.doors[locker]?.nextMove(after: clock.now) != nil
        }
        guard isNeeded else { return }
        let watcher = Task { [weak self, clock] in
            while let next = self?.nextMove(of: locker) {
                do { try await clock.sleep(until: next, tolerance: nil) } catch { return }
                self?.report(locker)
            }
        }
        state.withLock { $0.watchers.updateValue(watcher, forKey: locker) }?.cancel()
    }

    private func nextMove(of locker: Int) -> ContinuousClock.Instant? {
        let now = clock.now
        return state.withLock { $0.doors[locker]?.nextMove(after: now) }
    }

    private func report(_ locker: Int) {
        // A cable that is pulled carries nothing; who reads the doors later finds what was missed.
        guard !link.isDown, let reading = reading(locker) else { return }
        link.context.report(id, [reading])
    }
}
