package import LockerKit
import Logging
package import SiteModel

/// The core of the daemon: knows every locker, accepts operations, keeps the links running.
package actor Site {
    /// What is known right now; read it without waiting for anybody.
    package nonisolated let snapshot: Snapshot
    package nonisolated let events: EventLog
    /// Names this start of the daemon.
    package nonisolated let bootID: String
    /// The site's name.
    package nonisolated let name: String
    /// The clock all ages refer to.
    package nonisolated let clock: any MonotonicClock
    /// Where operations run; nil means the runtime's pool.
    package nonisolated let executor: (any TaskExecutor)?
    package nonisolated let wallClock: @Sendable () -> WallTime

    /// External devices that may be known at once.
    package static let deviceLimit = 256
    /// How long operations may take to end after their links have.
    static let lastWords: Duration = .seconds(10)
    /// How long one of them must have been silent before it makes room for another.
    static let deviceSilence: Duration = .seconds(3600)

    /// What it takes to fire one locker.
    struct Target: Sendable {
        let identity: LockerIdentity
        let locker: LockerPlan
        let controller: ControllerPlan
        let lane: Lane
        let supply: SupplyLine
    }

    nonisolated let context: CoreContext
    private let connector: any LinkConnector
    private var plan: SitePlan
    private var lanes: [String: (lane: Lane, task: Task<Void, Never>)] = [:]
    /// Lanes that a reload has told to end and that are still switching off.
    private var ending: [ObjectIdentifier: Task<Void, Never>] = [:]
    private var supplies: [String: SupplyLine] = [:]
    private(set) var targets: [String: Target] = [:]
    /// Kept for ever: an open that is under way may hold the gate of a locker that a reload took away and brings back.
    private var gates: [String: Turnstile] = [:]
    private var devices: [String: (state: String, heardAt: ContinuousClock.Instant)] = [:]
    private var operationCount = 0
    var operations = OperationStore()
    private(set) var isStopping = false

    package init(plan: SitePlan, connector: any LinkConnector, environment: CoreEnvironment) {
        self.plan = plan
        self.connector = connector
        context = CoreContext(environment: environment, doors: plan.doors)
        snapshot = context.snapshot
        events = context.events
        bootID = environment.bootID
        name = plan.site
        clock = environment.clock
        wallClock = environment.wallClock
        executor = environment.executor
        if environment.journal?.state == .durable {
            operations.capacity = OperationStore.capacityBesideJournal
        }
    }

    /// Starts every link whose file can be used. Fires nothing.
    package func start() {
        context.noteLate.handle { [weak self] opening in
            Task { await self?.amend(opening) }
        }
        if let journal = context.journal {
            observe(journal)
            snapshot.setJournal(journal.state)
            snapshot.restore(journal.legacy.lockers)
        }
        audit(.started) { _ in }
        _ = adopt(plan, replacing: [:])
        restoreLegacy()
    }

    /// Returns when every link has been tried once, or after `limit`.
    package func waitUntilSettled(limit: Duration) async {
        let lanes = lanes.values.map(\.lane)
        await withTaskGroup(of: Void.self) { group in
            for lane in lanes { group.addTask { await lane.waitUntilSettled(limit: limit) } }
        }
    }

    /// A round trip through the core and every lane; the watchdog is fed by it.
    package func ping() async {
        for entry in lanes.values { await entry.lane.ping() }
    }

    /// Refuses new work from now on and lets running operations end for `limit`; what still waits then never fires.
    package func drain(limit: Duration) async {
        isStopping = true
        let tickets = operations.pending.map(\.ticket)
        await withTaskGroup(of: Void.self) { group in
            for ticket in tickets {
                group.addTask { [clock] in await ticket.wait(limit: limit, clock: clock) }
            }
        }
        for record in operations.pending { record.ticket.stop(.stopping) }
    }

    /// Stops every link: its controllers switch their coils off, its module ends. Call `drain` first.
    package func stop() async {
        isStopping = true
        let tasks = lanes.values.map(\.task)
        lanes = [:]
        for task in tasks { task.cancel() }
        for task in tasks + ending.values { await task.value }
        guard let journal = context.journal else { return }
        // What was handed over comes to its end without its link, and is to be kept as well as any other.
        let deadline = clock.now + Self.lastWords
        for record in operations.pending {
            await record.ticket.wait(limit: clock.now.duration(to: deadline), clock: clock)
        }
        audit(.stopped) { _ in }
        let isClosed = FirstAnswer<Bool>()
        Task {
            await journal.close()
            isClosed.give(true)
        }
        if await !context.patience.wait(for: isClosed, within: Self.lastWords, otherwise: false) {
            context.logger.critical("the journal was not closed: the disk does not answer")
        }
    }
}

