public import LockerKit

/// What the ``DriverChecklist`` needs to know about a driver under test and the hardware, real or virtual, below it.
public struct DriverFixture: Sendable {
    /// Makes a controller that has not been started. Called once for each check, with the hardware at rest.
    public let makeController: @Sendable () async throws -> any LockController
    /// The lockers the controller knows; at least one.
    public let lockers: [LockerDescription]
    /// The numbers of the lockers whose coil is energised at this moment, as the hardware sees it.
    public let energised: @Sendable () async -> Set<Int>
    /// The driver's clock.
    public let clock: any MonotonicClock
    /// Lets about ten milliseconds pass on that clock, and gives the driver time to act on it.
    public let tick: @Sendable () async -> Void
    /// Takes the hardware away; nil where the bench cannot.
    public let unplug: (@Sendable () async -> Void)?
    /// Brings it back.
    public let replug: (@Sendable () async -> Void)?
    /// How long the checks energise a coil.
    public let pulse: Duration
    /// By how much longer a coil may be seen on: what a scheduler and the way to the board and back may cost.
    public let tolerance: Duration
    /// Whether `energised` sees a coil in the middle of a pulse. Where it does not, what an open did is taken from the driver.
    public let canSeePulses: Bool
    /// Whether time passes in `tick` and nowhere else.
    let isManual: Bool

    /// A fixture on any clock; with the continuous clock, `tick` really sleeps.
    public init(
        lockers: [LockerDescription], clock: any MonotonicClock = ContinuousClock(),
        pulse: Duration = .milliseconds(200), tolerance: Duration = .milliseconds(200),
        canSeePulses: Bool = true,
        makeController: @escaping @Sendable () async throws -> any LockController,
        energised: @escaping @Sendable () async -> Set<Int>,
        tick: (@Sendable () async -> Void)? = nil,
        unplug: (@Sendable () async -> Void)? = nil, replug: (@Sendable () async -> Void)? = nil
    ) {
        self.init(
            lockers: lockers, clock: clock, isManual: false, pulse: pulse, tolerance: tolerance,
            canSeePulses: canSeePulses, makeController: makeController, energised: energised,
            tick: tick ?? { try? await clock.sleep(for: .milliseconds(10)) }, unplug: unplug,
            replug: replug)
    }

    private init(
        lockers: [LockerDescription], clock: any MonotonicClock, isManual: Bool,
        pulse: Duration, tolerance: Duration, canSeePulses: Bool,
        makeController: @escaping @Sendable () async throws -> any LockController,
        energised: @escaping @Sendable () async -> Set<Int>,
        tick: @escaping @Sendable () async -> Void,
        unplug: (@Sendable () async -> Void)?, replug: (@Sendable () async -> Void)?
    ) {
        precondition(!lockers.isEmpty, "the checklist opens at least one locker")
        self.lockers = lockers
        self.clock = clock
        self.isManual = isManual
        self.pulse = pulse
        self.tolerance = tolerance
        self.canSeePulses = canSeePulses
        self.makeController = makeController
        self.energised = energised
        self.tick = tick
        self.unplug = unplug
        self.replug = replug
    }

    /// A fixture whose time is a ``ManualClock``: the checks turn it themselves.
    public init(
        lockers: [LockerDescription], manual clock: ManualClock,
        pulse: Duration = .milliseconds(200),
        makeController: @escaping @Sendable () async throws -> any LockController,
        energised: @escaping @Sendable () async -> Set<Int>,
        unplug: (@Sendable () async -> Void)? = nil, replug: (@Sendable () async -> Void)? = nil
    ) {
        self.init(
            lockers: lockers, clock: clock, isManual: true, pulse: pulse,
            // Two ticks: one at each end of a pulse.
            tolerance: .milliseconds(20), canSeePulses: true, makeController: makeController,
            energised: energised,
            tick: {
                clock.advance(by: .milliseconds(10))
                // Who was woken needs a turn before the next look; how many turns is the scheduler's affair, and a
                // check that looks too early only looks again.
                for _ in 0..<10 { await Task.yield() }
            },
            unplug: unplug, replug: replug)
    }
}
