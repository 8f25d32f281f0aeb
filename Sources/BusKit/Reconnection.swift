/// When a lost connection may be tried again: after 0.25 s, then ever later, never given up.
package struct Reconnection: Sendable {
    private var pause: Duration?
    package private(set) var nextTry: ContinuousClock.Instant?
    /// Why the last attempt failed.
    package private(set) var cause: String?

    package init() {}

    package mutating func noteFailure(_ cause: String, at now: ContinuousClock.Instant) {
        let pause = pause.map { min($0 * 2, BusLimits.longestPause) } ?? BusLimits.shortestPause
        self.pause = pause
        self.cause = cause
        nextTry = now + pause
    }

    /// A connection came about; whether it is worth anything, an answer will show.
    package mutating func noteConnected() {
        nextTry = nil
    }

    /// A board answered: the next loss starts with the shortest pause again.
    package mutating func noteAnswer() {
        pause = nil
        nextTry = nil
        cause = nil
    }

    /// Why there is no use in trying now and when there will be; nil where it is time.
    package func excuse(at now: ContinuousClock.Instant) -> String? {
        guard let nextTry, now < nextTry else { return nil }
        let tenths = Int((now.duration(to: nextTry) / .milliseconds(100)).rounded(.up))
        return "\(cause ?? "the connection was lost"); next try in \(tenths / 10).\(tenths % 10) s"
    }
}