// MARK: Plans

extension Site {
    /// Takes over another plan: only links whose plan differs are stopped or started.
    package func reload(_ next: SitePlan) async -> ReloadView {
        let nextLinks = Dictionary(next.links.map { ($0.name, $0) }) { first, _ in first }
        var kept: [String: (lane: Lane, task: Task<Void, Never>)] = [:]
        var ended: [ObjectIdentifier] = []
        for (name, entry) in lanes {
            if nextLinks[name] == entry.lane.plan {
                kept[name] = entry
            } else {
                entry.task.cancel()
                ending[ObjectIdentifier(entry.lane)] = entry.task
                ended.append(ObjectIdentifier(entry.lane))
            }
        }
        lanes = kept
        // The old owner of a port must have let go of it before the new one asks for it.
        for id in ended {
            await ending[id]?.value
            ending[id] = nil
        }
        guard !isStopping else { return ReloadView() }
        let view = adopt(next, replacing: kept)
        events.append(.configReloaded(view))
        return view
    }

    private func adopt(
        _ next: SitePlan, replacing kept: [String: (lane: Lane, task: Task<Void, Never>)]
    ) -> ReloadView {
        let view = difference(from: plan, to: next)
        plan = next
        context.truth.adopt(next.doors)
        for (name, line) in supplies {
            // The same supply goes by the new figures: two lines for one supply would allow twice the coils.
            guard let group = next.supplyGroups[name] else { continue }
            Task { await line.adopt(group) }
        }
        let now = context.environment.wallClock()
        snapshot.replace(
            lockers: next.links.flatMap { link in
                link.controllers.flatMap { controller in
                    controller.lockers.map { LockerView(plan: $0, controller: controller) }
                }
            },
            controllers: next.controllerViews(since: now),
            keepingLinks: Set(kept.keys))
        lanes = kept
        for link in next.links where link.problems.isEmpty && lanes[link.name] == nil {
            let lane = Lane(plan: link, context: context)
            lanes[link.name] = (
                lane,
                Task { [connector] in
                    await lane.run(connector)
                }
            )
        }
        for link in next.links where !link.problems.isEmpty {
            context.logger.error(
                "link \(link.name) is faulted", metadata: ["reason": "\(link.faultReason)"])
        }
        rebuildTargets()
        context.refreshHealth()
        return view
    }

    private func difference(from old: SitePlan, to new: SitePlan) -> ReloadView {
        let oldLinks = Dictionary(old.links.map { ($0.name, $0) }) { first, _ in first }
        var view = ReloadView()
        for link in new.links {
            switch oldLinks[link.name] {
            case link: view.unchanged.append(link.name)
            case nil: view.added.append(link.name)
            default: view.changed.append(link.name)
            }
            if !link.problems.isEmpty { view.faulted.append(link.name) }
        }
        let names = Set(new.links.map(\.name))
        view.removed = old.links.map(\.name).filter { !names.contains($0) }
        return view
    }

    private func rebuildTargets() {
        targets = [:]
        for link in plan.links {
            guard let lane = lanes[link.name]?.lane else { continue }
            for controller in link.controllers {
                let supply = supply(for: controller)
                for locker in controller.lockers {
                    let address = "\(controller.id)/\(locker.number)"
                    let identity = LockerIdentity(id: locker.id, address: address)
                    // Only what the snapshot knows by both names may be fired: a doubled id opens nobody's door.
                    guard snapshot.locker(.address(address))?.identity == identity,
                        snapshot.controller(controller.id)?.link == link.name
                    else { continue }
                    targets[address] = Target(
                        identity: identity, locker: locker, controller: controller, lane: lane,
                        supply: supply)
                }
            }
        }
    }

    func supplyGroup(of target: Target) -> SupplyGroup {
        target.controller.supplyGroup.flatMap { plan.supplyGroups[$0] } ?? .cautious
    }

    /// How much the locker's coil may be used.
    func coil(of locker: LockerIdentity) -> CoilPlan {
        targets[locker.address]?.locker.coil ?? CoilPlan()
    }

    private func supply(for controller: ControllerPlan) -> SupplyLine {
        // No group can be named like this: a colon is not allowed in names.
        let name = controller.supplyGroup ?? "controller:\(controller.id)"
        if let line = supplies[name] { return line }
        let group = controller.supplyGroup.flatMap { plan.supplyGroups[$0] } ?? .cautious
        let line = SupplyLine(group, clock: clock)
        supplies[name] = line
        return line
    }
}

