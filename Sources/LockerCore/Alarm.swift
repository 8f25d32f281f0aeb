import LockerKit
import Locks

/// A sleep that somebody else can end early.
final class Alarm: Sendable {
    private enum State {
        case idle
        /// Rung while nobody slept: the next sleep ends at once.
        case rung
        case sleeping(Task<Void, any Error>)
    }

    private let state = Mutex(State.idle)
    private let clock: any MonotonicClock

    init(clock: any MonotonicClock) {
        self.clock = clock
    }

    /// Returns at `deadline`, when rung, or when the task is cancelled.
    func sleep(until deadline: ContinuousClock.Instant) async {
        let sleeper: Task<Void, any Error>? = state.withLock { state in
            if case .rung = state {
                state = .idle
                return nil
            }
            let task = Task { [clock] in try await clock.sleep(until: deadline, tolerance: nil) }
            state = .sleeping(task)
            return task
        }
        guard let sleeper else { return }
        await withTaskCancellationHandler {
            _ = await sleeper.result
        } onCancel: {
            sleeper.cancel()
        }
        state.withLock { $0 = .idle }
    }

    func ring() {
        state.withLock { state in
            switch state {
            case .idle, .rung: state = .rung
            case .sleeping(let task): task.cancel()
            }
        }
    }
}
