import LockerKit
import Locks

/// A value that comes once and that any number of tasks may wait for.
final class OneShot<Value: Sendable>: Sendable {
    private enum State {
        case waiting([Int: CheckedContinuation<Value?, Never>])
        case done(Value)
    }

    private struct Box {
        var state = State.waiting([:])
        var nextWaiter = 0
    }

    private let box = Mutex(Box())

    /// The value, if it has come.
    var current: Value? {
        box.withLock { if case .done(let value) = $0.state { value } else { nil } }
    }

    /// Sets the value; only the first one counts.
    func fulfil(_ value: Value) {
        let waiters = box.withLock { box -> [CheckedContinuation<Value?, Never>] in
            guard case .waiting(let waiters) = box.state else { return [] }
            box.state = .done(value)
            return Array(waiters.values)
        }
        for waiter in waiters { waiter.resume(returning: value) }
    }

    /// Waits for the value; nil when the waiting task is cancelled first.
    func wait() async -> Value? {
        let number = box.withLock { box in
            box.nextWaiter += 1
            return box.nextWaiter
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                enroll(continuation, as: number)
            }
        } onCancel: {
            let waiter = box.withLock { box -> CheckedContinuation<Value?, Never>? in
                guard case .waiting(var waiters) = box.state else { return nil }
                let waiter = waiters.removeValue(forKey: number)
                box.state = .waiting(waiters)
                return waiter
            }
            waiter?.resume(returning: nil)
        }
    }

    /// Waits no longer than `limit`; nil when it passed or the waiting task was cancelled.
    func wait(
        for limit: Duration, clock: any MonotonicClock
    ) async -> Value? {
        if let current { return current }
        return await withTaskGroup(of: Value?.self) { group in
            group.addTask { await self.wait() }
            group.addTask {
                try? await clock.sleep(until: clock.now + limit, tolerance: nil)
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first ?? current
        }
    }

    private func enroll(_ continuation: CheckedContinuation<Value?, Never>, as number: Int) {
        // The cancellation handler may have run before this; its removal found nobody then.
        let answer = box.withLock { box -> Value?? in
            switch box.state {
            case .done(let value): return .some(value)
            case .waiting(var waiters):
                if Task.isCancelled { return .some(nil) }
                waiters[number] = continuation
                box.state = .waiting(waiters)
                return .none
            }
        }
        if let answer { continuation.resume(returning: answer) }
    }
}