extension SitePlan {
    fileprivate func controllerViews(since now: WallTime) -> [ControllerView] {
        let taken = Set(links.flatMap { $0.controllers.map(\.id) })
        return links.flatMap { link in
            // Never the name of a controller that exists: a colon is not allowed in those.
            let isFree = !taken.contains(link.name)
            return link.controllerViews(
                since: now, standIn: isFree ? link.name : "link:\(link.name)")
        }
    }
}

extension LinkPlan {
    fileprivate var faultReason: String {
        problems.count == 1 ? problems[0] : "\(problems[0]) (and \(problems.count - 1) more)"
    }

    /// A link whose file is bad shows its controllers as faulted, or `standIn` where the file does not say which.
    fileprivate func controllerViews(
        since now: WallTime, standIn: String
    ) -> [ControllerView] {
        var views = controllers.map { controller in
            ControllerView(
                id: controller.id, driver: driver, link: name, bank: controller.bank,
                lockers: controller.lockers.count, since: now)
        }
        guard !problems.isEmpty else { return views }
        if views.isEmpty {
            views = [
                ControllerView(
                    id: standIn, driver: driver, link: name, bank: nil, lockers: 0, since: now)
            ]
        }
        for index in views.indices {
            views[index].state = .faulted
            views[index].reason = faultReason
        }
        return views
    }
}

// MARK: Finding things

extension Site {
    func target(_ selector: LockerSelector) throws(LockerError) -> Target {
        guard let view = snapshot.locker(selector) else { throw .unknown(selector) }
        guard let target = targets[view.identity.address] else {
            let reason = snapshot.controller(view.controller)?.reason ?? "its link is faulted"
            throw LockerError(.linkDown, "controller \(view.controller) is faulted: \(reason)")
        }
        return target
    }

    func gate(_ address: String) -> Turnstile {
        if let gate = gates[address] { return gate }
        let gate = Turnstile(capacity: 1)
        gates[address] = gate
        return gate
    }

    func nextOperationID() -> String {
        operationCount += 1
        return "op-\(bootID.prefix(8))-\(operationCount)"
    }

    /// Ends the module of the controller's link and starts it anew, also out of quarantine.
    package func restart(controller id: String, peer: Peer) async throws(LockerError) {
        guard let view = snapshot.controller(id) else {
            throw LockerError(.unknownController, "no controller \(id)")
        }
        guard lanes[view.link] != nil else {
            throw LockerError(
                .conflict, "link \(view.link) has no module to restart: \(view.reason ?? "faulted")"
            )
        }
        context.logger.notice(
            "restart of link \(view.link) asked for", metadata: ["peer": "\(peer.uid)"])
        audit(.restart) { note in
            note.peer = peer
            note.subject = id
        }
        await connector.restart(link: view.link)
    }

    /// Asks a controller's device for something beyond opening. What moves anything, in its books or on its doors, is audited.
    package func perform(
        _ action: DeviceAction, controller id: String, peer: Peer
    ) async throws(LockerError) -> DeviceAnswer {
        guard !isStopping else { throw LockerError(.stopping, "the daemon is stopping") }
        guard let view = snapshot.controller(id) else {
            throw LockerError(.unknownController, "no controller \(id)")
        }
        guard let lane = lanes[view.link]?.lane else {
            throw LockerError(
                .linkDown, "link \(view.link) has no module: \(view.reason ?? "faulted")")
        }
        if ![.available, .lastDoor].contains(action.name) {
            audit(.act) { note in
                note.peer = peer
                note.subject = "\(id) \(action.name.rawValue)"
            }
        }
        return try await lane.perform(action, controller: id)
    }

    /// Takes note of a device on site that reports by itself.
    package func noteDevice(_ id: String, state: String, peer: Peer) throws(LockerError) {
        let now = clock.now
        if devices[id] == nil, devices.count >= Self.deviceLimit {
            // Whoever has been silent for long makes room.
            guard let oldest = devices.min(by: { $0.value.heardAt < $1.value.heardAt }),
                oldest.value.heardAt.duration(to: now) >= Self.deviceSilence
            else {
                throw LockerError(
                    .busy, "\(Self.deviceLimit) devices have reported within \(Self.deviceSilence)")
            }
            devices[oldest.key] = nil
        }
        let before = devices.updateValue((state, now), forKey: id)
        guard before?.state != state else { return }
        events.append(.deviceState(device: id, state: state))
    }
}

extension Lane {
    fileprivate func ping() {}
}

extension LockerError {
    static let stopping = LockerError(.stopping, "the daemon is stopping")

    static func unknown(_ selector: LockerSelector) -> LockerError {
        switch selector {
        case .address(let address): LockerError(.unknownLocker, "no locker \(address)")
        case .id(let id): LockerError(.unknownLocker, "no locker with id \(id)")
        }
    }
}
