import LockerKit
import Locks
import SiteModel

/// The serial queue of one link: opens in order, reads of the doors in between.
actor Lane {
    /// Opens that may wait for their turn; one more is refused as busy.
    static let queueLimit = 256
    /// How long an open waits for a module that is just starting.
    static let startGrace: Duration = .seconds(2)
    /// Reads in a row that may fail, on a link that is up, before the controller counts as faulted.
    static let missesUntilFaulted = 3
    /// Pause between two reads while somebody waits for a door: people see the answer at once.
    static let watchfulPoll: Duration = .milliseconds(50)
    /// How long a free lane stays free for the open that waited for it: what is between the two, a supply with room and the journal,
    /// takes a few milliseconds, and a read that slips in takes a whole exchange on the line. A supply that is busy takes longer, and
    /// then the doors are read meanwhile.
    static let keepsFree: Duration = .milliseconds(50)
    /// Pauses between two reads of a controller that does not answer: a quarter of the time it has been silent. A board that is
    /// gone costs the others on its bus ever less, and one that was gone briefly is found again soon.
    static let shortestFaultedPoll: Duration = .seconds(1)
    static let longestFaultedPoll: Duration = .seconds(5)

    enum Phase {
        case starting
        case ready
        case down(reason: String)
        case stopped
    }

    struct Station {
        var controller: (any LockController)?
        let plan: ControllerPlan
        /// As many coils as the board may energise at once.
        let together = Turnstile(capacity: 1)
        var misses = 0
        /// When the first of `misses` was noticed.
        var missingSince: ContinuousClock.Instant?
        var lastMiss: (error: LockerError, at: ContinuousClock.Instant)?
        /// When an order was not answered, until the board has answered something.
        var unansweredAt: ContinuousClock.Instant?
        /// When a read of the doors was last answered.
        var provenAt: ContinuousClock.Instant?
        /// A read that opens wait for, to know whether a lost board is back.
        var probe: Task<Void, Never>?
        var due: ContinuousClock.Instant
        /// When the device's own log is looked at again.
        var logDue: ContinuousClock.Instant
        var watchfulUntil: ContinuousClock.Instant
    }

    nonisolated let plan: LinkPlan
    let context: CoreContext
    nonisolated let turns = Turnstile(capacity: 1)
    /// Until then the next turn is kept for an open that has seen the lane free.
    private nonisolated let kept = Mutex<ContinuousClock.Instant?>(nil)
    private nonisolated let alarm: Alarm
    var phase = Phase.starting
    var startingSince: ContinuousClock.Instant
    /// Counts the module's lives, so that an answer of a dead one is not taken for the living.
    private(set) var life = 0
    var settled = Ticket()
    var stations: [String: Station] = [:]
    private var lastDeath: String?

    init(plan: LinkPlan, context: CoreContext) {
        self.plan = plan
        self.context = context
        alarm = Alarm(clock: context.clock)
        startingSince = context.clock.now
        for one in plan.controllers {
            let now = startingSince
            stations[one.id] = Station(plan: one, due: now, logDue: now, watchfulUntil: now)
        }
    }

    /// Keeps the link running until the task is cancelled; then its controllers are `stopped`.
    func run(_ connector: any LinkConnector) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [plan] in
                await connector.run(plan) { [weak self] report in await self?.take(report) }
            }
            group.addTask { await self.pollUntilCancelled() }
        }
        phase = .stopped
        life += 1
        settled.finish()
        for id in stations.keys {
            stations[id]?.controller = nil
            let last = context.snapshot.controller(id)
            let isStuck = last?.hasStuckOutput == true
            context.setState(
                .stopped, of: id, reason: isStuck ? last?.reason : nil, hasStuckOutput: isStuck)
        }
    }

    /// Returns when the module's first start has ended one way or the other, or after `limit`.
    func waitUntilSettled(limit: Duration) async {
        await settled.wait(limit: limit, clock: context.clock)
    }
}

// MARK: Reports

extension Lane {
    private func take(_ report: LinkReport) {
        switch report {
        case .starting(let restarts):
            phase = .starting
            startingSince = context.clock.now
            if settled.isDone { settled = Ticket() }
            setAll(.starting, reason: lastDeath, restarts: restarts)
        case .ready(let controllers, let restarts):
            becomeReady(controllers, restarts: restarts)
        case .down(let reason, let restarts):
            loseControllers(reason)
            setAll(.faulted, reason: reason, restarts: restarts)
        case .quarantined(let reason, let restarts):
            loseControllers(reason)
            setAll(.quarantined, reason: reason, restarts: restarts)
        case .stuckAtRest(let id, let reason):
            guard stations[id] != nil else { return }
            context.setState(.faulted, of: id, reason: reason, hasStuckOutput: true)
        case .doors(let controller, let doors):
            noteGood(controller)
            context.note(doors, controller: controller)
        }
    }

