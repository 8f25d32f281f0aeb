package import LockerCore
package import LockerKit
import Locks
package import Logging
import ModuleWire
package import NIOCore
package import SiteModel

/// Runs driver modules for the core: one supervised process for each link.
package final class ModuleHost: LinkConnector {
    private let daemonVersion: String
    private let logger: Logger
    private let clock: any MonotonicClock
    private let loops: any EventLoopGroup
    private let supervisors = Mutex<[String: Supervisor]>([:])

    /// Makes a host; `daemonVersion` is what modules are told in `hello`, and `loops` move their bytes.
    package init(
        daemonVersion: String, logger: Logger, clock: any MonotonicClock = ContinuousClock(),
        loops: (any EventLoopGroup)? = nil
    ) {
        self.loops = loops ?? ModuleSession.ownLoops
        self.daemonVersion = daemonVersion
        self.logger = logger
        self.clock = clock
    }

    package func run(
        _ link: LinkPlan, report: @escaping @Sendable (LinkReport) async -> Void
    ) async {
        guard let module = link.module else {
            await report(.down(reason: "link \(link.name) has no module", restarts: 0))
            return
        }
        var logger = logger
        logger[metadataKey: "link"] = .string(link.name)
        logger[metadataKey: "module"] = .string(module.name)
        let supervisor = Supervisor(
            ModuleSubject(module: module, name: link.name),
            duty: LinkDuty(link, logger: logger, clock: clock, report: report),
            daemonVersion: daemonVersion, logger: logger, clock: clock, loops: loops)
        supervisors.withLock { $0[link.name] = supervisor }
        await supervisor.run()
        // A reload may have put a new run of the same link in its place already.
        supervisors.withLock { supervisors in
            if supervisors[link.name] === supervisor { supervisors[link.name] = nil }
        }
    }

    package func restart(link: String) async {
        let supervisor = supervisors.withLock { $0[link] }
        await supervisor?.restart()
    }

    /// The process that serves a link now.
    package func processID(ofLink link: String) -> Int32? {
        let supervisor = supervisors.withLock { $0[link] }
        return supervisor?.session?.pid
    }
}

/// What a driver's process is for: the controllers of one link.
final class LinkDuty: ModuleDuty {
    private let link: LinkPlan
    private let logger: Logger
    private let clock: any MonotonicClock
    private let report: @Sendable (LinkReport) async -> Void
    /// Of the newest process, from getting it ready to serving it.
    private let controllers = Mutex<[String: RemoteLockController]>([:])

    init(
        _ link: LinkPlan, logger: Logger, clock: any MonotonicClock,
        report: @escaping @Sendable (LinkReport) async -> Void
    ) {
        self.link = link
        self.logger = logger
        self.clock = clock
        self.report = report
    }

    func prepare(_ session: ModuleSession) async throws(StartFailure) {
        let made = try await configure(session)
        controllers.withLock { $0 = made }
        for plan in link.controllers {
            do throws(LockerError) {
                try await made[plan.id]?.start()
            } catch {
                guard session.connection.closed.current == nil else {
                    let reason = await session.deathReason()
                    throw StartFailure(ending: .died, reason: reason)
                }
                // "Not now" is no reason against the module: the reads of the doors go on trying.
                logger.notice(
                    "controller did not start: \(error)",
                    metadata: ["controller": .string(plan.id)])
            }
        }
    }

    func serve(_ session: ModuleSession, restarts: Int) async {
        let controllers: [String: any LockController] = controllers.withLock { $0 }
        await report(.ready(controllers: controllers, restarts: restarts))
        for await reading in session.doors {
            guard controllers[reading.controller] != nil else {
                logger.warning("the module reports doors of a controller it was not given")
                continue
            }
            await report(.doors(controller: reading.controller, doors: reading.doors))
        }
    }

    /// All at once, so that the time it takes does not grow with the number of boards. By way of the session, because the
    /// next process may have brought its controllers already.
    func windDown(_ session: ModuleSession) async {
        await withTaskGroup(of: Void.self) { group in
            for id in link.controllers.map(\.id) {
                group.addTask { [logger, report, connection = session.connection] in
                    do throws(LockerError) {
                        try await RemoteLockController.stop(id, by: connection)
                    } catch {
                        logger.warning(
                            "controller did not stop in order: \(error)",
                            metadata: ["controller": .string(id)])
                        if error.code == .outputStuck {
                            await report(.stuckAtRest(controller: id, reason: error.message))
                        }
                    }
                }
            }
        }
    }

    func note(_ phase: Supervisor.Phase) async {
        switch phase {
        case .starting(let restarts):
            await report(.starting(restarts: restarts))
        case .down(let reason, let restarts):
            await report(.down(reason: reason, restarts: restarts))
        case .quarantined(let reason, let restarts):
            await report(.quarantined(reason: reason, restarts: restarts))
        }
    }

    private func configure(
        _ session: ModuleSession
    ) async throws(StartFailure) -> [String: RemoteLockController] {
        let reply = try await session.ask(
            .configure, ConfigureDriverParams(link).json, within: ModuleDeadlines.configure)
        var made: [String: RemoteLockController] = [:]
        do throws(WireError) {
            let result = try ConfigureDriverResult(json: reply)
            for remark in result.remarks.prefix(ModuleLimits.remarks) {
                logger.notice("\(LogLines.printable(remark))")
            }
            for answer in result.controllers
            where link.controllers.contains(where: { $0.id == answer.id }) {
                made[answer.id] = RemoteLockController(
                    id: answer.id, capabilities: try Capabilities(answer.capabilities),
                    connection: session.connection, clock: clock,
                    openLimit: link.module?.openLimit ?? ModuleDeadlines.openBeyondPulse)
            }
        } catch {
            throw StartFailure(ending: .refused, reason: "answered configure wrongly: \(error)")
        }
        if let missing = link.controllers.first(where: { made[$0.id] == nil }) {
            throw StartFailure(
                ending: .refused, reason: "answered configure without controller \"\(missing.id)\"")
        }
        return made
    }
}
