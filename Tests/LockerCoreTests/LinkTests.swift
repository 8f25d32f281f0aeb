import LockerKit
import LockerKitTesting
import Locks
import SiteModel
import TestSupport
import Testing

@testable import LockerCore

@Suite struct LinkTests {
    @Test func aDeadModuleIsAStateWithItsReasonAndComesBack() async throws {
        let fake = try await FakeSite([
            FakeSite.link("wall", firstID: 101), FakeSite.link("yard", firstID: 201),
        ])
        #expect(fake.site.snapshot.read { $0.health.level } == .ok)
        await fake.connector.send(.down(reason: "killed by SIGKILL", restarts: 0), link: "wall")
        let wall = try #require(fake.site.snapshot.controller("wall"))
        #expect(wall.state == .faulted)
        #expect(wall.reason == "killed by SIGKILL")
        #expect(fake.site.snapshot.locker(.id(101))?.isOperational == false)
        #expect(fake.site.snapshot.read { $0.health.level } == .degraded)
        let error = await #expect(throws: LockerError.self) { try await fake.open("wall/1") }
        #expect(error?.code == .linkDown)
        #expect(error?.fired == .no)
        #expect(try await fake.open("yard/1").outcome == .opened)

        await fake.connector.send(.starting(restarts: 1), link: "wall")
        await fake.connector.send(
            .ready(
                controllers: fake.connector.controllers.filter { $0.key == "wall" }, restarts: 1),
            link: "wall")
        try await settle("ready again") { fake.site.snapshot.controller("wall")?.state == .ready }
        #expect(fake.site.snapshot.controller("wall")?.restarts == 1)
        // The last death stays visible.
        #expect(fake.site.snapshot.controller("wall")?.reason == "killed by SIGKILL")
        #expect(try await fake.open("wall/1").outcome == .opened)
        #expect(fake.site.snapshot.read { $0.health } == Health(level: .ok))
    }

