import ControlServer
import ControlWire
import Glibc
import LockerCore
import LockerKit
import LockerKitTesting
import Locks
import Logging
import NIOPosix
import SiteModel
import TestSupport
import Testing

/// A real core with boards in memory, served on a real socket.
///
/// Controller `wall` (ids 101…108, bank `east`) has door sensors but for its number 8, and keeps number 7 out of
/// open-all; controller `cellar` (ids 201…204, bank `west`) stands on a link of its own.
struct ServedSite: Sendable {
    let site: Site
    let server: ControlServer
    let connector: WallConnector
    let wall: WallBoard
    let log: LogRecorder
    let socket: String
    let plan: SitePlan

    static let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)

    /// `meddle` happens to the core just before it is asked to open or to change service flags.
    static func with<Result>(
        rules: [AccessRule] = [], owners: Set<UInt32> = [0, getuid()], maximumClients: Int = 256,
        limits: ControlLimits = .standard, lockers: Int = 8,
        meddle: (@Sendable (Site) async -> Void)? = nil,
        _ body: (ServedSite) async throws -> Result
    ) async throws -> Result {
        try await withTemporaryDirectory { directory in
            var plan = plan(socket: "\(directory)/control.sock", lockers: lockers)
            plan.control.rules = rules
            plan.control.maximumClients = maximumClients
            let served = try await start(plan, owners: owners, limits: limits, meddle)
            do {
                let result = try await body(served)
                await served.stop()
                return result
            } catch {
                await served.stop()
                throw error
            }
        }
    }

    static func plan(socket: String = "", lockers: Int = 8) -> SitePlan {
        func lockerPlan(_ number: Int, base: Int) -> LockerPlan {
            LockerPlan(
                id: base + number, number: number, hasSensor: base != 100 || number != 8,
                inOpenAll: base != 100 || number != 7, pulse: .milliseconds(50))
        }
        let wall = ControllerPlan(
            id: "wall", bank: "east", supplyGroup: "main",
            lockers: (1...lockers).map { lockerPlan($0, base: 100) }, poll: .milliseconds(50),
            staleAfter: .seconds(30), doorWait: .milliseconds(1000))
        let cellar = ControllerPlan(
            id: "cellar", bank: "west", supplyGroup: "main",
            lockers: (1...4).map { lockerPlan($0, base: max(200, 100 + lockers)) },
            poll: .milliseconds(50),
            staleAfter: .seconds(30), doorWait: .milliseconds(1000))
        return SitePlan(
            site: "depot-17", control: ControlPlan(socket: socket),
            supplyGroups: ["main": SupplyGroup(atOnce: 8, gap: .zero)],
            links: [
                LinkPlan(name: "cellar", driver: "simulator", controllers: [cellar]),
                LinkPlan(name: "yard", driver: "simulator", controllers: [wall]),
            ])
    }

    private static func start(
        _ plan: SitePlan, owners: Set<UInt32>, limits: ControlLimits,
        _ meddle: (@Sendable (Site) async -> Void)?
    ) async throws -> ServedSite {
        let log = LogRecorder()
        let connector = WallConnector(plan)
        let site = Site(
            plan: plan, connector: connector,
            environment: CoreEnvironment(
                clock: ContinuousClock(), wallClock: ControlServer.systemTime, logger: log.logger,
                bootID: "b0070123"))
        await site.start()
        let server = ControlServer(
            core: meddle.map { MeddledCore(site: site, meddle: $0) } ?? site, plan: plan.control,
            group: group, version: "0.1.0",
            reload: { () async throws(LockerError) in await site.reload(plan) },
            restartUplink: { $0 == "http" }, logger: log.logger, limits: limits, owners: owners)
        try await server.start()
        let served = ServedSite(
            site: site, server: server, connector: connector,
            wall: try #require(connector.boards["wall"]), log: log,
            socket: plan.control.socket, plan: plan)
        try await eventually("both controllers are ready and read") {
            site.snapshot.read { contents in
                contents.controllers.allSatisfy { $0.view.state == .ready }
                    && contents.lockers.allSatisfy { !$0.view.hasSensor || $0.view.readAt != nil }
            }
        }
        return served
    }

    private func stop() async {
        for board in connector.boards.values { board.release() }
        await site.drain(limit: .seconds(1))
        await server.stop(grace: .seconds(2))
        await site.stop()
    }

    func client() async throws -> RawClient {
        let client = RawClient()
        try await client.connect(to: socket)
        return client
    }
}
