public import LockerKit
import Locks

/// A clock that stands still until a test turns it.
///
/// ```swift
/// let clock = ManualClock()
/// async let report = controller.open(OpenCommand(locker: 1, pulse: .milliseconds(200)))
/// await clock.waitForSleepers()
/// clock.advance(by: .milliseconds(200))
/// ```
public final class ManualClock: MonotonicClock {
    private struct Sleeper {
        let id: Int
        let deadline: ContinuousClock.Instant
        let continuation: CheckedContinuation<Void, any Error>
    }

    private struct Watcher {
        let id: Int
        let count: Int
        let continuation: CheckedContinuation<Void, Never>
    }

    private struct State {
        var now: ContinuousClock.Instant
        var nextID = 0
        var sleepers: [Sleeper] = []
        var watchers: [Watcher] = []

        mutating func takeID() -> Int {
            nextID += 1
            return nextID
        }

        mutating func takeSatisfiedWatchers() -> [Watcher] {
            let satisfied = watchers.filter { $0.count <= sleepers.count }
            watchers.removeAll { $0.count <= sleepers.count }
            return satisfied
        }
    }

    private let state: Mutex<State>

    /// Makes a clock that shows `now`.
    public init(now: ContinuousClock.Instant = .now) {
        state = Mutex(State(now: now))
    }

    /// What the clock shows.
    public var now: ContinuousClock.Instant { state.withLock { $0.now } }

    /// No smallest step.
    public var minimumResolution: Duration { .zero }

    /// How many tasks sleep on this clock.
    public var sleepers: Int { state.withLock { $0.sleepers.count } }

    /// Turns the clock forward and wakes everybody whose time has come, the earliest first.
    ///
    /// All of them find the new time. A task that sleeps again afterwards waits for the next turn, so a test of a repeating
    /// task turns the clock once for each round.
    public func advance(by duration: Duration) {
        precondition(duration >= .zero, "a monotonic clock goes forward")
        let due = state.withLock { state -> [Sleeper] in
            state.now += duration
            let due = state.sleepers.filter { $0.deadline <= state.now }
            state.sleepers.removeAll { $0.deadline <= state.now }
            return due.sorted { ($0.deadline, $0.id) < ($1.deadline, $1.id) }
        }
        for sleeper in due { sleeper.continuation.resume() }
    }

    /// Returns once at least `count` tasks sleep on this clock, or when the waiting task is cancelled.
    public func waitForSleepers(_ count: Int = 1) async {
        let id = state.withLock { $0.takeID() }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isDone = state.withLock { state in
                    if Task.isCancelled || state.sleepers.count >= count { return true }
                    state.watchers.append(
                        Watcher(id: id, count: count, continuation: continuation))
                    return false
                }
                if isDone { continuation.resume() }
            }
        } onCancel: {
            let watcher = state.withLock { state -> Watcher? in
                guard let index = state.watchers.firstIndex(where: { $0.id == id }) else {
                    return nil
                }
                return state.watchers.remove(at: index)
            }
            watcher?.continuation.resume()
        }
    }

    /// Sleeps until the clock has been turned to `deadline`.
    public func sleep(until deadline: ContinuousClock.Instant, tolerance: Duration?) async throws {
        try Task.checkCancellation()
        let id = state.withLock { $0.takeID() }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                add(Sleeper(id: id, deadline: deadline, continuation: continuation))
            }
        } onCancel: {
            let sleeper = state.withLock { state -> Sleeper? in
                guard let index = state.sleepers.firstIndex(where: { $0.id == id }) else {
                    return nil
                }
                return state.sleepers.remove(at: index)
            }
            sleeper?.continuation.resume(throwing: CancellationError())
        }
    }

    private func add(_ sleeper: Sleeper) {
        enum Verdict {
            case sleeps([Watcher])
            case due, cancelled
        }
        let verdict = state.withLock { state -> Verdict in
            // The cancellation handler may have run already and found nobody.
            if Task.isCancelled { return .cancelled }
            if sleeper.deadline <= state.now { return .due }
            state.sleepers.append(sleeper)
            return .sleeps(state.takeSatisfiedWatchers())
        }
        switch verdict {
        case .sleeps(let watchers): for watcher in watchers { watcher.continuation.resume() }
        case .due: sleeper.continuation.resume()
        case .cancelled: sleeper.continuation.resume(throwing: CancellationError())
        }
    }
}
