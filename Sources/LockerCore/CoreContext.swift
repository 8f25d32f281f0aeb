package import LockerKit
import Locks
package import Logging
package import SiteModel

/// What the core takes from outside: the clocks and the log.
package struct CoreEnvironment: Sendable {
    package let clock: any MonotonicClock
    package let wallClock: @Sendable () -> WallTime
    package let logger: Logger
    /// Names this start of the daemon; event numbers and operation ids belong to it.
    package let bootID: String
    /// Where operations run; nil means the runtime's pool.
    ///
    /// On the thread that moves the bytes of clients and modules an open needs no other thread to be woken: each of its steps is
    /// short, and every wait in it is a suspension.
    package let executor: (any TaskExecutor)?
    /// Where it is kept what happened; nil keeps nothing.
    package let journal: (any CoreJournal)?
    package let machine: MachineTime
    package let retry: RetryPolicy
    /// Called at each step of an open, for tests that end the process there.
    package let passing: @Sendable (OpenStep) -> Void

    package init(
        clock: any MonotonicClock, wallClock: @escaping @Sendable () -> WallTime, logger: Logger,
        bootID: String, executor: (any TaskExecutor)? = nil, journal: (any CoreJournal)? = nil,
        machine: MachineTime = MachineTime(), retry: RetryPolicy = .gateway,
        passing: @escaping @Sendable (OpenStep) -> Void = { _ in }
    ) {
        self.journal = journal
        self.machine = machine
        self.retry = retry
        self.passing = passing
        self.clock = clock
        self.wallClock = wallClock
        self.logger = logger
        self.bootID = bootID
        self.executor = executor
    }
}

/// The machine's own clocks, for what outlives a start of the daemon.
package struct MachineTime: Sendable {
    /// Milliseconds since the machine's start, suspension included.
    package let monotonicMs: @Sendable () -> Int64
    /// Names that start of the machine.
    package let boot: String
    /// Whether the wall clock is synchronised.
    package let isSynchronized: @Sendable () -> Bool

    package init(
        monotonicMs: @escaping @Sendable () -> Int64 = { 0 }, boot: String = "",
        isSynchronized: @escaping @Sendable () -> Bool = { false }
    ) {
        self.monotonicMs = monotonicMs
        self.boot = boot
        self.isSynchronized = isSynchronized
    }
}

/// The steps of an open between which a process may end.
package enum OpenStep: String, Sendable, CaseIterable {
    case accepted, intending
    case intended, ordering, reported, judged, ending, ended
}

/// When an order is given again: only when it is known that the one before never reached the board.
package struct RetryPolicy: Sendable, Equatable {
    /// How often an order is given in all.
    package let attempts: Int
    package let pause: Duration

    package init(attempts: Int, pause: Duration) {
        self.attempts = attempts
        self.pause = pause
    }

    /// As the lockers' gateways have always done it: three attempts, a second apart. Their limit of 20 s for each is kept by the
    /// deadlines of a module's calls, which are shorter.
    package static let gateway = RetryPolicy(attempts: 3, pause: .seconds(1))
    package static let never = RetryPolicy(attempts: 1, pause: .zero)

    /// Whether the order may be given again: nothing of it left, and neither the board nor a person said no.
    func allows(_ error: LockerError, after attempts: Int) -> Bool {
        guard attempts < self.attempts, error.fired == .no, error.sent == .no else { return false }
        return error.code == .linkDown || error.code == .timedOut
    }
}

/// What lanes and operations share: the snapshot, the events, the watch over doors.
struct CoreContext: Sendable {
    let environment: CoreEnvironment
    let snapshot: Snapshot
    let events: EventLog
    let watch: DoorWatch
    let duty = DutyBook()
    let patience: Patience
    let truth: DoorTruth
    let logs: DeviceLogs
    /// Called when an open that had ended as jammed opens its door after all.
    let noteLate = LateDoors()
    /// Held while a change is made and its event appended: what the events say last is what the snapshot holds.
    private let order = Mutex(0)

    var clock: any MonotonicClock { environment.clock }
    var logger: Logger { environment.logger }

    var journal: (any CoreJournal)? { environment.journal }

    init(environment: CoreEnvironment, doors: DoorPlan) {
        self.environment = environment
        snapshot = Snapshot()
        events = EventLog(wallClock: environment.wallClock, journal: environment.journal)
        patience = Patience(clock: environment.clock)
        logs = DeviceLogs(environment.journal?.legacy.cursors ?? [:])
        truth = DoorTruth(doors, wallClock: environment.wallClock)
        watch = DoorWatch(clock: environment.clock)
    }

    /// Starts a task of an operation.
    @discardableResult
    func start<Value: Sendable>(
        _ body: @escaping @Sendable () async -> Value
    ) -> Task<Value, Never> {
        Task(executorPreference: environment.executor, operation: body)
    }

