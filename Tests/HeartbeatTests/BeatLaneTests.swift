import JSONLines
import LockerCore
import LockerKit
import Logging
import SiteModel
import Testing

@testable import Heartbeat

@Suite(.timeLimit(.minutes(1))) struct BeatLaneTests {
    private let sink = StandInSink()
    private let lane: BeatLane

    init() {
        lane = BeatLane(
            sink: sink,
            from: DeliveryRecord(mark: DeliveryMark(startedAt: WallTime(milliseconds: 0))),
            logger: Logger(label: "test"))
    }

    /// A beat with as many opens since the start as its number says, ten times over.
    private func beat(_ seq: Int) -> BeatInput {
        var opens = OpenTally()
        for _ in 0..<seq * 10 {
            opens.count(
                LockerResult(
                    locker: LockerIdentity(id: 1, address: "wall/1"), ending: .opens(.opened)))
        }
        return BeatInput(
            site: "depot-17", bootID: "boot", seq: seq,
            at: WallTime(milliseconds: Int64(seq) * 1000), now: .now, uptime: .zero,
            state: .online, version: "0.1.0", interval: .seconds(30),
            health: Health(level: .ok), controllers: [], lockers: LockerTally(), opens: opens)
    }

    private func withLane(_ body: () async throws -> Void) async rethrows {
        let running = Task { [lane] in await lane.run() }
        try await body()
        lane.end()
        await running.value
    }

    @Test func `counts begin anew only after a beat that was taken`() async {
        await withLane {
            lane.offer(beat(1))
            let first = await sink.next()
            #expect(first.opens("opened") == 10)
            #expect(first.opens("sinceSeq") == 0)
            first.fail()
            lane.offer(beat(2))
            let second = await sink.next()
            #expect(second.opens("opened") == 20)
            #expect(second.opens("sinceSeq") == 0)
            second.succeed()
            lane.offer(beat(3))
            let third = await sink.next()
            #expect(third.opens("opened") == 10)
            #expect(third.opens("sinceSeq") == 2)
            #expect(third.beat["opens"]?["since"] == "1970-01-01T00:00:02.000Z")
            third.succeed()
        }
    }

    @Test(arguments: [true, false])
    func `a newer beat replaces the one that waits, and loses no count`(isFirstTaken: Bool) async {
        await withLane {
            lane.offer(beat(1))
            let first = await sink.next()
            for seq in 2...50 { lane.offer(beat(seq)) }
            if isFirstTaken { first.succeed() } else { first.fail() }
            let next = await sink.next()
            #expect(next.seq == 50)
            #expect(next.opens("opened") == (isFirstTaken ? 490 : 500))
            next.succeed()
        }
        #expect(sink.count == 2)
    }

    @Test func `the last beat goes out at once, whatever is on its way`() async {
        let running = Task { [lane] in await lane.run() }
        lane.offer(beat(1))
        let first = await sink.next()
        #expect(first.seq == 1)
        // Neither answered nor failed: the courier sits in a long pause between two attempts.
        lane.offer(beat(2))
        lane.end(with: beat(3))
        let last = await sink.next()
        #expect(last.seq == 3)
        #expect(last.opens("opened") == 30)
        #expect(last.opens("sinceSeq") == 0)
        last.succeed()
        await running.value
        #expect(sink.count == 2)
        #expect(lane.record.mark.seq == 3)
        #expect(lane.record.failures == 0)
    }

    @Test func `a lane that is ended before it runs sends its last beat and no other`() async {
        lane.offer(beat(1))
        lane.end(with: beat(2))
        let running = Task { [lane] in await lane.run() }
        let last = await sink.next()
        #expect(last.seq == 2)
        last.succeed()
        await running.value
        #expect(sink.count == 1)
    }

    @Test func `a lane that is ended without a last beat gives up what is on its way`() async {
        let running = Task { [lane] in await lane.run() }
        lane.offer(beat(1))
        _ = await sink.next()
        lane.offer(beat(2))
        lane.end()
        await running.value
        #expect(sink.count == 1)
        // It says nothing of the upstream, so it is no failure of it.
        #expect(lane.record.failures == 0)
        #expect(lane.record.reason == nil)
    }

    @Test func `a lane goes on where the record of another ended`() async {
        var record = lane.record
        record.mark = DeliveryMark(beat(4))
        let next = BeatLane(sink: sink, from: record, logger: Logger(label: "test"))
        let running = Task { await next.run() }
        next.end(with: beat(6))
        let delivery = await sink.next()
        #expect(delivery.opens("opened") == 20)
        #expect(delivery.opens("sinceSeq") == 4)
        delivery.succeed()
        await running.value
    }

    @Test func `the record tells how the upstream fares`() async {
        var record = lane.record
        await withLane {
            lane.offer(beat(1))
            await sink.next().fail("cannot connect to monitor.example:443: connection refused")
            lane.offer(beat(2))
            let second = await sink.next()
            record.failures = 1
            record.reason = "cannot connect to monitor.example:443: connection refused"
            #expect(lane.record == record)
            second.fail("monitor.example:443 answered 500")
            lane.offer(beat(3))
            let third = await sink.next()
            record.failures = 2
            record.reason = "monitor.example:443 answered 500"
            #expect(lane.record == record)
            third.succeed()
            lane.offer(beat(4))
            _ = await sink.next()
        }
        #expect(lane.record == DeliveryRecord(mark: DeliveryMark(beat(3))))
    }
}
