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
    /// A board whose connection is lost, or that has been silent for long, is asked once more first, unless that was done a moment
    /// ago: it may be back. However many opens there are, such a board costs the others on its line one time-out in a while.
    ///
    /// - Parameter evenIfSilent: a board that gives no answer may still fire, and whoever stands before it can tell.
    func checkReachable(_ id: String, evenIfSilent: Bool) async throws(LockerError) {
        guard stations[id]?.controller != nil else { throw linkDown }
        guard let miss = lostContact(id), !(evenIfSilent && miss.isSilence) else { return }
        if miss.at.duration(to: context.clock.now) >= Self.shortestFaultedPoll { await probe(id) }
        guard let miss = lostContact(id) else { return }
        throw miss.error
    }

    /// Throws where the board fell silent while the open waited for its turn. Needs the turn.
    ///
    /// Where an order went unanswered the doors are read before the next one: those who wait behind it would each pay a time-out
    /// for a board that is gone, and the others on the line with them. That read is not repeated for a moment either.
    func checkAnswering(_ id: String) async throws(LockerError) {
        if let miss = lostContact(id), miss.isSilence { throw miss.error }
        guard let unanswered = stations[id]?.unansweredAt else { return }
        let asked = stations[id]?.lastMiss?.at
        let isKnown =
            asked.map {
                $0 >= unanswered && $0.duration(to: context.clock.now) < Self.shortestFaultedPoll
            } ?? false
        if !isKnown { await read(id) }
        guard stations[id]?.unansweredAt != nil, let miss = stations[id]?.lastMiss else { return }
        throw .silent(miss.error.message)
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

    private struct LostContact {
        /// What an open is told: nothing was sent for it, whatever was sent for the read that failed.
        let error: LockerError
        let at: ContinuousClock.Instant
        var isSilence: Bool { error.code == .timedOut }
    }

    /// The newest miss of a controller that has no connection, or whose board is silent. One that refuses to be read is there, and
    /// may fire all the same.
    private func lostContact(_ id: String) -> LostContact? {
        guard context.snapshot.controller(id)?.state == .faulted, let miss = stations[id]?.lastMiss
        else { return nil }
        let message = miss.error.message
        return switch miss.error.code {
        case .linkDown: LostContact(error: LockerError(.linkDown, message), at: miss.at)
        case .timedOut: LostContact(error: .silent(message), at: miss.at)
        default: nil
        }
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

extension LockerError {
    fileprivate static func silent(_ why: String) -> LockerError {
        LockerError(.timedOut, "the board is silent: \(why)")
    }
}
