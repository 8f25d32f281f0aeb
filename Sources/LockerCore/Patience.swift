import LockerKit
import Locks

/// Waits for answers, but not for ever.
///
/// One sweep a second looks after all who wait, instead of a timer for each: hardly any of them would ever ring.
final class Patience: Sendable {
    private struct Waiter {
        let deadline: ContinuousClock.Instant
        let giveUp: @Sendable () -> Void
    }

    private struct State {
        var nextID = 0
        var waiters: [Int: Waiter] = [:]
        var isSweeping = false
    }

    private static let pause: Duration = .seconds(1)
    private let state = Mutex(State())
    private let clock: any MonotonicClock

    init(clock: any MonotonicClock) {
        self.clock = clock
    }

    /// The answer, or `silence` where none has come within `limit` and a sweep.
    func wait<Value: Sendable>(
        for answer: FirstAnswer<Value>, within limit: Duration, otherwise silence: Value
    ) async -> Value {
        let deadline = clock.now + limit
        let (id, mustSweep) = state.withLock { state in
            state.nextID += 1
            state.waiters[state.nextID] = Waiter(deadline: deadline) { answer.give(silence) }
            defer { state.isSweeping = true }
            return (state.nextID, !state.isSweeping)
        }
        if mustSweep { Task { await sweep() } }
        defer { state.withLock { _ = $0.waiters.removeValue(forKey: id) } }
        return await answer.value
    }

    /// Goes on for as long as anybody waits.
    private func sweep() async {
        while true {
            try? await clock.sleep(for: Self.pause)
            let now = clock.now
            let overdue: [Waiter]? = state.withLock { state in
                if state.waiters.isEmpty {
                    state.isSweeping = false
                    return nil
                }
                return state.waiters.values.filter { $0.deadline <= now }
            }
            guard let overdue else { return }
            for waiter in overdue { waiter.giveUp() }
        }
    }
}
