import JSONLines
import LockerCore
import LockerKit
import LockerKitTesting
import Logging
import SiteModel
import Testing

@testable import Heartbeat

/// What upstreams see of a reload.
@Suite(.timeLimit(.minutes(1))) struct BeatReloadTests {
    private let core = StandInCore()
    private let clock = ManualClock()
    private let sink = StandInSink()
    private let other = StandInSink(name: "second")

    /// Runs a service with both uplinks, the first beat of each taken.
    private func withService(
        _ body: (BeatService) async throws -> Void
    ) async rethrows {
        let service = BeatService(
            source: core, sinks: [sink, other], plan: HeartbeatPlan(), version: "0.1.0",
            clock: clock, wallClock: { WallTime(milliseconds: 0) }, random: { 0.5 },
            logger: Logger(label: "test"))
        let running = Task { await service.run() }
        await turn(2)
        await sink.next().succeed()
        await other.next().succeed()
        try await body(service)
        running.cancel()
        await running.value
    }

    private func turn(_ seconds: Int) async {
        await clock.waitForSleepers(1)
        clock.advance(by: .seconds(seconds))
    }

    @Test func `another interval takes effect, and costs neither count nor clock nor farewell`()
        async
    {
        await withService { service in
            core.finishOpen(.opens(.opened))
            await turn(30)
            await sink.next().succeed()
            await other.next().fail()
            await clock.waitForSleepers(1)
            await service.reload(HeartbeatPlan(every: .seconds(7)), adding: [], removing: [])
            await turn(2)
            let told = await sink.next()
            #expect(told.beat["state"] == "online")
            #expect(told.beat["intervalMs"] == 7000)
            #expect(told.beat["monotonicMs"] == 34_000)
            #expect(told.seq == 3)
            #expect(told.opens("sinceSeq") == 2)
            told.succeed()
            let failing = await other.next()
            #expect(failing.opens("opened") == 1)
            #expect(failing.opens("sinceSeq") == 1)
            failing.succeed()
            await turn(7)
            let next = await sink.next()
            #expect(next.beat["monotonicMs"] == 41_000)
            #expect(next.opens("sinceSeq") == 3)
            next.succeed()
        }
        #expect(sink.count == 4)
    }

    @Test func `an upstream that is taken out hears offline, the others hear nothing of it`() async
    {
        await withService { service in
            core.finishOpen(.opens(.opened))
            await clock.waitForSleepers(1)
            let farewell = await service.reload(
                HeartbeatPlan(), adding: [], removing: ["second"])
            let last = await other.next()
            #expect(last.beat["state"] == "offline")
            #expect(last.opens("opened") == 1)
            last.succeed()
            await farewell.value
            await clock.waitForSleepers(1)
            clock.advance(by: .seconds(2))
            let next = await sink.next()
            #expect(next.beat["state"] == "online")
            #expect(next.opens("opened") == 1)
            #expect(next.opens("sinceSeq") == 1)
            next.succeed()
            #expect(await service.records.count == 1)
        }
        #expect(other.count == 2)
    }

    @Test func `an upstream that does not take its farewell holds up nobody`() async {
        await withService { service in
            await clock.waitForSleepers(1)
            let farewell = await service.reload(
                HeartbeatPlan(), adding: [], removing: ["second"])
            _ = await other.next()
            await clock.waitForSleepers(2)
            clock.advance(by: .seconds(2))
            await sink.next().succeed()
            await clock.waitForSleepers(1)
            clock.advance(by: .seconds(1))
            await farewell.value
        }
    }

    @Test(arguments: [true, false])
    func `an upstream that comes back goes on from the last beat it took`(
        isFarewellTaken: Bool
    ) async {
        await withService { service in
            let farewell = await service.reload(
                HeartbeatPlan(), adding: [], removing: ["second"])
            let last = await other.next()
            #expect(last.seq == 2)
            if isFarewellTaken { last.succeed() } else { last.fail() }
            await farewell.value
            core.finishOpen(.opens(.opened))
            let back = StandInSink(name: "second")
            await service.reload(HeartbeatPlan(), adding: [back], removing: [])
            await turn(2)
            await sink.next().succeed()
            let next = await back.next()
            #expect(next.beat["state"] == "online")
            #expect(next.opens("opened") == 1)
            #expect(next.opens("sinceSeq") == (isFarewellTaken ? 2 : 1))
            next.succeed()
        }
    }

    @Test func `a changed uplink goes on with its counts and says no farewell`() async {
        await withService { service in
            core.finishOpen(.opens(.opened))
            await turn(30)
            await sink.next().succeed()
            // In flight when the uplink is replaced; whether it arrives nobody knows.
            let given = await other.next()
            #expect(given.opens("opened") == 1)
            let changed = StandInSink(name: "second")
            await service.reload(HeartbeatPlan(), adding: [changed], removing: [])
            await turn(2)
            await sink.next().succeed()
            let next = await changed.next()
            #expect(next.beat["state"] == "online")
            #expect(next.opens("opened") == 1)
            #expect(next.opens("sinceSeq") == 1)
            next.succeed()
        }
        #expect(other.count == 2)
    }

    @Test func `a new upstream hears of every open since the start`() async {
        await withService { service in
            core.finishOpen(.opens(.opened))
            let new = StandInSink(name: "third")
            await service.reload(HeartbeatPlan(), adding: [new], removing: [])
            await turn(2)
            let first = await new.next()
            #expect(first.opens("opened") == 1)
            #expect(first.opens("sinceSeq") == 0)
            first.succeed()
        }
    }

    @Test
    func `a stop says farewell to those that a reload brought, and a later reload is too late`()
        async
    {
        let service = BeatService(
            source: core, sinks: [sink], plan: HeartbeatPlan(), version: "0.1.0", clock: clock,
            wallClock: { WallTime(milliseconds: 0) }, logger: Logger(label: "test"))
        let running = Task { await service.run() }
        await clock.waitForSleepers(1)
        await service.reload(HeartbeatPlan(), adding: [other], removing: [])
        async let stopped: Void = service.stop()
        for sink in [sink, other] {
            let last = await sink.next()
            #expect(last.beat["state"] == "offline")
            last.succeed()
        }
        await stopped
        await running.value
        let late = StandInSink(name: "third")
        await service.reload(HeartbeatPlan(), adding: [late], removing: ["http"])
        #expect(await service.records.count == 2)
        #expect(late.count == 0)
    }
}
