import Heartbeat
import JSONLines
import LockerCore
import LockerKit
import LockerKitTesting
import Logging
import SiteModel
import Testing

/// The service with the real core.
@Suite(.timeLimit(.minutes(1))) struct SiteBeatsTests {
    /// A connector whose links never come up.
    private struct NoLinks: LinkConnector {
        func run(_ link: LinkPlan, report: @escaping @Sendable (LinkReport) async -> Void) async {
            await report(.down(reason: "no module for it", restarts: 0))
            try? await Task.sleep(for: .seconds(3600))
        }
        func restart(link: String) async {}
    }

    @Test func `a site that can open nothing says so`() async {
        let clock = ManualClock()
        let plan = SitePlan(
            site: "depot-17",
            links: [
                LinkPlan(
                    name: "yard", driver: "modbus",
                    controllers: [
                        ControllerPlan(id: "yard", lockers: [LockerPlan(id: 101, number: 1)])
                    ], problems: ["links.d/yard.toml:3: no such board"])
            ])
        let site = Site(
            plan: plan, connector: NoLinks(),
            environment: CoreEnvironment(
                clock: clock, wallClock: { WallTime(milliseconds: 0) },
                logger: Logger(label: "test"), bootID: "boot-1"))
        await site.start()
        let sink = StandInSink()
        let service = BeatService(
            source: site, sinks: [sink], plan: HeartbeatPlan(), version: "0.1.0", clock: clock,
            wallClock: { WallTime(milliseconds: 0) }, logger: Logger(label: "test"))
        let running = Task { await service.run() }
        await clock.waitForSleepers(1)
        clock.advance(by: .seconds(2))
        let first = await sink.next()
        #expect(first.beat["site"] == "depot-17")
        #expect(first.beat["bootId"] == "boot-1")
        #expect(first.beat["health"] == "down")
        #expect(first.beat["causes"]?.arrayValue?.first?["subject"] == "yard")
        #expect(first.beat["controllers"]?.arrayValue?.first?["state"] == "faulted")
        #expect(first.beat["lockers"]?["unknown"] == 1)
        first.succeed()
        async let stopped: Void = service.stop()
        await sink.next().succeed()
        await stopped
        await running.value
        await site.stop()
    }
}