    @Test func everyControllerDownIsDown() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        await fake.connector.send(.quarantined(reason: "5 deaths", restarts: 5), link: "wall")
        let health = fake.site.snapshot.read { $0.health }
        #expect(health.level == .down)
        #expect(
            health.causes
                == [.init(code: "controller-quarantined", subject: "wall", message: "5 deaths")])
        #expect(try fake.history().last { $0.type == "health.changed" } == .healthChanged(health))
    }

    @Test func aLostDeviceFaultsAtOnceAndItsReadingsGrowOld() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        let board = try #require(fake.boards["wall"])
        let before = try #require(fake.site.snapshot.locker(.id(101)))
        #expect(before.quality(at: fake.clock.now) == .good)
        board.state.withLock { $0.onRead = LockerError(.linkDown, "connection refused") }
        try await fake.turn("faulted") { fake.site.snapshot.controller("wall")?.state == .faulted }
        fake.clock.advance(by: .seconds(10))
        let after = try #require(fake.site.snapshot.locker(.id(101)))
        #expect(after.quality(at: fake.clock.now) == .stale)
        #expect(after.currentDoor(at: fake.clock.now) == .unknown)
        #expect(after.door == .closed)
        #expect(fake.site.snapshot.controller("wall")?.reason == "connection refused")
        board.state.withLock { $0.onRead = nil }
        try await fake.turn("ready again") {
            fake.site.snapshot.controller("wall")?.state == .ready
        }
        #expect(fake.site.snapshot.controller("wall")?.reason == nil)
        #expect(fake.site.snapshot.locker(.id(101))?.quality(at: fake.clock.now) == .good)
    }

    @Test func aFreeLineIsKeptForTheOpenThatWaitedForItButNotForLong() async throws {
        let journal = FakeJournal()
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)], journal: journal)
        let board = try #require(fake.boards["wall"])
        func reads() -> Int { board.state.withLock(\.reads) }
        func heldSyncs() -> Int { journal.contents.withLock(\.heldSyncs) }
        /// Just before the next read is due.
        func wait() async throws {
            let before = reads()
            try await fake.turn("a read", step: .milliseconds(1)) { reads() > before }
            let since = try #require(board.state.withLock(\.readAt)).duration(to: fake.clock.now)
            fake.clock.advance(by: max(.zero, .milliseconds(480) - since))
        }
        try await wait()
        journal.hold()
        let first = Task { try await fake.ask("wall/1") }
        try await settle("it has its intent written") { heldSyncs() == 1 }
        let before = reads()
        fake.clock.advance(by: .milliseconds(40))
        for _ in 0..<1000 { await Task.yield() }
        #expect(reads() == before && board.opens == [])
        board.holdOpens()
        journal.release()
        try await settle("it fires") { board.opens == [1] }
        #expect(reads() == before)
        board.release()
        _ = try await fake.turning { try await first.value }

        // A disk that takes its time keeps nobody's doors from being read.
        try await wait()
        journal.hold()
        let second = Task { try await fake.ask("wall/2") }
        try await settle("it has its intent written") { heldSyncs() == 1 }
        let later = reads()
        fake.clock.advance(by: .milliseconds(60))
        try await settle("the doors are read") { reads() > later }
        #expect(board.opens == [1])
        journal.release()
        _ = try await fake.turning { try await second.value }
        #expect(board.opens == [1, 2])
    }

    @Test func oneMissedReadIsNoFault() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        let board = try #require(fake.boards["wall"])
        board.state.withLock { $0.onRead = LockerError(.timedOut, "no answer") }
        let reads = board.state.withLock(\.reads)
        try await fake.turn("two missed") { board.state.withLock(\.reads) == reads + 2 }
        board.state.withLock { $0.onRead = nil }
        try await fake.turn("read again") { board.state.withLock(\.reads) > reads + 2 }
        #expect(try fake.count("controller.state") == 1)
        board.state.withLock { $0.onRead = LockerError(.timedOut, "no answer") }
        try await fake.turn("three missed") {
            fake.site.snapshot.controller("wall")?.state == .faulted
        }
    }

    @Test func aBoardThatStaysAwayIsAskedEverMoreSeldomAndComesBack() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        let board = try #require(fake.boards["wall"])
        board.state.withLock { $0.onRead = LockerError(.linkDown, "connection refused") }
        func reads(in span: Duration) async throws -> Int {
            let before = board.state.withLock(\.reads)
            let end = fake.clock.now + span
            try await fake.turn("time passes", step: .milliseconds(100)) { fake.clock.now >= end }
            return board.state.withLock(\.reads) - before
        }
        #expect(try await reads(in: .seconds(4)) >= 3)
        _ = try await reads(in: .seconds(30))
        let late = try await reads(in: .seconds(60))
        #expect((9...13).contains(late), "a read every five seconds, was \(late) in 60 s")
        board.state.withLock { $0.onRead = nil }
        let lost = fake.clock.now
        try await fake.turn("ready again") {
            fake.site.snapshot.controller("wall")?.state == .ready
        }
        #expect(lost.duration(to: fake.clock.now) <= .seconds(6))
    }

    @Test func aBadFileFaultsItsLinkAndTheRestServes() async throws {
        var bad = FakeSite.link("yard", firstID: 201)
        bad.problems = ["links.d/yard.toml:3: unknown key \"baut\"; did you mean \"baud\"?"]
        let worse = LinkPlan(name: "shed", driver: "", problems: ["links.d/shed.toml:1: no"])
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101), bad, worse])
        #expect(fake.site.snapshot.controller("yard")?.state == .faulted)
        #expect(fake.site.snapshot.controller("yard")?.reason == bad.problems[0])
        #expect(fake.site.snapshot.controller("shed")?.state == .faulted)
        #expect(fake.connector.runs.withLock { $0 } == ["wall"])
        let error = await #expect(throws: LockerError.self) { try await fake.open("yard/1") }
        #expect(error?.code == .linkDown)
        #expect(try await fake.open("wall/1").outcome == .opened)
        let refusal = await #expect(throws: LockerError.self) {
            try await fake.site.restart(controller: "yard", peer: FakeSite.peer)
        }
        #expect(refusal?.code == .conflict)
    }

    @Test func readingsThatNobodyAskedForCountAtOnce() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        fake.clock.advance(by: .milliseconds(1))
        await fake.connector.send(
            .doors(
                controller: "wall",
                doors: [DoorReading(locker: 4, door: .open, takenAt: fake.clock.now)]),
            link: "wall")
        #expect(fake.site.snapshot.locker(.address("wall/4"))?.door == .open)
        #expect(try fake.count("door.opened") == 1)
    }

    @Test func anOlderReadingNeverReplacesANewerOne() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        let now = fake.clock.now
        fake.site.context.note(
            [DoorReading(locker: 1, door: .open, takenAt: now + .milliseconds(5))],
            controller: "wall")
        fake.site.context.note(
            [DoorReading(locker: 1, door: .closed, takenAt: now)], controller: "wall")
        #expect(fake.site.snapshot.locker(.id(101))?.door == .open)
    }
}
