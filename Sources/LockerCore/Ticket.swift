import LockerKit
import Locks

/// The stub of one accepted operation: whether it is still wanted, and the places to wait for its end.
final class Ticket: Sendable {
    private struct Waiter {
        let timer: Task<Void, Never>?
        let continuation: CheckedContinuation<Void, Never>
    }

    private struct State {
        var stopped: LockerError?
        var handedOver: Set<LockerIdentity> = []
        var isDone = false
        var nextID = 0
        var waiters: [Int: Waiter] = [:]
        var task: Task<Void, Never>?
        var expiry: Task<Void, Never>?
        let opening: [JournalEntry]
        var isKept = false
        var isEnding = false
    }

    private let state: Mutex<State>

    /// - Parameter opening: What the journal is told of the operation before anything else of it.
    init(opening: [JournalEntry] = []) {
        state = Mutex(State(opening: opening))
    }

    /// What the journal is told before anything else of the operation; nothing once it is known to have it. Everybody who has
    /// something to tell says it until then, whoever else may be saying it, too: it is kept once.
    var opening: [JournalEntry] { state.withLock { $0.isKept ? [] : $0.opening } }

    /// Whether its end is on its way to the journal, and with it everything that the journal has not got yet.
    var isEnding: Bool { state.withLock { $0.isEnding } }

    func noteEnding() { state.withLock { $0.isEnding = true } }

    /// The journal has the operation.
    func noteKept() { state.withLock { $0.isKept = true } }

    /// Whether the journal may know nothing of the operation.
    var isUnkept: Bool { state.withLock { !$0.isKept } }

    /// Why nothing more may fire for this operation; nil while it may.
    var stopped: LockerError? { state.withLock { $0.stopped } }

    var isDone: Bool { state.withLock { $0.isDone } }

    /// Lockers whose order has left for a driver: only these can have fired.
    var handedOver: Set<LockerIdentity> { state.withLock { $0.handedOver } }

    /// Hands a locker over to its driver; throws where nothing more may fire.
    func handOver(_ locker: LockerIdentity) throws(LockerError) {
        let stopped = state.withLock { state in
            if state.stopped == nil { state.handedOver.insert(locker) }
            return state.stopped
        }
        if let stopped { throw stopped }
    }

    /// The task that does the work; waiting in it is cut short by `stop`.
    func attach(_ task: Task<Void, Never>) {
        let isStopped = state.withLock { state in
            state.task = task
            return state.stopped != nil
        }
        if isStopped { task.cancel() }
    }

    /// Nothing more fires after `deadline`.
    func expire(at deadline: ContinuousClock.Instant, clock: any MonotonicClock) {
        let expiry = Task {
            do { try await clock.sleep(until: deadline, tolerance: nil) } catch { return }
            self.stop(.expired)
        }
        state.withLock { $0.expiry = expiry }
    }

    /// Nothing more fires; the first reason stands. What is firing goes on to its end.
    func stop(_ reason: LockerError) {
        let task = state.withLock { state in
            if state.stopped == nil { state.stopped = reason }
            return state.task
        }
        task?.cancel()
    }

    func finish() {
        let waiters = state.withLock { state in
            state.isDone = true
            state.task = nil
            state.expiry?.cancel()
            defer { state.waiters = [:] }
            return state.waiters
        }
        for waiter in waiters.values {
            waiter.timer?.cancel()
            waiter.continuation.resume()
        }
    }

    /// Returns when the operation is done, after `limit`, or when the task is cancelled.
    func wait(limit: Duration?, clock: any MonotonicClock) async {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        await withTaskCancellationHandler {
            await stand(id, limit: limit, clock: clock)
        } onCancel: {
            release(id)
        }
    }

    private func stand(_ id: Int, limit: Duration?, clock: any MonotonicClock) async {
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                // Whoever cancelled before this could not find the waiter yet.
                guard !state.isDone, limit != .zero, !Task.isCancelled else { return true }
                // The timer cannot release the waiter before it stands in line: it needs the same lock.
                let timer = limit.map { limit in
                    Task {
                        do { try await clock.sleep(for: limit) } catch { return }
                        self.release(id)
                    }
                }
                state.waiters[id] = Waiter(timer: timer, continuation: continuation)
                return false
            }
            if isOver { continuation.resume() }
        }
    }

    private func release(_ id: Int) {
        let waiter = state.withLock { $0.waiters.removeValue(forKey: id) }
        waiter?.continuation.resume()
    }
}
