import LockerKit
import Locks
import SiteModel

/// One locker on its way through the queues to the coil and back: what `open` does once and `open-all` for each.
struct OpenRun: Sendable {
    let context: CoreContext
    let target: Site.Target
    let operation: String
    let ticket: Ticket
    /// One open at a time for each locker, door watch included: a second one must not be credited with the first one's door.
    let gate: Turnstile
    let token: OpenToken?
    let isAgain: Bool
    let acceptedAt: ContinuousClock.Instant
    let deadline: ContinuousClock.Instant?
    /// Fires also what is out of service at that moment.
    let allowsOutOfService: Bool
    /// Asked for by somebody who stands before the door to mend it: fires also when nothing can be kept.
    let isMaintenance: Bool

    /// How long a coil that may be on keeps its place in the supply at most: a board that is gone for good must not keep the
    /// locks of others shut for ever, and a supply has some current to spare.
    static let longestDoubt: Duration = .seconds(30)
    private static let doubtPause: Duration = .milliseconds(50)
    /// Rests up to this are waited for; beyond it the open is refused, with the time it may be asked for again.
    static let longestRest: Duration = .seconds(1)

    var controller: ControllerPlan { target.controller }
    var locker: LockerPlan { target.locker }
    var lane: Lane { target.lane }
    var identity: LockerIdentity { target.identity }
    var address: String { target.identity.address }
    private var supply: SupplyLine { target.supply }

    /// Pulse after the core's own cap, whatever a file says.
    var pulse: Duration {
        min(max(locker.pulse, Limits.shortestPulse), Limits.longestPulse)
    }

    /// Takes its place in every queue, fires at most once, and says what came of it. An order that is known never to have reached
    /// the board is given again.
    func perform() async -> LockerResult { await perform(first: nil) }

    /// As ``perform()``, after a first attempt that has ended already.
    func perform(first: LockerResult.Ending?) async -> LockerResult {
        var attempts = 1
        var ending: LockerResult.Ending
        if let first { ending = first } else { ending = await attempt() }
        while case .failed(let error) = ending, mayRetry(error, after: attempts) {
            do { try await context.clock.sleep(for: context.environment.retry.pause) } catch {
                ending = .failed(ticket.stopped ?? .cancelledBeforeFiring)
                break
            }
            attempts += 1
            ending = await attempt()
        }
        return LockerResult(locker: identity, ending: ending, attempts: attempts)
    }

    /// Not while the deadline would pass in the pause, nor on a link that was given up.
    func mayRetry(_ error: LockerError, after attempts: Int) -> Bool {
        let policy = context.environment.retry
        guard policy.allows(error, after: attempts), ticket.stopped == nil else { return false }
        if let deadline, context.clock.now + policy.pause >= deadline { return false }
        let state = context.snapshot.controller(controller.id)?.state
        // A board that has been silent for long has been asked already.
        if state == .faulted, error.code == .timedOut { return false }
        return state != nil && state != .quarantined && state != .stopped
    }

    private func attempt() async -> LockerResult.Ending {
        do throws(LockerError) {
            try await queue { () async throws(CancellationError) in try await gate.enter() }
            try await takeSupply()
        } catch {
            return .failed(error)
        }
        return await proceed()
    }

    /// Waits for the supply, for whoever has passed the gate already; what follows is `proceed`, which gives both back.
    func takeSupply() async throws(LockerError) {
        // A module that is just starting, and a board that does not answer, are waited for without a place in the supply:
        // others can use it meanwhile.
        await lane.waitWhileStarting()
        do throws(LockerError) {
            try await rest()
            if let stopped = ticket.stopped { throw stopped }
            do throws(LockerError) {
                try await lane.checkReachable(controller.id, evenIfSilent: isMaintenance)
            } catch {
                throw ticket.stopped ?? error
            }
            try await queue { () async throws(CancellationError) in
                try await lane.waitUntilFree()
                try await supply.enter()
            }
        } catch {
            gate.leave()
            throw error
        }
    }

    /// Fires and judges.
    func proceed() async -> LockerResult.Ending {
        defer { gate.leave() }
        do throws(LockerError) {
            return await judge(try await fireWithSupply())
        } catch {
            return .failed(error)
        }
    }

    private func fireWithSupply() async throws(LockerError) -> Shot {
        do throws(LockerError) {
            return try await fireWithBoard()
        } catch {
            supply.leave()
            throw error
        }
    }

