import LockerKit
import Locks
import SiteModel

/// What is known of the site right now, for any number of readers on any thread.
///
/// Readers never wait for a lane or an actor: `status` is answered from here. Only the core writes.
package final class Snapshot: Sendable {
    /// A locker with the number of its last change.
    package struct LockerRow: Sendable {
        /// Grows with every change of `view` but its `readAt`: whoever keeps an encoded form encodes anew when it differs.
        package fileprivate(set) var version: UInt64
        package fileprivate(set) var view: LockerView
        /// The door when it was last surely one or the other: a reading that failed in between hides no movement.
        fileprivate var lastSure = DoorState.unknown
        /// When that was read last.
        fileprivate var sureAt: ContinuousClock.Instant?
    }

    /// A controller with the number of its last change.
    package struct ControllerRow: Sendable {
        /// Grows with every change of `view` but its `lastGood`.
        package fileprivate(set) var version: UInt64
        package fileprivate(set) var view: ControllerView
    }

    /// Everything at one moment. Indexes hold within one `generation`.
    package struct Contents: Sendable {
        /// Grows when the set of lockers or controllers changes.
        package fileprivate(set) var generation = 0
        /// By rising site-wide id.
        package fileprivate(set) var lockers: [LockerRow] = []
        /// In the order of the links and of their files.
        package fileprivate(set) var controllers: [ControllerRow] = []
        package fileprivate(set) var health = Health(level: .down)
        package fileprivate(set) var healthVersion: UInt64 = 0
        /// Whether what happens is kept; nil where there is no journal at all.
        package fileprivate(set) var journal: JournalState?
        /// In the order of the configuration; too few to be kept encoded.
        package fileprivate(set) var uplinks: [UplinkView] = []

        fileprivate var byAddress: [String: Int] = [:]
        fileprivate var byID: [Int: Int] = [:]
        fileprivate var byController: [String: Int] = [:]
        fileprivate var versions: UInt64 = 0
        /// Lockers that a reload took away: a file that is broken for a minute must not wipe out who is out of service.
        fileprivate var absent: [String: LockerView] = [:]
        /// Lockers that the journal knows and no plan has named yet.
        fileprivate var unplanned: [String: KeptLocker] = [:]

        package func lockerIndex(address: String) -> Int? { byAddress[address] }
        package func lockerIndex(id: Int) -> Int? { byID[id] }
        package func controllerIndex(_ id: String) -> Int? { byController[id] }

        package func lockerIndex(_ selector: LockerSelector) -> Int? {
            switch selector {
            case .address(let address): byAddress[address]
            case .id(let id): byID[id]
            }
        }

        fileprivate mutating func nextVersion() -> UInt64 {
            versions += 1
            return versions
        }
    }

    /// Lockers that are remembered after a reload took them away.
    static let absentLimit = 65_536

    private let contents = Mutex(Contents())

    package init() {}

    /// Runs `body` with everything, under the lock. Keep it short.
    package func read<Result: Sendable>(_ body: (borrowing Contents) throws -> Result) rethrows
        -> Result
    {
        try contents.withLock { try body($0) }
    }

    package func locker(_ selector: LockerSelector) -> LockerView? {
        contents.withLock { contents in
            contents.lockerIndex(selector).map { contents.lockers[$0].view }
        }
    }

    package func controller(_ id: String) -> ControllerView? {
        contents.withLock { contents in
            contents.controllerIndex(id).map { contents.controllers[$0].view }
        }
    }
}

// MARK: Writing

