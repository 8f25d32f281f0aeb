import Heartbeat
import LockerCore
import LockerKit
import Locks
import Logging
import ModuleHost
import SiteModel

extension UplinkHost: BeatSink {}

/// The uplink modules and the beats they carry.
actor Uplinks {
    private struct Uplink {
        let plan: UplinkPlan
        let host: UplinkHost
        let entry: SnapshotEntry
        var task: Task<Void, Never>?
    }

    private let site: Site
    private let logger: Logger
    private let service: BeatService
    private let beats: Task<Void, Never>
    private var heartbeat: HeartbeatPlan
    private var uplinks: [String: Uplink] = [:]
    /// Uplinks that are being taken away, by their name; another one of that name waits for the end of the module.
    private var leaving: [String: Task<Void, Never>] = [:]
    private var lastReload: Task<Void, Never>?
    private var isStopping = false

    /// Starts the beats, for nobody before ``reload(_:)``.
    init(_ heartbeat: HeartbeatPlan, site: Site, logger: Logger) {
        self.site = site
        self.logger = logger
        self.heartbeat = heartbeat
        let service = BeatService(
            source: site, sinks: [], plan: heartbeat, version: Version.number,
            wallClock: Machine.wallTime, logger: logger)
        self.service = service
        beats = Task { await service.run() }
    }

    /// Starts, replaces and ends what the plan changes. Everything else goes on as it is, the beats too.
    ///
    /// An upstream whose uplink is gone is told that the site is offline; this does not wait for that.
    func reload(_ plan: SitePlan) async {
        let task = Task { [lastReload] in
            await lastReload?.value
            await self.apply(plan)
        }
        lastReload = task
        await task.value
    }

    /// Ends the uplink's module and has it started at once, also out of quarantine; false where there is no such uplink or
    /// no module for it.
    func restart(name: String) async -> Bool {
        guard let uplink = uplinks[name] else { return false }
        logger.notice("restart of uplink \(name) asked for")
        return await uplink.host.restart()
    }

    /// Says farewell upstream, then ends the modules.
    func stop() async {
        isStopping = true
        await lastReload?.value
        await service.stop()
        let tasks = uplinks.values.compactMap(\.task)
        for task in tasks { task.cancel() }
        for task in tasks + Array(leaving.values) + [beats] { await task.value }
    }

    private func apply(_ plan: SitePlan) async {
        guard !isStopping else { return }
        let names = Set(plan.uplinks.map(\.name))
        let changed = plan.uplinks.filter { uplinks[$0.name]?.plan != $0 }
        let gone = uplinks.values.filter { !names.contains($0.plan.name) }
        for old in gone {
            uplinks[old.plan.name] = nil
            old.entry.close()
        }
        for next in changed {
            if let old = uplinks[next.name] {
                old.entry.close()
                old.task?.cancel()
                leaving[next.name] = old.task
            }
            uplinks[next.name] = make(next)
        }
        site.snapshot.setUplinks(
            plan.uplinks.compactMap { uplinks[$0.name]?.host.view },
            keeping: names.subtracting(changed.map(\.name)))
        for next in changed { start(next.name) }
        guard !changed.isEmpty || !gone.isEmpty || plan.heartbeat != heartbeat else { return }
        heartbeat = plan.heartbeat
        let farewell = await service.reload(
            heartbeat, adding: changed.compactMap { uplinks[$0.name]?.host },
            removing: Set(gone.map(\.plan.name)))
        for old in gone {
            leaving[old.plan.name] = Task {
                await farewell.value
                old.task?.cancel()
                await old.task?.value
            }
        }
    }

    private func make(_ plan: UplinkPlan) -> Uplink {
        let entry = SnapshotEntry(plan.name, in: site.snapshot)
        // The name that beats carry; another one in the file waits for the next start of the daemon.
        let host = UplinkHost(
            plan, site: site.name, daemonVersion: Version.number, logger: logger,
            wallClock: Machine.wallTime, report: entry.show)
        return Uplink(plan: plan, host: host, entry: entry)
    }

    private func start(_ name: String) {
        guard let host = uplinks[name]?.host else { return }
        let before = leaving[name]
        let task = Task {
            await before?.value
            await host.run()
        }
        uplinks[name]?.task = task
    }
}

/// The place of one uplink in the snapshot, until another one takes it.
private final class SnapshotEntry: Sendable {
    private let name: String
    private let snapshot: Snapshot
    private let isOpen = Mutex(true)

    init(_ name: String, in snapshot: Snapshot) {
        self.name = name
        self.snapshot = snapshot
    }

    @Sendable func show(_ view: UplinkView) {
        isOpen.withLock { isOpen in
            if isOpen { snapshot.update(uplink: name) { $0 = view } }
        }
    }

    /// The module's last words concern nobody who has its name now.
    func close() { isOpen.withLock { $0 = false } }
}
