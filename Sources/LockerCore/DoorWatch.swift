import LockerKit
import Locks

/// Waits, after a pulse, for a door to be seen open.
final class DoorWatch: Sendable {
    /// What the sensor said between the pulse and the end of the wait.
    enum Verdict: Sendable, Equatable {
        case open(at: ContinuousClock.Instant)
        /// Still closed, by a reading that was taken after the pulse and is young enough to stand for the end of the wait.
        case closed
        /// No such reading.
        case unseen
    }

    /// Which readings count.
    struct Terms: Sendable {
        /// Readings before this say nothing.
        let firedAt: ContinuousClock.Instant
        /// Before this a closed door proves nothing.
        let pulseEndsAt: ContinuousClock.Instant
        let staleAfter: Duration
        /// When it was last read closed after the pulse, if that is known already.
        var closedAt: ContinuousClock.Instant?
    }

    fileprivate struct Waiter {
        var terms: Terms
        let timer: Task<Void, Never>
        let continuation: CheckedContinuation<Verdict, Never>
    }

    fileprivate struct State {
        var nextID = 0
        var waiters: [String: [Int: Waiter]] = [:]
    }

    private let state = Mutex(State())
    private let clock: any MonotonicClock

    init(clock: any MonotonicClock) {
        self.clock = clock
    }

    /// Returns as soon as a reading taken after the order says open, at the latest after `limit` from now.
    ///
    /// `waiting` is called when no reading can be missed any more: the time to ask for some.
    func wait(
        for address: String, _ terms: Terms, limit: Duration, waiting: () -> Void
    ) async -> Verdict {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        return await withCheckedContinuation { continuation in
            state.withLock { state in
                // The timer cannot expire the waiter before it stands in line: it needs the same lock.
                let timer = Task { [clock] in
                    do { try await clock.sleep(for: limit) } catch { return }
                    self.expire(address, id)
                }
                state.waiters[address, default: [:]][id] = Waiter(
                    terms: terms, timer: timer, continuation: continuation)
            }
            waiting()
        }
    }

    /// Takes in the readings of a controller.
    func note(_ doors: [DoorReading], controller: String) {
        let seen: [(CheckedContinuation<Verdict, Never>, Verdict)] = state.withLock { state in
            guard !state.waiters.isEmpty else { return [] }
            return doors.flatMap { reading in
                state.note(reading, address: "\(controller)/\(reading.locker)")
            }
        }
        for (continuation, verdict) in seen { continuation.resume(returning: verdict) }
    }

    private func expire(_ address: String, _ id: Int) {
        guard let waiter = state.withLock({ $0.remove(address, id) }) else { return }
        let isClosed = waiter.terms.closedAt.map {
            $0.duration(to: clock.now) <= waiter.terms.staleAfter
        }
        waiter.continuation.resume(returning: isClosed == true ? .closed : .unseen)
    }
}

extension DoorWatch.State {
    fileprivate mutating func remove(_ address: String, _ id: Int) -> DoorWatch.Waiter? {
        let waiter = waiters[address]?.removeValue(forKey: id)
        if waiters[address]?.isEmpty == true { waiters[address] = nil }
        return waiter
    }

    fileprivate mutating func note(
        _ reading: DoorReading, address: String
    ) -> [(CheckedContinuation<DoorWatch.Verdict, Never>, DoorWatch.Verdict)] {
        guard let line = waiters[address] else { return [] }
        var seen: [(CheckedContinuation<DoorWatch.Verdict, Never>, DoorWatch.Verdict)] = []
        for (id, waiter) in line where reading.door.takenAt >= waiter.terms.firedAt {
            switch reading.door.value {
            case .open:
                _ = remove(address, id)
                waiter.timer.cancel()
                seen.append((waiter.continuation, .open(at: reading.door.takenAt)))
            case .closed where reading.door.takenAt >= waiter.terms.pulseEndsAt:
                waiters[address]?[id]?.terms.closedAt = reading.door.takenAt
            case .closed, .unknown:
                break
            }
        }
        return seen
    }
}