    private func fireWithBoard() async throws(LockerError) -> Shot {
        try await queue { () async throws(CancellationError) in
            try await lane.enterTogether(controller.id)
        }
        let shot: Shot
        // Whether this order was charged to the coil; an earlier one's charge is none of its business.
        let isCharged = Mutex(false)
        do throws(LockerError) {
            try await keepIntent()
            shot = try await lane.fire(
                OpenCommand(
                    locker: locker.number, pulse: pulse, token: token, isAgain: isAgain,
                    deadline: deadline),
                controller: controller.id, supply: supply, ticket: ticket,
                evenIfSilent: isMaintenance
            ) { refusal(isCharged) }
        } catch {
            if isCharged.withLock(\.self) { noteNotFired() }
            await lane.leaveTogether(controller.id)
            throw error
        }
        context.environment.passing(.reported)
        settleCoil(after: shot)
        await giveBack(after: shot)
        return shot
    }

    /// Why it must not fire, asked last before the order leaves; nil where it may, and then it counts as handed over.
    private func refusal(_ isCharged: Mutex<Bool>) -> LockerError? {
        if let deadline, context.clock.now >= deadline { return .expired }
        guard let view = context.snapshot.locker(.address(address)), view.identity == identity
        else {
            return LockerError(.unknownLocker, "locker \(address) was changed by a reload")
        }
        if view.isOutOfService, !allowsOutOfService { return .outOfService(view) }
        if let limit = dutyLimit { return .duty(address, limit) }
        do throws(LockerError) {
            try ticket.handOver(identity)
        } catch {
            return error
        }
        let now = context.clock.now
        context.duty.charge(address, pulse: pulse, plan: locker.coil, now: now)
        context.truth.noteOrder(
            address, at: now, pulse: pulse, doorWait: controller.doorWait,
            isOpen: view.currentDoor(at: now) == .open)
        isCharged.withLock { $0 = true }
        context.environment.passing(.ordering)
        return nil
    }

    /// What the coil was charged with, and what the door was expected to do, is taken back.
    private func noteNotFired() {
        context.duty.giveBack(address)
        context.truth.takeBack(address)
    }

    /// A coil that may have been on was, and until whenever it may have been.
    private func settleCoil(after shot: Shot) {
        let offAt = context.clock.now + coilRest(shot)
        switch shot.result {
        case .success(let report):
            context.duty.settle(address, pulse: report.pulse, offAt: offAt)
        case .failure(let error) where error.fired == .no: noteNotFired()
        case .failure: context.duty.settle(address, pulse: pulse, offAt: offAt)
        }
    }

    /// Gives the board's and the supply's place back once the coil is off.
    private func giveBack(after shot: Shot) async {
        let rest = coilRest(shot)
        let isInDoubt = isInDoubt(shot)
        guard rest > .zero || isInDoubt else {
            supply.leave()
            return await lane.leaveTogether(controller.id)
        }
        let endedAt = context.clock.now
        context.start {
            try? await context.clock.sleep(for: rest)
            // The board's own place not longer: its driver switches off what is in doubt before it fires again.
            await lane.leaveTogether(controller.id)
            if isInDoubt {
                await waitUntilProvenOff(since: endedAt)
                // Nobody knows that it was off before.
                let now = context.clock.now
                context.duty.add(
                    address, heat: endedAt.duration(to: now), plan: locker.coil, now: now)
            }
            supply.leave()
        }
    }

    /// Whether the coil may be on for as long as nobody switches it off.
    private func isInDoubt(_ shot: Shot) -> Bool {
        guard case .failure(let error) = shot.result else { return false }
        return error.code == .outputStuck && error.fired != .no
            || isHostTimed && error.fired == .unknown
    }

    /// A driver whose board answers without a doubt has no coil on; it says so with the next read of the doors.
    private func waitUntilProvenOff(since: ContinuousClock.Instant) async {
        let deadline = since + Self.longestDoubt
        while context.clock.now < deadline {
            if await lane.isProven(controller.id, since: since) { return }
            do { try await context.clock.sleep(for: Self.doubtPause) } catch { return }
        }
    }

    private func queue(
        _ enter: () async throws(CancellationError) -> Void
    ) async throws(LockerError) {
        if let stopped = ticket.stopped { throw stopped }
        do throws(CancellationError) {
            try await enter()
        } catch {
            throw ticket.stopped ?? .cancelledBeforeFiring
        }
    }

    /// How long a coil may be on after the driver's answer; the supply is not free before.
    ///
    /// When the board began its pulse is not known exactly, so a pulse in the board's hands counts from the answer.
    func coilRest(_ shot: Shot) -> Duration {
        switch shot.result {
        case .success(let report):
            isHostTimed ? .zero : min(report.pulse, Limits.longestPulse)
        case .failure(let error) where error.code == .outputStuck && error.fired != .no:
            Limits.longestPulse
        case .failure(let error):
            error.fired == .no ? .zero : pulse
        }
    }

    var isHostTimed: Bool {
        context.snapshot.controller(controller.id)?.capabilities?.pulseTiming == .host
    }
}
