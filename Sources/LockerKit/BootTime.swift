import Glibc

/// Moments of `ContinuousClock` as milliseconds since the machine started, which all processes of the machine count alike.
///
/// An age says when something was only as exactly as its message was fast. Two readings that are close together, told by two messages,
/// keep their order by this.
enum BootTime {
    /// One moment on both clocks. They run alike (CLOCK_BOOTTIME), so one is enough; the one of a few that took the least to look at.
    private static let reference: (instant: ContinuousClock.Instant, milliseconds: Double) = {
        let samples = (0..<5).map { _ in
            let before = milliseconds()
            let instant = ContinuousClock.now
            let after = milliseconds()
            return (instant, (before + after) / 2, after - before)
        }
        let best = samples.min { $0.2 < $1.2 } ?? samples[0]
        return (best.0, best.1)
    }()

    static func milliseconds(of instant: ContinuousClock.Instant) -> Double {
        let value =
            reference.milliseconds + (reference.instant.duration(to: instant) / .milliseconds(1))
        return (value * 1000).rounded() / 1000
    }

    static func instant(of milliseconds: Double) -> ContinuousClock.Instant {
        reference.instant
            + .microseconds(Int64(((milliseconds - reference.milliseconds) * 1000).rounded()))
    }

    private static func milliseconds() -> Double {
        var now = timespec()
        clock_gettime(CLOCK_BOOTTIME, &now)
        return Double(now.tv_sec) * 1000 + Double(now.tv_nsec) / 1_000_000
    }
}
