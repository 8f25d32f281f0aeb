import JSONLines
import LockerCore
import LockerKit
import LockerKitTesting
import Locks
import Logging
import SiteModel
import Testing

@testable import Heartbeat

@Suite(.timeLimit(.minutes(1))) struct BeatServiceTests {
    private let core = StandInCore()
    private let clock = ManualClock()
    private let sink = StandInSink()

    private func service(_ sinks: [StandInSink]? = nil, every: Duration = .seconds(30))
        -> BeatService
    {
        BeatService(
            source: core, sinks: sinks ?? [sink], plan: HeartbeatPlan(every: every),
            version: "0.1.0", clock: clock, wallClock: { WallTime(milliseconds: 0) },
            random: { 0.5 }, logger: Logger(label: "test"))
    }

    /// Lets the service come to rest, then turns the clock.
    private func turn(_ seconds: Int) async {
        await clock.waitForSleepers(1)
        clock.advance(by: .seconds(seconds))
    }

    /// Runs a service until `body` is done, without a farewell.
    private func withService(
        _ service: BeatService, _ body: () async throws -> Void
    ) async rethrows {
        let running = Task { await service.run() }
        try await body()
        running.cancel()
        await running.value
    }

    @Test func `beats come at the interval, numbered from one`() async {
        await withService(service()) {
            var times: [Int?] = []
            for (index, pause) in [2, 30, 30].enumerated() {
                await turn(pause)
                let delivery = await sink.next()
                #expect(delivery.seq == index + 1)
                #expect(delivery.beat["state"] == "online")
                times.append(delivery.beat["monotonicMs"]?.intValue)
                delivery.succeed()
            }
            #expect(times == [2000, 32_000, 62_000])
        }
    }

    @Test func `a beat shows the site as the core sees it`() async {
        let plan = ControllerPlan(id: "wall")
        var locker = LockerView(plan: LockerPlan(id: 101, number: 1), controller: plan)
        locker.door = .open
        locker.readAt = clock.now + .seconds(2)
        core.add(controller: "wall", lockers: [locker])
        core.set("wall", .ready)
        await withService(service()) {
            await turn(2)
            let beat = await sink.next().beat
            #expect(beat["site"] == "depot-17")
            #expect(beat["bootId"] == "boot-1")
            #expect(beat["daemon"]?["version"] == "0.1.0")
            #expect(beat["intervalMs"] == 30_000)
            #expect(beat["health"] == "ok")
            #expect(beat["controllers"]?.arrayValue?.first?["id"] == "wall")
            #expect(beat["lockers"]?["open"] == 1)
        }
    }

    @Test func `a change is told two seconds after the last beat, however much changes`() async {
        core.add(controller: "wall")
        core.add(controller: "yard")
        await withService(service()) {
            await turn(2)
            await sink.next().succeed()
            await clock.waitForSleepers(1)
            for state in [ControllerState.ready, .faulted, .ready, .faulted] {
                core.set("wall", state)
                core.set("yard", .ready)
            }
            clock.advance(by: .seconds(2))
            let second = await sink.next()
            #expect(second.beat["monotonicMs"] == 4000)
            #expect(second.beat["health"] == "degraded")
            second.succeed()
            await turn(30)
            let third = await sink.next()
            #expect(third.seq == 3)
            #expect(third.beat["monotonicMs"] == 34_000)
        }
    }

    @Test func `a change long after the last beat is told at once`() async {
        core.add(controller: "wall")
        await withService(service()) {
            await turn(2)
            await sink.next().succeed()
            await turn(10)
            core.set("wall", .ready)
            let second = await sink.next()
            #expect(second.beat["monotonicMs"] == 12_000)
            #expect(second.beat["health"] == "ok")
        }
    }

    @Test func `opens are counted by outcome, those of an open-all one by one`() async {
        core.finishOpen(.opens(.opened))
        core.finishOpen(.fails)
        core.finishOpenAll(
            "op-2", [.opens(.opened), .opens(.jammed), .skipped(reason: "excluded"), .fails])
        core.finishOpenAll("op-3", [.opens(.opened)], isKnown: false)
        await withService(service()) {
            await turn(2)
            let beat = await sink.next()
            #expect(beat.opens("opened") == 2)
            #expect(beat.opens("jammed") == 1)
            #expect(beat.opens("failed") == 2)
            #expect(beat.opens("skipped") == 1)
            #expect(beat.opens("missedEvents") == 1)
        }
    }

    @Test func `each uplink counts from the beat that it took itself`() async {
        let other = StandInSink(name: "second")
        let service = service([sink, other])
        await withService(service) {
            core.finishOpen(.opens(.opened))
            await turn(2)
            await sink.next().succeed()
            await other.next().fail()
            core.finishOpen(.opens(.opened))
            await turn(30)
            let taken = await sink.next()
            let refused = await other.next()
            #expect(taken.opens("opened") == 1)
            #expect(taken.opens("sinceSeq") == 1)
            #expect(refused.opens("opened") == 2)
            #expect(refused.opens("sinceSeq") == 0)
            #expect(await service.records.map(\.failures) == [0, 1])
        }
    }

    @Test func `an uplink that hangs delays no other`() async {
        let other = StandInSink(name: "second")
        await withService(service([sink, other])) {
            for (index, pause) in [2, 30, 30].enumerated() {
                await turn(pause)
                let delivery = await other.next()
                #expect(delivery.seq == index + 1)
                delivery.succeed()
            }
            let hanging = await sink.next()
            #expect(hanging.seq == 1)
            hanging.succeed()
            let newest = await sink.next()
            #expect(newest.seq == 3)
        }
    }

    @Test func `no beat is sent while the core does not answer`() async {
        await withService(service()) {
            await turn(2)
            await sink.next().succeed()
            await clock.waitForSleepers(1)
            let release = core.fallSilent()
            await turn(30)  // the regular beat is due; the core is asked
            await turn(5)  // it did not answer
            await turn(2)  // it is asked again
            await turn(5)
            await clock.waitForSleepers(1)
            #expect(sink.count == 1)
            release()
            await turn(2)
            let second = await sink.next()
            #expect(second.seq == 2)
            #expect(second.beat["monotonicMs"] == 46_000)
        }
    }

    @Test func `a clean stop says offline and ends the service`() async {
        let service = service()
        let running = Task { await service.run() }
        await turn(2)
        await sink.next().succeed()
        core.finishOpen(.opens(.opened))
        async let stopped: Void = service.stop()
        let last = await sink.next()
        #expect(last.beat["state"] == "offline")
        #expect(last.seq == 2)
        #expect(last.opens("opened") == 1)
        last.succeed()
        await stopped
        await running.value
        #expect(await service.records.map(\.mark.seq) == [2])
        await service.stop()
        #expect(sink.count == 2)
    }

    @Test func `a clean stop waits three seconds for an upstream and no longer`() async {
        let service = service()
        let running = Task { await service.run() }
        await turn(2)
        _ = await sink.next()
        let isStopped = Mutex(false)
        let before = clock.now
        let stopping = Task {
            await service.stop()
            isStopped.withLock { $0 = true }
        }
        await running.value(whileTurning: clock) { isStopped.withLock { $0 } }
        await stopping.value
        #expect(before.duration(to: clock.now) >= .seconds(3))
        #expect(await service.records.map(\.mark.seq) == [0])
    }

    @Test func `an offline beat overtakes one that is still being retried`() async {
        let service = service()
        let running = Task { await service.run() }
        core.finishOpen(.opens(.opened))
        await turn(2)
        // Not answered: the upstream was down, and its courier waits before it tries again.
        let retried = await sink.next()
        #expect(retried.seq == 1)
        async let stopped: Void = service.stop()
        let last = await sink.next()
        #expect(last.beat["state"] == "offline")
        #expect(last.seq == 2)
        #expect(last.opens("opened") == 1)
        last.succeed()
        await stopped
        await running.value
    }

    @Test func `a stop is bounded also while the core hangs`() async {
        let service = service()
        let running = Task { await service.run() }
        await clock.waitForSleepers(1)
        let release = core.fallSilent()
        await turn(2)
        async let stopped: Void = service.stop()
        let last = await sink.next()
        #expect(last.beat["state"] == "offline")
        #expect(last.seq == 1)
        last.succeed()
        await stopped
        release()
        await running.value
    }

    @Test func `cancelling says no farewell`() async {
        await withService(service()) {
            await turn(2)
            await sink.next().succeed()
        }
        #expect(sink.count == 1)
    }

    @Test func `a site without uplinks beats for nobody and stops`() async {
        let service = service([])
        let running = Task { await service.run() }
        await turn(2)
        await clock.waitForSleepers(1)
        await service.stop()
        await running.value
        #expect(await service.records.isEmpty)
    }
}

extension Task where Success == Void, Failure == Never {
    /// Turns the clock second by second until `isDone`, then waits for the task.
    fileprivate func value(
        whileTurning clock: ManualClock, until isDone: () -> Bool
    ) async {
        while !isDone() {
            await Task<Never, Never>.yield()
            clock.advance(by: .milliseconds(1))
        }
        await value
    }
}
