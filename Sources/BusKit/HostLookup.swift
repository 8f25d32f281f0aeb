import Dispatch
import Locks

/// Finds out what a host's name stands for, on a thread of its own: nothing limits the time that takes.
///
/// Where no name server answers the system waits for half a minute and longer. A call that waited with it would miss its
/// deadline, and a module that misses a deadline is taken for one that hangs.
package final class HostLookup: Sendable {
    /// Turns a name into addresses; may take as long as it likes.
    package typealias Resolver = @Sendable (String) throws(PortFailure) -> [String]

    package enum Outcome: Sendable {
        case found([String])
        case failed(PortFailure)
        /// Not known yet; who asks again later is told.
        case pending
    }

    private enum State {
        case idle, running
        case ended(Outcome)
    }

    private let resolve: Resolver
    private let queue: DispatchQueue
    private let running = DispatchGroup()
    private let state = Mutex(State.idle)

    package init(label: String, resolve: @escaping Resolver) {
        self.resolve = resolve
        queue = DispatchQueue(label: "lockerd.names.\(label)")
    }

    /// What `host` stands for. The first to ask waits up to `limit`, everybody after that not at all; a number is its own answer.
    package func find(_ host: String, within limit: Duration) -> Outcome {
        if let number = try? NetworkHandle.resolve(host, isNumber: true) { return .found(number) }
        if let outcome = take() { return outcome }
        running.enter()
        queue.async { [self] in
            let outcome: Outcome
            do throws(PortFailure) {
                outcome = .found(try resolve(host))
            } catch {
                outcome = .failed(error)
            }
            state.withLock { $0 = .ended(outcome) }
            running.leave()
        }
        _ = running.wait(timeout: .now() + .milliseconds(max(0, limit.wholeMilliseconds)))
        return take() ?? .pending
    }

    /// The outcome of a lookup that has ended, or that one is under way; nil where the caller has to begin one.
    private func take() -> Outcome? {
        state.withLock { state in
            switch state {
            case .running: return .pending
            case .idle:
                state = .running
                return nil
            case .ended(let outcome):
                state = .idle
                return outcome
            }
        }
    }
}
