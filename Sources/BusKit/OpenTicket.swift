package import LockerKit
import Locks

/// What can be done about an open from outside: take it back before it fires, or cut its pulse.
package final class OpenTicket: Sendable {
    package init() {}

    private struct State {
        var isCancelled = false
        var pulse: Task<Bool, Never>?
    }

    private let state = Mutex(State())

    package var isCancelled: Bool { state.withLock { $0.isCancelled } }

    package func cancel() {
        let pulse = state.withLock { state in
            state.isCancelled = true
            return state.pulse
        }
        pulse?.cancel()
    }

    /// Sleeps until the pulse is over; false when it was cut.
    package func sleep(until end: ContinuousClock.Instant, on clock: any MonotonicClock) async
        -> Bool
    {
        let pulse = Task { () -> Bool in
            do { try await clock.sleep(until: end, tolerance: .zero) } catch { return false }
            return true
        }
        let isCancelled = state.withLock { state in
            state.pulse = pulse
            return state.isCancelled
        }
        if isCancelled { pulse.cancel() }
        let isWhole = await pulse.value
        state.withLock { $0.pulse = nil }
        return isWhole
    }
}