    private func becomeReady(_ controllers: [String: any LockController], restarts: Int) {
        life += 1
        phase = .ready
        for (id, controller) in controllers {
            guard stations[id] != nil else { continue }
            stations[id]?.controller = controller
            stations[id]?.misses = 0
            stations[id]?.missingSince = nil
            stations[id]?.unansweredAt = nil
            stations[id]?.due = context.clock.now
            stations[id]?.together.resize(controller.capabilities.maximumTogether)
            context.snapshot.update(controller: id) { view in
                view.capabilities = controller.capabilities
                view.restarts = restarts
            }
        }
        alarm.ring()
    }

    private func loseControllers(_ reason: String) {
        life += 1
        phase = .down(reason: reason)
        lastDeath = reason
        for id in stations.keys { stations[id]?.controller = nil }
        settled.finish()
    }

    private func setAll(_ state: ControllerState, reason: String?, restarts: Int) {
        for id in plan.controllers.map(\.id) {
            setState(state, of: id, reason: reason, restarts: restarts)
        }
    }

    /// A board or module that is gone takes nothing back: an output that was in doubt stays so until the board answers again.
    private func setState(
        _ state: ControllerState, of id: String, reason: String?, restarts: Int? = nil
    ) {
        let isStuck = context.snapshot.controller(id)?.hasStuckOutput == true
        let doubt = isStuck ? "an output may still be energised" : nil
        let reasons = [doubt, reason].compactMap(\.self)
        context.setState(
            state, of: id, reason: reasons.isEmpty ? nil : reasons.joined(separator: "; "),
            restarts: restarts, hasStuckOutput: isStuck)
    }
}

// MARK: Reading the doors

extension Lane {
    /// Reads this controller often for a while.
    func watch(_ controller: String, for duration: Duration) {
        stations[controller]?.watchfulUntil = context.clock.now + duration
        stations[controller]?.due = context.clock.now
        alarm.ring()
    }

    private func pollUntilCancelled() async {
        while !Task.isCancelled {
            let next = stations.filter { $0.value.controller != nil }
                .min { $0.value.due < $1.value.due }
            guard let next else {
                await alarm.sleep(until: context.clock.now + Self.shortestFaultedPoll)
                continue
            }
            let due = max(next.value.due, kept.withLock(\.self) ?? next.value.due)
            if due > context.clock.now {
                await alarm.sleep(until: due)
            } else {
                await poll(next.key, isOnTime: true)
            }
        }
    }

    /// - Parameter isOnTime: only because it was due; gives way to an open that the line is kept free for.
    func poll(_ id: String, isOnTime: Bool = false) async {
        do { try await turns.enter(.routine) } catch { return }
        defer { turns.leave() }
        // That open may have been before this in the queue.
        if isOnTime, let end = kept.withLock(\.self), context.clock.now < end { return }
        kept.withLock { $0 = nil }
        await read(id)
        if isOnTime { await collectLog(of: id) }
    }

    /// Reads the doors. Needs the turn.
    func read(_ id: String) async {
        guard let controller = stations[id]?.controller else { return }
        let life = life
        let result: Result<[DoorReading], LockerError>
        do throws(LockerError) {
            result = .success(try await controller.readDoors())
        } catch {
            result = .failure(error)
        }
        guard life == self.life, stations[id] != nil else { return }
        switch result {
        case .success(let doors):
            stations[id]?.provenAt = context.clock.now
            noteGood(id, isProof: true)
            context.note(doors, controller: id)
        case .failure(let error):
            noteMiss(id, error)
        }
        let due = context.clock.now + pause(for: id)
        stations[id]?.due = due
        settleWhenRead()
    }

    private func pause(for id: String) -> Duration {
        guard let station = stations[id] else { return Self.shortestFaultedPoll }
        let now = context.clock.now
        if let since = station.missingSince {
            let share = since.duration(to: now) / 4
            let growing = min(max(share, Self.shortestFaultedPoll), Self.longestFaultedPoll)
            return max(station.plan.poll, growing)
        }
        let poll = station.plan.poll
        return now < station.watchfulUntil ? min(Self.watchfulPoll, poll) : poll
    }

    /// The first start has settled when every controller has been asked once.
    private func settleWhenRead() {
        let isAsked = plan.controllers.allSatisfy { plan in
            context.snapshot.controller(plan.id)?.state != .starting
        }
        if isAsked { settled.finish() }
    }

    /// The board has answered. Only an answered read of the doors is proof that no output is in doubt: a driver that has one in
    /// doubt does not answer it.
    private func noteGood(_ id: String, isProof: Bool = false) {
        guard case .ready = phase else { return }
        stations[id]?.unansweredAt = nil
        stations[id]?.misses = 0
        stations[id]?.missingSince = nil
        let now = context.clock.now
        context.snapshot.update(controller: id) { $0.lastGood = now }
        if !isProof, context.snapshot.controller(id)?.hasStuckOutput == true { return }
        context.setState(.ready, of: id, reason: lastDeath)
    }

