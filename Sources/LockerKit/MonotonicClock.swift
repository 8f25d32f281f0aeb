/// The clock everything is timed with. Tests hand in one that they turn by hand.
public protocol MonotonicClock: Clock<Duration>, Sendable where Instant == ContinuousClock.Instant {
}

extension ContinuousClock: MonotonicClock {}
