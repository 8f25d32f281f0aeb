import LockerKit
import LockerKitTesting
import Locks
import Logging
import SiteModel
import TestSupport
import Testing

@testable import LockerCore

/// A board in memory that does what a test tells it.
final class FakeController: LockController {
    struct State {
        var opens: [(locker: Int, at: ContinuousClock.Instant)] = []
        var deadlines: [ContinuousClock.Instant?] = []
        var doors: [Int: DoorState] = [:]
        var reads = 0
        var readAt: ContinuousClock.Instant?
        /// What an open answers; nil opens the door at once.
        var onOpen: [Int: Result<OpenReport, LockerError>] = [:]
        var onRead: LockerError?
        var isHeld = false
        var held: [CheckedContinuation<Void, Never>] = []
        var energised = 0
        var mostEnergised = 0
    }

    let state = Mutex(State())
    let capabilities: Capabilities
    let clock: ManualClock

    init(
        clock: ManualClock, lockers: Int = 4, doorSensors: Bool = true,
        evidence: Evidence = .echo, maximumTogether: Int = 8,
        pulseTiming: Capabilities.PulseTiming = .board
    ) {
        self.clock = clock
        capabilities = Capabilities(
            pulseTiming: pulseTiming, evidence: evidence, maximumTogether: maximumTogether,
            polarityKnown: true, doorSensors: doorSensors)
        state.withLock {
            $0.doors = Dictionary(uniqueKeysWithValues: (1...lockers).map { ($0, .closed) })
        }
    }

    var opens: [Int] { state.withLock { $0.opens.map(\.locker) } }

    func start() async throws(LockerError) {}

    func stop() async throws(LockerError) {}

    func open(_ command: OpenCommand) async throws(LockerError) -> OpenReport {
        state.withLock { state in
            state.opens.append((command.locker, clock.now))
            state.deadlines.append(command.deadline)
            state.energised += 1
            state.mostEnergised = max(state.mostEnergised, state.energised)
        }
        await hold()
        let answer = state.withLock { state in
            state.energised -= 1
            if state.onOpen[command.locker] == nil { state.doors[command.locker] = .open }
            return state.onOpen[command.locker]
        }
        if let answer { return try answer.get() }
        return OpenReport(
            evidence: capabilities.evidence, bus: .milliseconds(1), pulse: command.pulse)
    }

    func readDoors() async throws(LockerError) -> [DoorReading] {
        let result: Result<[DoorReading], LockerError> = state.withLock { state in
            state.reads += 1
            state.readAt = clock.now
            if let error = state.onRead { return .failure(error) }
            guard capabilities.doorSensors else { return .success([]) }
            return .success(
                state.doors.map { DoorReading(locker: $0.key, door: $0.value, takenAt: clock.now) })
        }
        return try result.get()
    }

    /// Opens answer only after `release`.
    func holdOpens() { state.withLock { $0.isHeld = true } }

    func release() {
        let held = state.withLock { state in
            state.isHeld = false
            defer { state.held = [] }
            return state.held
        }
        for continuation in held { continuation.resume() }
    }

    private func hold() async {
        await withCheckedContinuation { continuation in
            let isHeld = state.withLock { state in
                if state.isHeld { state.held.append(continuation) }
                return state.isHeld
            }
            if !isHeld { continuation.resume() }
        }
    }
}

/// Hands out fake controllers and counts what was started and stopped.
final class FakeConnector: LinkConnector {
    typealias Report = @Sendable (LinkReport) async -> Void

    let controllers: [String: FakeController]
    let runs = Mutex<[String]>([])
    let ended = Mutex<[String]>([])
    let restarted = Mutex<[String]>([])
    /// Links that were told to end.
    let isEnding = Mutex<[String]>([])
    private let heldEnds = Mutex<[String: Flag]?>(nil)
    private let reports = Mutex<[String: Report]>([:])

    init(_ controllers: [String: FakeController]) {
        self.controllers = controllers
    }

    func run(_ link: LinkPlan, report: @escaping Report) async {
        runs.withLock { $0.append(link.name) }
        reports.withLock { $0[link.name] = report }
        await report(.starting(restarts: 0))
        await report(
            .ready(
                controllers: controllers.filter { id, _ in link.controllers.contains { $0.id == id }
                }, restarts: 0))
        let (forever, continuation) = AsyncStream.makeStream(of: Void.self)
        for await _ in forever {}
        continuation.finish()
        isEnding.withLock { $0.append(link.name) }
        let held = heldEnds.withLock { held in
            if held != nil, held?[link.name] == nil { held?[link.name] = Flag() }
            return held?[link.name]
        }
        if let held { while !held.isRaised { await Task.yield() } }
        ended.withLock { $0.append(link.name) }
    }

    /// Links end only after `releaseEnd`.
    func holdEnds() { heldEnds.withLock { $0 = [:] } }

    func releaseEnd(of link: String) { heldEnds.withLock { $0?[link] }?.raise() }

