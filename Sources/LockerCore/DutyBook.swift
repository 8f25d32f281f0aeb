import LockerKit
import Locks
import SiteModel

/// How warm each coil is, and when it was on last.
///
/// A coil is a bucket that leaks: a pulse pours its length in, the share of time that the coil may be on for ever runs out, and
/// what the plan calls a burst is the brim. Together with the least rest and the pulses in a minute that keeps a lock from burning
/// whoever asks, however often.
final class DutyBook: Sendable {
    fileprivate struct Coil {
        /// On-time not rested off at `at`.
        var heat: Duration = .zero
        var at: ContinuousClock.Instant
        /// Starts of pulses within the last minute, oldest first.
        var starts: [ContinuousClock.Instant] = []
        /// End of the last pulse.
        var offAt: ContinuousClock.Instant?
        /// The newest pulse, until it is known whether it was fired.
        var charge: Charge?
    }

    fileprivate struct Charge {
        let pulse: Duration
        let start: ContinuousClock.Instant
        let offBefore: ContinuousClock.Instant?
    }

    fileprivate static let minute: Duration = .seconds(60)
    private let coils = Mutex<[String: Coil]>([:])

    /// Why another pulse must wait, and for how long; nil where it need not.
    struct Limit: Sendable, Equatable {
        enum Kind: Sendable, Equatable { case rest, rate, duty }
        let kind: Kind
        let wait: Duration
        let message: String
    }

    func limit(
        _ address: String, pulse: Duration, plan: CoilPlan, now: ContinuousClock.Instant
    ) -> Limit? {
        coils.withLock { coils -> Limit? in
            guard var coil = coils[address] else { return nil }
            coil.cool(to: now, plan)
            let limits = [
                coil.dutyLimit(pulse, plan), coil.rateLimit(plan, now), coil.restLimit(plan, now),
            ]
            return limits.compactMap(\.self).max { $0.wait < $1.wait }
        }
    }

    /// An order leaves for the driver. One at a time for each coil.
    func charge(
        _ address: String, pulse: Duration, plan: CoilPlan, now: ContinuousClock.Instant
    ) {
        coils.withLock { coils in
            var coil = coils[address] ?? Coil(at: now)
            coil.cool(to: now, plan)
            coil.charge = Charge(pulse: pulse, start: now, offBefore: coil.offAt)
            coil.heat += pulse
            coil.offAt = now + pulse
            coil.starts.removeAll { $0 + Self.minute <= now }
            coil.starts.append(now)
            coils[address] = coil
        }
    }

    /// The lock was fired, or may have been: for `pulse`, and it is off at `offAt` at the latest.
    func settle(_ address: String, pulse: Duration, offAt: ContinuousClock.Instant) {
        coils.withLock { coils in
            guard var coil = coils[address], let charge = coil.charge else { return }
            coil.charge = nil
            coil.heat += max(.zero, pulse - charge.pulse)
            coil.offAt = max(charge.start + charge.pulse, offAt)
            coils[address] = coil
        }
    }

    /// The coil may have been on for so much longer than it was charged for, until now.
    func add(
        _ address: String, heat: Duration, plan: CoilPlan, now: ContinuousClock.Instant
    ) {
        coils.withLock { coils in
            var coil = coils[address] ?? Coil(at: now)
            coil.cool(to: now, plan)
            coil.heat += heat
            coil.at = now
            coil.offAt = max(coil.offAt ?? now, now)
            coils[address] = coil
        }
    }

    /// Nothing was fired by the order that was charged last.
    func giveBack(_ address: String) {
        coils.withLock { coils in
            guard var coil = coils[address], let charge = coil.charge else { return }
            coil.charge = nil
            coil.heat = max(.zero, coil.heat - charge.pulse)
            coil.offAt = charge.offBefore
            if coil.starts.last == charge.start { coil.starts.removeLast() }
            coils[address] = coil
        }
    }

    /// On-time not rested off, and pulses within the last minute.
    func warmth(
        _ address: String, plan: CoilPlan, now: ContinuousClock.Instant
    ) -> (heat: Duration, recent: Int) {
        coils.withLock { coils in
            guard var coil = coils[address] else { return (.zero, 0) }
            coil.cool(to: now, plan)
            return (coil.heat, coil.starts.count { $0 + Self.minute > now })
        }
    }

    /// A coil of an earlier run, as warm as it was `age` ago, when its pulses count as fired; on top of what it did in this run.
    func restore(
        _ address: String, heat: Duration, recent: Int, age: Duration, plan: CoilPlan,
        now: ContinuousClock.Instant
    ) {
        coils.withLock { coils in
            var earlier = Coil(heat: heat, at: now - age)
            earlier.cool(to: now, plan)
            var coil = coils[address] ?? Coil(at: now)
            coil.cool(to: now, plan)
            coil.heat += earlier.heat
            coil.at = now
            // More of them than any plan allows in a minute tell nothing more.
            coil.starts = Array(repeating: now - age, count: min(recent, 6000)) + coil.starts
            coil.offAt = max(coil.offAt ?? now - age, now - age)
            coils[address] = coil
        }
    }
}

extension DutyBook.Coil {
    fileprivate mutating func cool(to now: ContinuousClock.Instant, _ plan: CoilPlan) {
        let rested = at.duration(to: now) * plan.dutyPercent / 100
        if rested > .zero {
            heat = max(.zero, heat - rested)
            at = now
        }
    }

    fileprivate func dutyLimit(_ pulse: Duration, _ plan: CoilPlan) -> DutyBook.Limit? {
        let excess = heat + pulse - plan.burst
        // A pulse longer than the whole burst could never be fired; a cold coil takes it.
        guard excess > .zero, heat > .zero else { return nil }
        let wait = min(excess, heat) * 100 / plan.dutyPercent
        return DutyBook.Limit(
            kind: .duty, wait: wait, message: "its coil is warm from \(heat.seconds) s of pulses")
    }

    fileprivate func rateLimit(
        _ plan: CoilPlan, _ now: ContinuousClock.Instant
    ) -> DutyBook.Limit? {
        let recent = starts.filter { $0 + .seconds(60) > now }
        guard recent.count >= plan.opensPerMinute else { return nil }
        let first = recent[recent.count - plan.opensPerMinute]
        return DutyBook.Limit(
            kind: .rate, wait: now.duration(to: first + .seconds(60)),
            message: recent.count == 1
                ? "it was fired within the last minute"
                : "it was fired \(recent.count) times within a minute")
    }

    fileprivate func restLimit(
        _ plan: CoilPlan, _ now: ContinuousClock.Instant
    ) -> DutyBook.Limit? {
        guard let offAt else { return nil }
        let wait = now.duration(to: offAt + plan.rest)
        guard wait > .zero else { return nil }
        return DutyBook.Limit(kind: .rest, wait: wait, message: "its coil rests after a pulse")
    }
}

extension Duration {
    /// Seconds to a tenth, for messages.
    fileprivate var seconds: Double { (self / .milliseconds(100)).rounded() / 10 }
}