extension Snapshot {
    /// Takes over the lockers and controllers of a new plan. A row whose identity and controller are unchanged keeps what
    /// is known of it; `keeping` says for which links also the door readings and states stand.
    func replace(
        lockers: [LockerView], controllers: [ControllerView], keepingLinks: Set<String>
    ) {
        contents.withLock { contents in
            let old = contents
            contents.generation += 1
            contents.lockers = []
            contents.controllers = []
            contents.byAddress = [:]
            contents.byID = [:]
            contents.byController = [:]
            var keptControllers: Set<String> = []
            for view in controllers where contents.byController[view.id] == nil {
                var view = view
                if let index = old.byController[view.id],
                    old.controllers[index].view.link == view.link, keepingLinks.contains(view.link)
                {
                    view = old.controllers[index].view
                    keptControllers.insert(view.id)
                }
                contents.byController[view.id] = contents.controllers.count
                contents.controllers.append(
                    ControllerRow(version: contents.nextVersion(), view: view))
            }
            for view in lockers.sorted(by: { $0.identity.id < $1.identity.id }) {
                guard contents.byID[view.identity.id] == nil,
                    contents.byAddress[view.identity.address] == nil
                else { continue }
                var view = view
                var lastSure = DoorState.unknown
                var sureAt: ContinuousClock.Instant?
                if let index = old.byAddress[view.identity.address] {
                    let isKept = keptControllers.contains(view.controller)
                    view.carryOver(from: old.lockers[index].view, readings: isKept)
                    if isKept {
                        lastSure = old.lockers[index].lastSure
                        sureAt = old.lockers[index].sureAt
                    }
                } else if let earlier = contents.absent.removeValue(
                    forKey: view.identity.address)
                {
                    view.carryOver(from: earlier, readings: false)
                } else if let kept = contents.unplanned.removeValue(
                    forKey: view.identity.address)
                {
                    view.restore(kept)
                }
                contents.byID[view.identity.id] = contents.lockers.count
                contents.byAddress[view.identity.address] = contents.lockers.count
                contents.lockers.append(
                    LockerRow(
                        version: contents.nextVersion(), view: view, lastSure: lastSure,
                        sureAt: sureAt))
            }
            for row in old.lockers where contents.byAddress[row.view.identity.address] == nil {
                guard contents.absent.count < Self.absentLimit else { break }
                contents.absent[row.view.identity.address] = row.view
            }
        }
    }

    /// Changes one locker; returns what it is afterwards, or nil where it is gone.
    @discardableResult
    func update(locker address: String, _ change: (inout LockerView) -> Void) -> LockerView? {
        contents.withLock { contents in
            guard let index = contents.byAddress[address] else { return nil }
            let before = contents.lockers[index].view
            change(&contents.lockers[index].view)
            if contents.lockers[index].view != before {
                contents.lockers[index].version = contents.nextVersion()
            }
            return contents.lockers[index].view
        }
    }

    /// Changes one controller; true when more than the time of its last good answer changed.
    @discardableResult
    func update(controller id: String, _ change: (inout ControllerView) -> Void) -> Bool {
        contents.withLock { contents in
            guard let index = contents.byController[id] else { return false }
            let before = contents.controllers[index].view
            change(&contents.controllers[index].view)
            var comparable = contents.controllers[index].view
            comparable.lastGood = before.lastGood
            guard comparable != before else { return false }
            contents.controllers[index].version = contents.nextVersion()
            return true
        }
    }

    /// A reading that says more than that a closed door is closed.
    struct DoorNews: Sendable {
        let locker: LockerIdentity
        let door: DoorState
        let at: ContinuousClock.Instant
        /// It was surely the other before.
        let isMove: Bool
        /// When it was last surely the other: it has moved since, nobody knows when.
        let since: ContinuousClock.Instant
    }

    /// Takes in the readings of one controller; older ones than those held are dropped.
    ///
    /// Returns the doors that moved between `open` and `closed`, those that stand open, and those whose sensor is suspected; the
    /// first reading of a door moves nothing.
    func apply(_ doors: [DoorReading], controller: String) -> [DoorNews] {
        contents.withLock { contents in
            var news: [DoorNews] = []
            for reading in doors {
                guard let index = contents.byAddress["\(controller)/\(reading.locker)"],
                    contents.lockers[index].view.hasSensor,
                    (contents.lockers[index].view.readAt ?? reading.door.takenAt)
                        <= reading.door.takenAt
                else { continue }
                let value = reading.door.value
                contents.lockers[index].view.readAt = reading.door.takenAt
                if value != contents.lockers[index].view.door {
                    contents.lockers[index].view.door = value
                    contents.lockers[index].version = contents.nextVersion()
                }
                let before = contents.lockers[index].lastSure
                guard value != .unknown else { continue }
                let isMove = value != before && before != .unknown
                contents.lockers[index].lastSure = value
                let since = contents.lockers[index].sureAt ?? reading.door.takenAt
                contents.lockers[index].sureAt = reading.door.takenAt
                guard isMove || value == .open || contents.lockers[index].view.suspicion != nil
                else { continue }
                news.append(
                    DoorNews(
                        locker: contents.lockers[index].view.identity, door: value,
                        at: reading.door.takenAt, isMove: isMove, since: since))
            }
            return news
        }
    }

