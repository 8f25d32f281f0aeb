import LockerKit
import SiteModel

/// One power supply: so many coils at once, and pulses start at least a gap apart.
actor SupplyLine {
    private var group: SupplyGroup
    private let clock: any MonotonicClock
    private nonisolated let slots: Turnstile
    private var nextStart: ContinuousClock.Instant
    private var lastStart: ContinuousClock.Instant?

    init(_ group: SupplyGroup, clock: any MonotonicClock) {
        self.group = group
        self.clock = clock
        slots = Turnstile(capacity: group.atOnce)
        nextStart = clock.now
    }

    /// Goes by another plan from now on; whoever has a place keeps it.
    func adopt(_ group: SupplyGroup) {
        self.group = group
        slots.resize(group.atOnce)
    }

    /// Returns when the supply can take one more coil. Needs one `leave` once that coil is off.
    nonisolated func enter() async throws(CancellationError) {
        try await slots.enter()
        do {
            try await waitForGap()
        } catch {
            slots.leave()
            throw CancellationError()
        }
    }

    nonisolated func leave() { slots.leave() }

    /// Leave to begin one pulse.
    struct Grant: Sendable {
        /// The moment that was granted.
        let start: ContinuousClock.Instant
        fileprivate let before: ContinuousClock.Instant?
    }

    /// The last word before a pulse: returns when a gap has passed since the pulse before, whatever delayed either of them.
    func start() async throws(CancellationError) -> Grant {
        let start = max(clock.now, lastStart.map { $0 + group.gap } ?? clock.now)
        let grant = Grant(start: start, before: lastStart)
        lastStart = start
        do {
            try await sleep(until: start)
        } catch {
            takeBack(grant)
            throw CancellationError()
        }
        return grant
    }

    /// Nothing was fired: the next pulse owes this one no gap. Too late where another one has been granted since.
    func takeBack(_ grant: Grant) {
        if lastStart == grant.start { lastStart = grant.before }
    }

    /// Spreads out those who are let in, so that hardly anybody has to wait in `start` with a lane in hand. A turn that
    /// was claimed by a task which was then cancelled is lost: waiting a little longer harms nobody.
    private func waitForGap() async throws {
        let start = max(clock.now, nextStart)
        nextStart = start + group.gap
        try await sleep(until: start)
    }

    private func sleep(until start: ContinuousClock.Instant) async throws {
        if start > clock.now { try await clock.sleep(until: start, tolerance: nil) }
    }
}
