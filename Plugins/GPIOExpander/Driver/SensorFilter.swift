/// What the edges and readings of one input come to: bounces left out, and an input that flaps told apart from a door that moves.
///
/// Pure: moments go in, and what is known comes out.
package struct SensorFilter: Sendable {
    package typealias Instant = ContinuousClock.Instant

    /// What an input tells.
    package struct Finding: Sendable, Equatable {
        /// The level of the wire; nil where it flaps, and before the first reading.
        package var level: Bool?
        /// When that was last seen to be so.
        package var at: Instant
    }

    private let still: Duration
    /// The level that counts.
    private var level: Bool?
    /// When ``level`` was last seen on the wire.
    private var seenAt: Instant
    /// A change that has not been still for long enough, and when it came.
    private var candidate: (level: Bool, since: Instant)?
    /// The latest changes that counted.
    private var changes: [Instant] = []
    private var flapsUntil: Instant?
    /// The level that the wire had last, settled or not.
    private var lastLevel: Bool?
    /// Since when it changes without ever being still for long enough, and when it did last.
    private var unrest: (since: Instant, last: Instant)?

    /// - Parameter still: how long an input must be still before its change counts.
    package init(still: Duration, at now: Instant) {
        self.still = still
        seenAt = now
    }

    /// When ``pass(_:)`` has something to do.
    package var nextDue: Instant? {
        [candidate.map { $0.since + still }, flapsUntil].compactMap(\.self).min()
    }

    package var isFlapping: Bool { flapsUntil != nil }

    /// What is known now.
    package var finding: Finding { Finding(level: isFlapping ? nil : level, at: seenAt) }

    /// An edge of the wire. Returns what is new, where something is.
    package mutating func note(edge newLevel: Bool, at moment: Instant) -> Finding? {
        changing(moment) { filter in
            // What stood before this edge for long enough has counted.
            filter.settle(moment)
            filter.move(moment)
            filter.lastLevel = newLevel
            if newLevel == filter.level {
                // It came back: a bounce, or a door that moved for less than that. Not a sight of a level that stands.
                filter.candidate = nil
            } else if let candidate = filter.candidate, candidate.level == newLevel {
                // The edge of a change that a reading has seen first.
                filter.candidate = (newLevel, min(candidate.since, moment))
            } else {
                filter.candidate = (newLevel, moment)
            }
        }
    }

    /// A reading of the wire, which may tell of an edge that nobody has seen. Returns what is new, where something is.
    package mutating func note(reading newLevel: Bool, at moment: Instant) -> Finding? {
        guard level != nil else {
            (level, lastLevel, seenAt) = (newLevel, newLevel, moment)
            return finding
        }
        guard newLevel == lastLevel else { return note(edge: newLevel, at: moment) }
        return changing(moment) { filter in
            let isStill = filter.unrest.map { $0.last + filter.still <= moment } ?? true
            if isStill, newLevel == filter.level { filter.seenAt = max(filter.seenAt, moment) }
        }
    }

    /// Time has passed. Returns what is new, where something is.
    package mutating func pass(_ now: Instant) -> Finding? { changing(now) { _ in } }

    private mutating func changing(_ now: Instant, _ body: (inout Self) -> Void) -> Finding? {
        let before = finding.level
        body(&self)
        settle(now)
        return finding.level == before ? nil : finding
    }

    private mutating func settle(_ now: Instant) {
        if let (newLevel, since) = candidate, since + still <= now {
            candidate = nil
            level = newLevel
            seenAt = since
            count(since)
        }
        if let end = flapsUntil, end <= now {
            flapsUntil = nil
            changes = []
        }
    }

    /// Tells bounces, which end, from a wire that never rests: at every reading it might have any level.
    private mutating func move(_ moment: Instant) {
        guard let (since, last) = unrest, moment < last + still else {
            unrest = (moment, moment)
            return
        }
        unrest = (since, max(last, moment))
        let limit = max(still * Limits.unrest, Limits.shortestUnrest)
        if since + limit <= moment { flapsUntil = moment + Limits.flapRest }
    }

    private mutating func count(_ moment: Instant) {
        changes.append(moment)
        changes.removeAll { $0 + Limits.flapSpan < moment }
        if changes.count > Limits.flapChanges { changes.removeFirst() }
        if isFlapping || changes.count == Limits.flapChanges {
            flapsUntil = moment + Limits.flapRest
        }
    }
}
