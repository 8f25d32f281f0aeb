package import LockerCore

/// How many lockers were opened, by outcome. One locker of an `open-all` counts like one `open`.
package struct OpenTally: Sendable, Equatable {
    private var outcomes: [Outcome: Int] = [:]
    /// Opens that ended in an error.
    package private(set) var failed = 0
    /// Lockers that an `open-all` left alone on purpose.
    package private(set) var skipped = 0
    /// Events that were lost or could not be counted by outcome; above 0 the other counts may be too low.
    package private(set) var missedEvents = 0

    package init() {}

    package subscript(outcome: Outcome) -> Int { outcomes[outcome, default: 0] }

    package mutating func count(_ result: LockerResult) {
        switch result.ending {
        case .outcome(let outcome, _, _, _): outcomes[outcome, default: 0] += 1
        case .failed: failed += 1
        case .skipped: skipped += 1
        }
    }

    package mutating func miss(events: Int) {
        missedEvents += events
    }

    /// What was counted after `earlier`, an older state of the same tally.
    package func since(_ earlier: OpenTally) -> OpenTally {
        var rest = OpenTally()
        for outcome in Outcome.allCases {
            rest.outcomes[outcome] = self[outcome] - earlier[outcome]
        }
        rest.failed = failed - earlier.failed
        rest.skipped = skipped - earlier.skipped
        rest.missedEvents = missedEvents - earlier.missedEvents
        return rest
    }

    package static func == (left: OpenTally, right: OpenTally) -> Bool {
        Outcome.allCases.allSatisfy { left[$0] == right[$0] } && left.failed == right.failed
            && left.skipped == right.skipped && left.missedEvents == right.missedEvents
    }
}
