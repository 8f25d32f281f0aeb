import Locks

/// Lets a bounded number of tasks through at once, the others in the order in which they came.
///
/// Entering costs no suspension while there is room.
final class Turnstile: Sendable {
    /// Opens overtake reads.
    enum Priority: Int, Sendable, CaseIterable {
        case urgent, routine
    }

    private struct Waiter {
        let id: Int
        let continuation: CheckedContinuation<Bool, Never>
    }

    private struct State {
        var inside = 0
        var nextID = 0
        var capacity: Int
        var lines: [[Waiter]] = Priority.allCases.map { _ in [] }

        mutating func next() -> Waiter? {
            guard inside < capacity, let line = lines.firstIndex(where: { !$0.isEmpty }) else {
                return nil
            }
            inside += 1
            return lines[line].removeFirst()
        }
    }

    private let state: Mutex<State>

    init(capacity: Int) {
        state = Mutex(State(capacity: capacity))
    }

    /// Tasks that wait.
    var waiting: Int { state.withLock { $0.lines.reduce(0) { $0 + $1.count } } }

    /// Lets more or fewer through from now on.
    func resize(_ capacity: Int) {
        resumeWaiters { $0.capacity = capacity }
    }

    func tryEnter() -> Bool {
        state.withLock { state in
            guard state.inside < state.capacity, state.lines.allSatisfy(\.isEmpty) else {
                return false
            }
            state.inside += 1
            return true
        }
    }

    /// Returns when it is this task's turn; throws when the task is cancelled first. Every entry needs one `leave`.
    func enter(_ priority: Priority = .urgent) async throws(CancellationError) {
        if Task.isCancelled { throw CancellationError() }
        if tryEnter() { return }
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        let entered = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let immediate: Bool? = state.withLock { state in
                    if Task.isCancelled { return false }
                    if state.inside < state.capacity, state.lines.allSatisfy(\.isEmpty) {
                        state.inside += 1
                        return true
                    }
                    state.lines[priority.rawValue].append(
                        Waiter(id: id, continuation: continuation))
                    return nil
                }
                if let immediate { continuation.resume(returning: immediate) }
            }
        } onCancel: {
            abandon(id)
        }
        if !entered { throw CancellationError() }
    }

    func leave() {
        resumeWaiters { $0.inside -= 1 }
    }

    private func resumeWaiters(_ change: (inout State) -> Void) {
        let woken = state.withLock { state in
            change(&state)
            var woken: [Waiter] = []
            while let waiter = state.next() { woken.append(waiter) }
            return woken
        }
        for waiter in woken { waiter.continuation.resume(returning: true) }
    }

    private func abandon(_ id: Int) {
        let waiter: Waiter? = state.withLock { state in
            for line in state.lines.indices {
                if let index = state.lines[line].firstIndex(where: { $0.id == id }) {
                    return state.lines[line].remove(at: index)
                }
            }
            return nil
        }
        waiter?.continuation.resume(returning: false)
    }
}