    /// Sets `isOperational` of every locker of a controller.
    func setOperational(_ isOperational: Bool, controller: String) {
        contents.withLock { contents in
            for index in contents.lockers.indices
            where contents.lockers[index].view.controller == controller
                && contents.lockers[index].view.isOperational != isOperational
            {
                contents.lockers[index].view.isOperational = isOperational
                contents.lockers[index].version = contents.nextVersion()
            }
        }
    }

    /// Takes over the uplinks of a plan; those named in `keeping` stay as they are known.
    package func setUplinks(_ uplinks: [UplinkView], keeping: Set<String> = []) {
        contents.withLock { contents in
            let known = contents.uplinks.filter { keeping.contains($0.name) }
            contents.uplinks = uplinks.map { view in
                known.first { $0.name == view.name } ?? view
            }
        }
    }

    /// Changes one uplink; nothing happens where it is gone.
    package func update(uplink name: String, _ change: (inout UplinkView) -> Void) {
        contents.withLock { contents in
            guard let index = contents.uplinks.firstIndex(where: { $0.name == name }) else {
                return
            }
            change(&contents.uplinks[index])
        }
    }

    /// Takes over what is known of lockers from earlier runs.
    func restore(_ kept: [String: KeptLocker]) {
        contents.withLock { contents in
            for (address, locker) in kept {
                if let index = contents.byAddress[address] {
                    contents.lockers[index].view.restore(locker)
                    contents.lockers[index].version = contents.nextVersion()
                } else if contents.absent.count < Self.absentLimit {
                    contents.unplanned[address] = locker
                }
            }
        }
    }

    /// Takes over what earlier runs left of lockers that this run has dealt with already: what it has set stands, what it has
    /// counted is added.
    func merge(_ kept: [String: KeptLocker]) {
        contents.withLock { contents in
            for (address, locker) in kept {
                guard let index = contents.byAddress[address] else {
                    if contents.absent[address] != nil {
                        contents.absent[address]?.merge(locker)
                    } else {
                        contents.unplanned[address] = locker
                    }
                    continue
                }
                contents.lockers[index].view.merge(locker)
                contents.lockers[index].version = contents.nextVersion()
            }
        }
    }

    /// Says whether what happens is kept.
    func setJournal(_ state: JournalState?) {
        contents.withLock { contents in
            contents.journal = state
            contents.healthVersion += 1
        }
    }

    /// Computes the health from the controllers and the journal; returns it when it changed.
    func refreshHealth() -> Health? {
        contents.withLock { contents in
            var health = Health(of: contents.controllers.map(\.view))
            if case .broken(let reason) = contents.journal {
                if health.level == .ok { health.level = .degraded }
                health.causes.append(
                    Health.Cause(code: "journal-broken", subject: "journal", message: reason))
            }
            guard health != contents.health else { return nil }
            contents.health = health
            contents.healthVersion += 1
            return health
        }
    }
}

extension LockerView {
    fileprivate mutating func carryOver(from old: LockerView, readings: Bool) {
        service = old.service
        lastOpen = old.lastOpen
        wear = old.wear
        guard readings else { return }
        suspicion = old.suspicion
        isOperational = old.isOperational
        if hasSensor == old.hasSensor {
            door = old.door
            readAt = old.readAt
        }
    }
}

extension LockerView {
    fileprivate mutating func restore(_ kept: KeptLocker) {
        service = kept.service
        lastOpen = kept.lastOpen
        wear = kept.wear
    }

    fileprivate mutating func merge(_ kept: KeptLocker) {
        if service == ServiceState() { service = kept.service }
        if lastOpen == nil { lastOpen = kept.lastOpen }
        wear.add(kept.wear)
    }
}

extension Health {
    /// `ok` when every controller is ready, `down` when none is, with a cause for each that is not.
    init(of controllers: [ControllerView]) {
        let causes = controllers.filter { $0.state != .ready }.map { controller in
            Cause(
                code: controller.hasStuckOutput
                    ? "output-stuck" : "controller-\(controller.state.rawValue)",
                subject: controller.id,
                message: controller.reason ?? "controller \(controller.id) is \(controller.state)")
        }
        let level: HealthLevel =
            causes.isEmpty && !controllers.isEmpty
            ? .ok : causes.count == controllers.count ? .down : .degraded
        self.init(
            level: level,
            causes: controllers.isEmpty
                ? [
                    Cause(
                        code: "no-controllers", subject: "site",
                        message: "no controller is configured")
                ]
                : causes)
    }
}
