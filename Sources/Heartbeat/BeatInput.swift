package import LockerCore
import LockerKit
package import SiteModel

/// Everything one beat is composed of. `docs/heartbeat.md` describes the members of the text it becomes.
package struct BeatInput: Sendable, Equatable {
    /// Whether the site is there, or says farewell on a clean stop.
    package enum State: String, Sendable {
        case online, offline
    }

    package var site: String
    package var bootID: String
    /// Counts the beats of this boot from 1.
    package var seq: Int
    /// The moment the beat describes, on the wall and on the clock that ages are taken from.
    package var at: WallTime
    package var now: ContinuousClock.Instant
    /// From the daemon's start to `now`.
    package var uptime: Duration
    package var state: State
    package var version: String
    /// The planned pause between two beats.
    package var interval: Duration
    package var health: Health
    package var controllers: [ControllerView]
    package var lockers: LockerTally
    /// Every open since the daemon's start.
    package var opens: OpenTally

    package init(
        site: String, bootID: String, seq: Int, at: WallTime, now: ContinuousClock.Instant,
        uptime: Duration, state: State, version: String, interval: Duration, health: Health,
        controllers: [ControllerView], lockers: LockerTally, opens: OpenTally
    ) {
        self.site = site
        self.bootID = bootID
        self.seq = seq
        self.at = at
        self.now = now
        self.uptime = uptime
        self.state = state
        self.version = version
        self.interval = interval
        self.health = health
        self.controllers = controllers
        self.lockers = lockers
        self.opens = opens
    }
}

/// The lockers of a site in numbers.
package struct LockerTally: Sendable, Equatable {
    package var total = 0
    /// Doors whose sensor says open, and said so recently enough.
    package var open = 0
    package var closed = 0
    /// Doors without a sensor or without a reading that still counts.
    package var unknown = 0
    package var outOfService = 0
    package var brokenLock = 0

    package init() {}

    package mutating func count(_ locker: LockerView, at now: ContinuousClock.Instant) {
        total += 1
        switch locker.currentDoor(at: now) {
        case .open: open += 1
        case .closed: closed += 1
        case .unknown: unknown += 1
        }
        if locker.isOutOfService { outOfService += 1 }
        if locker.service.brokenLock { brokenLock += 1 }
    }
}

/// The last beat that an upstream took; the counts of the next one begin there.
package struct DeliveryMark: Sendable, Equatable {
    /// 0 where no beat was taken yet.
    package let seq: Int
    /// That beat's time; the daemon's start where no beat was taken yet.
    package let at: WallTime
    package let opens: OpenTally

    /// Nothing was delivered since the daemon's start at `at`.
    package init(startedAt at: WallTime) {
        seq = 0
        self.at = at
        opens = OpenTally()
    }

    package init(_ beat: BeatInput) {
        seq = beat.seq
        at = beat.at
        opens = beat.opens
    }
}

/// What keeps a beat well below the 256 KiB that one line to a module may have, whatever went wrong on the site.
package enum BeatLimits {
    package static let controllers = 128
    package static let causes = 64
    /// Bytes of one reason or message.
    package static let text = 200
    /// Bytes of an id or a name; the configuration allows no longer ones.
    package static let name = 64
}
