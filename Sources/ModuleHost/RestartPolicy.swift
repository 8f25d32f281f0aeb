/// Decides how long to wait before a module is started again. Pure: the caller says what time it is.
///
/// Pauses double from 0.25 s to 30 s and begin anew after a minute of good life. A module that dies five times within a
/// minute is quarantined for ten; the start after that is on probation, where a single early death quarantines it again.
package struct RestartPolicy: Sendable {
    package static let shortestPause: Duration = .milliseconds(250)
    package static let longestPause: Duration = .seconds(30)
    /// Life beyond which earlier deaths no longer count.
    package static let goodLife: Duration = .seconds(60)
    package static let crashLoopDeaths = 5
    package static let crashLoopWindow: Duration = .seconds(60)
    package static let quarantine: Duration = .seconds(600)

    /// Why there is no module.
    package enum Ending: Sendable, Equatable {
        /// It ran, or began to, and died.
        case died
        /// It cannot run as it is installed or configured; trying often would not help.
        case refused
    }

    /// What to do next.
    package enum Decision: Sendable, Equatable {
        case pause(Duration)
        case quarantine(until: ContinuousClock.Instant)
    }

    /// Starts after the first.
    package private(set) var restarts = 0

    private var hasStarted = false
    private var startedAt: ContinuousClock.Instant?
    private var deaths: [ContinuousClock.Instant] = []
    private var pause = RestartPolicy.shortestPause
    private var isOnProbation = false

    package init() {}

    /// Notes a start.
    package mutating func noteStart(at now: ContinuousClock.Instant) {
        if hasStarted { restarts += 1 }
        hasStarted = true
        startedAt = now
    }

    /// Notes that there is no module any more, and decides.
    package mutating func noteEnd(
        _ ending: Ending, at now: ContinuousClock.Instant
    ) -> Decision {
        if let startedAt, startedAt.duration(to: now) >= Self.goodLife { forgive() }
        startedAt = nil
        guard ending == .died else { return .pause(Self.longestPause) }
        deaths.removeAll { $0.duration(to: now) > Self.crashLoopWindow }
        deaths.append(now)
        if isOnProbation || deaths.count >= Self.crashLoopDeaths {
            forgive()
            isOnProbation = true
            return .quarantine(until: now + Self.quarantine)
        }
        defer { pause = min(pause * 2, Self.longestPause) }
        return .pause(pause)
    }

    /// Forgets every death: a person asked for a fresh start.
    package mutating func forgive() {
        deaths = []
        pause = Self.shortestPause
        isOnProbation = false
    }
}
