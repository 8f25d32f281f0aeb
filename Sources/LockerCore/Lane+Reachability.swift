import LockerKit
import SiteModel

/// Whether anything can be fired now, asked before an open takes a place that others could use.
extension Lane {
    /// Waits for a module that is just starting, until the grace that its start began with is over or the task is cancelled.
    func waitWhileStarting() async {
        guard case .starting = phase else { return }
        let grace = context.clock.now.duration(to: startingSince + Self.startGrace)
        if grace > .zero { await settled.wait(limit: grace, clock: context.clock) }
    }

    /// Throws where nothing can be fired now, before the open takes a place in the supply that others could use.
    ///
    /// A board whose connection is lost is asked once more first, unless that was done a moment ago: it may be back.
    func checkReachable(_ id: String) async throws(LockerError) {
        guard stations[id]?.controller != nil else { throw linkDown }
        guard let miss = lostConnection(id) else { return }
        if miss.at.duration(to: context.clock.now) >= Self.shortestFaultedPoll { await probe(id) }
        guard let miss = lostConnection(id) else { return }
        throw LockerError(.linkDown, miss.error.message)
    }

    /// Whether the doors have been read since then, and no output is in doubt.
    func isProven(_ id: String, since: ContinuousClock.Instant) -> Bool {
        guard let provenAt = stations[id]?.provenAt else { return false }
        return provenAt > since && context.snapshot.controller(id)?.hasStuckOutput == false
    }

    /// One read for all who wait for it, in a task that none of them can cancel.
    private func probe(_ id: String) async {
        if let probe = stations[id]?.probe { return await probe.value }
        let probe = context.start { await self.poll(id) }
        stations[id]?.probe = probe
        await probe.value
        stations[id]?.probe = nil
    }

    /// The newest miss of a controller that has no connection; an open cannot reach its board then. A board that is silent, or
    /// refuses to be read, may fire all the same.
    private func lostConnection(
        _ id: String
    ) -> (error: LockerError, at: ContinuousClock.Instant)? {
        guard context.snapshot.controller(id)?.state == .faulted, let miss = stations[id]?.lastMiss,
            miss.error.code == .linkDown
        else { return nil }
        return miss
    }

    var linkDown: LockerError {
        LockerError(.linkDown, "link \(plan.name) is down: \(whyDown)")
    }

    private var whyDown: String {
        switch phase {
        case .starting: "its module is starting"
        case .ready: "its module does not serve this controller"
        case .down(let reason): reason
        case .stopped: "it was stopped"
        }
    }
}