    private func noteMiss(_ id: String, _ error: LockerError) {
        guard case .ready = phase else { return }
        let misses = (stations[id]?.misses ?? 0) + 1
        stations[id]?.misses = misses
        let now = context.clock.now
        if misses == 1 { stations[id]?.missingSince = now }
        stations[id]?.lastMiss = (error, now)
        // A board that refuses is there.
        if error.code != .timedOut, error.code != .linkDown { stations[id]?.unansweredAt = nil }
        let isCertain = error.code == .linkDown || error.code == .outputStuck
        guard isCertain || misses >= Self.missesUntilFaulted else { return }
        if error.code == .outputStuck {
            context.setState(.faulted, of: id, reason: error.message, hasStuckOutput: true)
        } else {
            setState(.faulted, of: id, reason: error.message)
        }
    }
}

// MARK: Firing

/// A pulse that was asked for, with what came of it.
struct Shot: Sendable {
    /// When the order left for the driver.
    let at: ContinuousClock.Instant
    /// What was surely known of the door at that moment.
    let doorBefore: DoorState
    let result: Result<OpenReport, LockerError>
}

extension Lane {
    /// Waits until nothing else is under way here: nobody shall hold a supply while he stands behind a driver that hangs. Reads stay
    /// away for a moment then, but not for one open after the other: between two that do not fire there is a read.
    nonisolated func waitUntilFree() async throws(CancellationError) {
        try await turns.enter(.urgent)
        let end = context.clock.now + Self.keepsFree
        kept.withLock { $0 = $0 ?? end }
        turns.leave()
    }

    /// Waits for the turn and for the supply's gap, and fires unless `refusal` has a reason against it by then.
    ///
    /// Throws what kept it from firing; once the order left for the driver every end is in the shot.
    func fire(
        _ command: OpenCommand, controller id: String, supply: SupplyLine, ticket: Ticket,
        evenIfSilent: Bool = false, unless refusal: @Sendable () -> LockerError?
    ) async throws(LockerError) -> Shot {
        guard turns.waiting < Self.queueLimit else {
            throw LockerError(.busy, "link \(plan.name) has \(Self.queueLimit) orders waiting")
        }
        try await takeTurn(ticket)
        defer { turns.leave() }
        kept.withLock { $0 = nil }
        if !evenIfSilent { try await checkAnswering(id) }
        let grant: SupplyLine.Grant
        do {
            grant = try await supply.start()
        } catch {
            throw ticket.stopped ?? .cancelledBeforeFiring
        }
        let shot: Shot
        do throws(LockerError) {
            if let reason = refusal() { throw reason }
            shot = try await shoot(command, controller: id)
        } catch {
            await supply.takeBack(grant)
            throw error
        }
        if case .failure(let error) = shot.result, error.fired == .no {
            await supply.takeBack(grant)
        }
        return shot
    }

    /// Hands the order to the driver; from here on nothing stops it.
    private func shoot(
        _ command: OpenCommand, controller id: String
    ) async throws(LockerError) -> Shot {
        guard let controller = stations[id]?.controller else { throw linkDown }
        let at = context.clock.now
        let doorBefore =
            context.snapshot.locker(.address("\(id)/\(command.locker)"))?.currentDoor(at: at)
        let life = life
        // A task of its own: stopping the operation must not reach a pulse that is under way.
        let result = await context.start { () -> Result<OpenReport, LockerError> in
            do throws(LockerError) {
                return .success(try await controller.open(command))
            } catch {
                return .failure(error)
            }
        }.value
        if life == self.life {
            switch result {
            case .success: noteGood(id)
            case .failure(let error) where error.code == .linkDown || error.code == .outputStuck:
                noteMiss(id, error)
                // One lock's word for it: the next open asks the board itself before it believes that.
                if let miss = stations[id]?.lastMiss {
                    stations[id]?.lastMiss = (miss.error, miss.at - Self.shortestFaultedPoll)
                }
            case .failure(let error) where error.code == .timedOut:
                stations[id]?.unansweredAt = context.clock.now
            case .failure: break
            }
        }
        return Shot(at: at, doorBefore: doorBefore ?? .unknown, result: result)
    }

    /// Keeps within the number of coils this board may energise at once. Needs one `leaveTogether`.
    func enterTogether(_ controller: String) async throws(CancellationError) {
        try await stations[controller]?.together.enter()
    }

    func leaveTogether(_ controller: String) {
        stations[controller]?.together.leave()
    }

    private func takeTurn(_ ticket: Ticket) async throws(LockerError) {
        do {
            try await turns.enter(.urgent)
        } catch {
            throw ticket.stopped ?? .cancelledBeforeFiring
        }
    }
}

extension LockerError {
    static let expired = LockerError(.expired, "the deadline passed before the lock could fire")
    static let cancelledBeforeFiring = LockerError(.cancelled, "cancelled before the lock fired")
}