    func restart(link: String) async { restarted.withLock { $0.append(link) } }

    func send(_ message: LinkReport, link: String) async {
        await reports.withLock { $0[link] }?(message)
    }
}

/// A site of fake boards with a clock that the test turns.
struct FakeSite {
    let clock: ManualClock
    let site: Site
    let connector: FakeConnector
    let plan: SitePlan

    var boards: [String: FakeController] { connector.controllers }

    static let peer = Peer(uid: 0, gid: 0, groups: [0], pid: 1)

    static func link(
        _ name: String, firstID: Int, lockers: Int = 4, bank: String? = "main",
        supply: String? = nil, sensor: Bool = true, excluded: Set<Int> = []
    ) -> LinkPlan {
        LinkPlan(
            name: name, driver: "fake",
            controllers: [
                ControllerPlan(
                    id: name, bank: bank, supplyGroup: supply,
                    lockers: (1...lockers).map {
                        LockerPlan(
                            id: firstID + $0 - 1, number: $0, hasSensor: sensor,
                            inOpenAll: !excluded.contains($0))
                    })
            ])
    }

    init(
        _ links: [LinkPlan], supplies: [String: SupplyGroup] = [:], doors: DoorPlan = DoorPlan(),
        journal: (any CoreJournal)? = nil, retry: RetryPolicy = .never,
        board: (String, ManualClock) -> FakeController = { FakeController(clock: $1) }
    ) async throws {
        let clock = ManualClock()
        self.clock = clock
        let ids = links.flatMap { $0.controllers.map(\.id) }
        connector = FakeConnector(
            Dictionary(uniqueKeysWithValues: ids.map { ($0, board($0, clock)) }))
        plan = SitePlan(site: "test", supplyGroups: supplies, links: links, doors: doors)
        site = Site(
            plan: plan, connector: connector,
            environment: CoreEnvironment(
                clock: clock, wallClock: { WallTime(milliseconds: 1_000_000) },
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, bootID: "b00710ad",
                journal: journal, retry: retry))
        await site.start()
        let snapshot = site.snapshot
        try await settle("every good link is ready") {
            links.filter(\.problems.isEmpty).flatMap(\.controllers).allSatisfy {
                snapshot.controller($0.id)?.state == .ready
            }
        }
    }

    /// Sends an open and turns the clock until it has ended.
    func open(
        _ address: String, key: String? = nil, deadline: Duration? = nil, maintenance: Bool = false
    ) async throws -> OperationView {
        try await turning {
            try await ask(address, key: key, deadline: deadline, maintenance: maintenance)
        }
    }

    /// Turns the clock in steps of a millisecond until `body` has ended.
    func turning<Result: Sendable>(
        _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        let isDone = Flag()
        let task = Task {
            defer { isDone.raise() }
            return try await body()
        }
        try await turn("it ends", step: .milliseconds(1)) { isDone.isRaised }
        return try await task.value
    }

    /// Sends an open; the clock stands still. Throws also the error in which it ended.
    func ask(
        _ address: String, key: String? = nil, deadline: Duration? = nil, maintenance: Bool = false,
        wait: Duration? = nil
    ) async throws(LockerError) -> OperationView {
        let view = try await site.open(
            OpenRequest(
                locker: .address(address), key: key, deadline: deadline,
                isMaintenance: maintenance, peer: Self.peer), wait: wait)
        if let failure = view.failure { throw failure }
        return view
    }

    func stop(drain limit: Duration) async {
        await site.drain(limit: limit)
        await site.stop()
    }

    /// Everything that happened so far, by type and subject.
    func history() throws -> [EventBody] {
        let subscription = try site.events.subscribe(since: 0, limit: 1, wake: {})
        defer { subscription.cancel() }
        return subscription.take(max: .max).events.map(\.body)
    }

    func count(_ type: String) throws -> Int { try history().count { $0.type == type } }

    /// Turns the clock in small steps until `condition` holds, giving everybody a chance to run in between.
    func turn(
        _ what: String, step: Duration = .milliseconds(10), until condition: () async throws -> Bool
    ) async throws {
        try await settle(what) {
            if try await condition() { return true }
            clock.advance(by: step)
            return false
        }
    }
}

/// Waits for what other tasks are about to do, without any clock of the program's.
func settle(_ what: String, _ condition: () async throws -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(20)
    while ContinuousClock.now < deadline {
        if try await condition() { return }
        for _ in 0..<10 { await Task.yield() }
    }
    throw Timeout(description: "never happened: \(what)")
}

extension OperationView {
    var outcome: Outcome? {
        if case .outcome(let outcome, _, _, _) = results.first?.ending { outcome } else { nil }
    }

    var evidence: Evidence? {
        if case .outcome(_, let evidence, _, _) = results.first?.ending { evidence } else { nil }
    }
}

/// Something that happens once.
final class Flag: Sendable {
    private let state = Mutex(false)

    var isRaised: Bool { state.withLock { $0 } }

    func raise() { state.withLock { $0 = true } }
}
