import LockerKit

/// The `[link]` table.
struct LinkSettings {
    /// Doors stay open for ever where this is nil.
    var closeAfter: Duration?
    var latency: Duration
    var capabilities: Capabilities
    var faults: [LinkFault]
    var journal: String?

    init(_ options: Options) throws(LockerError) {
        let closing = try options.optionalInteger("close_after_ms", in: 0...86_400_000) ?? 2000
        closeAfter = closing == 0 ? nil : .milliseconds(closing)
        latency = .milliseconds(try options.optionalInteger("latency_ms", in: 0...60_000) ?? 0)
        capabilities = Capabilities(
            pulseTiming: try options.choice("pulse_timing") ?? .board,
            evidence: try options.choice("evidence") ?? .echo,
            maximumTogether: try options.optionalInteger("maximum_together", in: 1...64) ?? 4,
            polarityKnown: true, doorSensors: true)
        guard capabilities.evidence != .doorSensor else {
            throw LockerError(
                .invalidRequest, "evidence is door-sensor; want none, echo or lock-feedback")
        }
        journal = try options.optionalString("journal")
        if let journal, !journal.hasPrefix("/") {
            throw LockerError(.invalidRequest, "journal is \(journal); want an absolute path")
        }
        faults = []
        for table in try options.tables("fault") { faults.append(try LinkFault(table)) }
    }
}

/// One `[[link.fault]]` table.
struct LinkFault {
    enum Kind: String, CaseIterable {
        /// Every call fails for a while, as with a cable pulled out.
        case linkDown = "link-down"
        /// The lock fires, the answer gets lost.
        case replyLost = "reply-lost"
        /// The process dies.
        case crash
        /// The call never ends, and neither does the thread it is on.
        case hang
    }

    enum Trigger: Equatable {
        /// This many locks have been fired.
        case opens(Int)
        /// This much time has passed since the module was configured.
        case time(Duration)
    }

    enum Moment: String, CaseIterable {
        case before, after
    }

    let kind: Kind
    let trigger: Trigger
    let duration: Duration
    let times: Int
    let when: Moment

    init(_ options: Options) throws(LockerError) {
        guard let kind: Kind = try options.choice("kind") else {
            throw LockerError(.invalidRequest, "a fault has no kind")
        }
        self.kind = kind
        let opens = try options.optionalInteger("after_opens", in: 0...1_000_000)
        let time = try options.optionalInteger("after_ms", in: 0...86_400_000)
        switch (opens, time) {
        case (let opens, nil): trigger = .opens(opens ?? 0)
        case (nil, let time?): trigger = .time(.milliseconds(time))
        case (.some, .some):
            throw LockerError(
                .invalidRequest, "fault \(kind.rawValue) has after_opens and after_ms; want one")
        }
        duration = .milliseconds(try options.optionalInteger("for_ms", in: 1...86_400_000) ?? 5000)
        times = try options.optionalInteger("times", in: 1...1_000_000) ?? 1
        when = try options.choice("when") ?? .after
    }
}

/// What is wrong with one locker.
enum LockerFault: Equatable {
    case jam, ajar, flapping, refuse
    case noSensor
    case replyLost
    case slow(Duration)

    private enum Word: String, CaseIterable {
        case jam, ajar, flapping, refuse, slow
        case noSensor = "no-sensor"
        case replyLost = "reply-lost"
    }

    init?(_ options: Options) throws(LockerError) {
        let slow = try options.optionalInteger("slow_ms", in: 1...60_000)
        guard let word: Word = try options.choice("fault") else { return nil }
        switch word {
        case .jam: self = .jam
        case .ajar: self = .ajar
        case .flapping: self = .flapping
        case .refuse: self = .refuse
        case .noSensor: self = .noSensor
        case .replyLost: self = .replyLost
        case .slow: self = .slow(.milliseconds(slow ?? 1000))
        }
    }
}
