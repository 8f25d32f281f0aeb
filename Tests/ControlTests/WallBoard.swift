import LockerCore
import LockerKit
import Locks
import SiteModel

/// A board in memory whose doors open at once when fired, and that does what a test tells it.
final class WallBoard: LockController {
    private struct State {
        var doors: [Int: DoorState]
        var fired: [Int] = []
        var failures: [Int: LockerError] = [:]
        var jammed: Set<Int> = []
        var isHeld = false
        var held: [CheckedContinuation<Void, Never>] = []
    }

    let capabilities = Capabilities(
        pulseTiming: .board, evidence: .echo, maximumTogether: 64, polarityKnown: true,
        doorSensors: true)
    private let sensors: [Int]
    private let state: Mutex<State>

    init(_ plan: ControllerPlan) {
        sensors = plan.lockers.filter(\.hasSensor).map(\.number)
        let doors = sensors.map { ($0, DoorState.closed) }
        state = Mutex(State(doors: Dictionary(uniqueKeysWithValues: doors)))
    }

    func start() async throws(LockerError) {}
    func stop() async throws(LockerError) {}

    func open(_ command: OpenCommand) async throws(LockerError) -> OpenReport {
        state.withLock { $0.fired.append(command.locker) }
        await withCheckedContinuation { continuation in
            let isHeld = state.withLock { state in
                if state.isHeld { state.held.append(continuation) }
                return state.isHeld
            }
            if !isHeld { continuation.resume() }
        }
        let failure = state.withLock { state in
            if state.failures[command.locker] == nil, !state.jammed.contains(command.locker),
                state.doors[command.locker] != nil
            {
                state.doors[command.locker] = .open
            }
            return state.failures[command.locker]
        }
        if let failure { throw failure }
        return OpenReport(evidence: .echo, bus: .milliseconds(1), pulse: command.pulse)
    }

    func readDoors() async throws(LockerError) -> [DoorReading] {
        let now = ContinuousClock.now
        return state.withLock { state in
            sensors.map {
                DoorReading(locker: $0, door: state.doors[$0] ?? .unknown, takenAt: now)
            }
        }
    }

    // MARK: For tests

    /// Lockers in the order in which they were fired.
    var fired: [Int] { state.withLock { $0.fired } }

    func fail(_ locker: Int, with error: LockerError) {
        state.withLock { $0.failures[locker] = error }
    }

    func jam(_ locker: Int) { state.withLock { _ = $0.jammed.insert(locker) } }

    /// Opens answer only after `release`.
    func hold() { state.withLock { $0.isHeld = true } }

    func release() {
        let held = state.withLock { state in
            state.isHeld = false
            defer { state.held = [] }
            return state.held
        }
        for continuation in held { continuation.resume() }
    }
}

/// Links whose boards are all there at once.
final class WallConnector: LinkConnector {
    let boards: [String: WallBoard]
    let restarted = Mutex<[String]>([])

    init(_ plan: SitePlan) {
        let controllers = plan.links.flatMap(\.controllers)
        boards = Dictionary(uniqueKeysWithValues: controllers.map { ($0.id, WallBoard($0)) })
    }

    func run(_ link: LinkPlan, report: @escaping @Sendable (LinkReport) async -> Void) async {
        await report(.starting(restarts: 0))
        var controllers: [String: any LockController] = [:]
        for controller in link.controllers { controllers[controller.id] = boards[controller.id] }
        await report(.ready(controllers: controllers, restarts: 0))
        let forever = AsyncStream<Void> { _ in }
        for await _ in forever {}
    }

    func restart(link: String) async { restarted.withLock { $0.append(link) } }
}
