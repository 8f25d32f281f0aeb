/// When the next beat is due. Pure: the service tells it what happened and asks for the moment.
struct BeatSchedule: Sendable, Equatable {
    /// Shortest time between two beats, however much happens in between; also the pause before the first one, so that
    /// a site which is just starting is not reported as down.
    static let shortestGap: Duration = .seconds(2)
    /// Part of the interval by which a beat may come early or late, so that many sites that lost power together do not
    /// beat together for ever after.
    static let jitter = 0.1

    private var every: Duration
    private var last: ContinuousClock.Instant
    private var regular: ContinuousClock.Instant
    private var hasNews = false

    init(every: Duration, startingAt now: ContinuousClock.Instant) {
        self.every = every
        last = now
        regular = now + Self.shortestGap
    }

    /// The moment of the next beat.
    var due: ContinuousClock.Instant {
        hasNews ? min(regular, last + Self.shortestGap) : regular
    }

    /// Something happened that monitoring should learn without waiting for the interval.
    mutating func note() {
        hasNews = true
    }

    /// A changed plan is in force from `now` on. The next beat comes soon and says so: whoever counts on the interval that the
    /// last one named would take a longer one for an outage.
    mutating func change(every: Duration, at now: ContinuousClock.Instant) {
        self.every = every
        regular = min(regular, now + Self.shortestGap)
    }

    /// A beat went out at `now`; `random` (0..<1) places the next one within the jitter.
    mutating func sent(at now: ContinuousClock.Instant, random: Double) {
        last = now
        regular = now + every * (1 - Self.jitter + 2 * Self.jitter * random)
        hasNews = false
    }

    /// No beat could go out at `now`; it is tried again after the shortest gap.
    mutating func withheld(at now: ContinuousClock.Instant) {
        last = now
        regular = now + Self.shortestGap
    }
}