    /// Takes in door readings: the snapshot, the events of doors that moved, and whoever waits for one of them.
    func note(_ doors: [DoorReading], controller: String) {
        let late: [LateDoors.Opening] = order.withLock { _ in
            snapshot.apply(doors, controller: controller).compactMap(note)
        }
        watch.note(doors, controller: controller)
        for opening in late { noteLate.report(opening) }
    }

    /// Held under `order`.
    private func note(_ news: Snapshot.DoorNews) -> LateDoors.Opening? {
        let findings =
            news.isMove
            ? truth.noteMove(news.locker, to: news.door, at: news.at, since: news.since)
            : truth.noteStill(news.locker, news.door, at: news.at)
        if let suspicion = findings.suspicion { show(suspicion, of: news.locker) }
        for event in findings.events where isCredible(event, of: news.locker) {
            events.append(event)
        }
        return findings.late.map { LateDoors.Opening(locker: news.locker, late: $0) }
    }

    /// A sensor that people have called broken accuses nobody.
    private func isCredible(_ event: EventBody, of locker: LockerIdentity) -> Bool {
        switch event {
        case .doorForced, .doorHeld:
            snapshot.locker(.address(locker.address))?.service.brokenLock != true
        default: true
        }
    }

    /// A watched pulse is over: if the sensor has slept through too many, it is suspected.
    func notePulseOver(_ locker: LockerIdentity, hasMoved: Bool, wasOpen: Bool = false) {
        order.withLock { _ in
            let found = truth.notePulseOver(locker.address, hasMoved: hasMoved, wasOpen: wasOpen)
            guard let suspicion = found else { return }
            show(suspicion, of: locker)
            events.append(.sensorSuspect(locker: locker, suspicion: suspicion))
        }
    }

    private func show(_ suspicion: SensorSuspicion?, of locker: LockerIdentity) {
        snapshot.update(locker: locker.address) { $0.suspicion = suspicion }
        guard let suspicion else { return }
        logger.warning(
            "locker \(locker.address): \(suspicion.message)", metadata: ["locker": "\(locker.id)"])
    }

    /// When something is done, by every clock.
    func stamp() -> AuditStamp {
        AuditStamp(
            at: environment.wallClock(), monotonicMs: environment.machine.monotonicMs(),
            bootID: environment.bootID, machineBoot: environment.machine.boot,
            isSynchronized: environment.machine.isSynchronized())
    }

    /// What is to be kept of a locker now, its coil's heat included.
    func kept(_ locker: LockerIdentity, coil: CoilPlan) -> JournalEntry? {
        guard let view = snapshot.locker(.address(locker.address)) else { return nil }
        var kept = KeptLocker()
        kept.service = view.service
        kept.lastOpen = view.lastOpen
        kept.wear = view.wear
        let (heat, recent) = duty.warmth(locker.address, plan: coil, now: clock.now)
        if heat > .zero || recent > 0 {
            kept.coil = KeptCoil(
                heat: heat, atMs: environment.machine.monotonicMs(),
                machineBoot: environment.machine.boot, recent: recent)
        }
        return .locker(locker, kept)
    }

    /// Moves a controller to a state, with everything that follows from it.
    func setState(
        _ state: ControllerState, of controller: String, reason: String?, restarts: Int? = nil,
        hasStuckOutput: Bool = false
    ) {
        let isNewState = order.withLock { _ in
            var isNewState = false
            let isChanged = snapshot.update(controller: controller) { view in
                isNewState = view.state != state
                if isNewState { view.since = environment.wallClock() }
                view.state = state
                view.reason = reason
                view.hasStuckOutput = hasStuckOutput
                if let restarts { view.restarts = restarts }
            }
            guard isChanged else { return false }
            snapshot.setOperational(state == .ready, controller: controller)
            if isNewState {
                events.append(
                    .controllerState(controller: controller, state: state, reason: reason))
            }
            noteHealth()
            return isNewState
        }
        guard isNewState else { return }
        let level: Logger.Level = state == .faulted || state == .quarantined ? .warning : .notice
        logger.log(
            level: level, "controller \(controller) is \(state)",
            metadata: reason.map { ["controller": "\(controller)", "reason": "\($0)"] })
    }

    func refreshHealth() {
        order.withLock { _ in noteHealth() }
    }

    private func noteHealth() {
        if let health = snapshot.refreshHealth() { events.append(.healthChanged(health)) }
    }
}

/// Passes on, to whoever keeps the operations, that a door has opened late.
final class LateDoors: Sendable {
    struct Opening: Sendable {
        let locker: LockerIdentity
        let late: LateDoor
    }

    private let handler = Mutex<(@Sendable (Opening) -> Void)?>(nil)

    func handle(_ body: @escaping @Sendable (Opening) -> Void) {
        handler.withLock { $0 = body }
    }

    func report(_ opening: Opening) { handler.withLock(\.self)?(opening) }
}
