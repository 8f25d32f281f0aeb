import LockerKit
import LockerKitTesting
import Locks
import SiteModel
import Testing

@testable import LockerCore

/// What doors do over time.
@Suite struct DoorTruthTests {
    private static let jam = OpenReport(evidence: .echo, pulse: .milliseconds(200))

    private func site(
        _ doors: DoorPlan = DoorPlan()
    ) async throws -> (fake: FakeSite, board: FakeController) {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)], doors: doors)
        let board = try #require(fake.boards["wall"])
        try await fake.turn("the doors are read") {
            fake.site.snapshot.locker(.id(104))?.door == .closed
        }
        return (fake, board)
    }

    private func move(
        _ fake: FakeSite, _ board: FakeController, _ locker: Int, _ door: DoorState
    ) async throws {
        board.state.withLock { $0.doors[locker] = door }
        try await fake.turn("the door is read \(door)") {
            fake.site.snapshot.locker(.id(100 + locker))?.door == door
        }
    }

    /// Has the doors read once more as they are.
    private func read(_ fake: FakeSite, _ board: FakeController) async throws {
        let reads = board.state.withLock { $0.reads }
        try await fake.turn("it was read") { board.state.withLock { $0.reads } > reads + 1 }
    }

    private func doors(_ fake: FakeSite) throws -> [String] {
        try fake.history().map(\.type).filter { $0.hasPrefix("door") || $0.hasPrefix("sensor") }
    }

    @Test func aDoorThatOpensAfterItsOpenWasCalledJammedWasOpenedLate() async throws {
        let (fake, board) = try await site()
        board.state.withLock { $0.onOpen[2] = .success(Self.jam) }
        async let asked = fake.ask("wall/2")
        try await fake.turn("the wait is over") { try fake.count("operation.done") == 1 }
        let view = try await asked
        #expect(view.outcome == .jammed)
        #expect(fake.site.snapshot.locker(.id(102))?.wear.jams == 1)
        fake.clock.advance(by: .seconds(5))
        try await move(fake, board, 2, .open)
        try await settle("the operation is amended") {
            try await fake.site.operation(view.id).outcome == .openedLate
        }
        let opened = try fake.history().compactMap { event -> LateDoor? in
            if case .doorOpened(_, let late) = event { late } else { nil }
        }
        #expect(opened.count == 1)
        #expect(opened.first?.operation == view.id)
        #expect(try #require(opened.first?.door) > .seconds(8))
        #expect(try fake.count("door.forced") == 0)
        let locker = try #require(fake.site.snapshot.locker(.id(102)))
        #expect(locker.lastOpen?.outcome == .openedLate)
        #expect(locker.wear.jams == 0)
        #expect(locker.wear.doorTimes.count == 1)
    }

    @Test func aDoorThatOpensWithoutAPulseWasForced() async throws {
        let (fake, board) = try await site()
        try await move(fake, board, 1, .open)
        for case .doorForced(_, let since) in try fake.history() { #expect(since == nil) }
        #expect(try doors(fake) == ["door.opened", "door.forced"])
    }

    @Test func anOpenedDoorIsNotForcedAndOneReopenedLaterIs() async throws {
        let (fake, board) = try await site()
        _ = try await fake.open("wall/1")
        #expect(try fake.count("door.forced") == 0)
        // A door that bounces while it may still be opening is no burglar.
        try await move(fake, board, 1, .closed)
        try await move(fake, board, 1, .open)
        #expect(try fake.count("door.forced") == 0)
        fake.clock.advance(by: .seconds(10))
        try await move(fake, board, 1, .closed)
        try await move(fake, board, 1, .open)
        let since = try fake.history().compactMap { event -> Duration? in
            if case .doorForced(_, let since) = event { since } else { nil }
        }
        try #require(since.count == 1)
        #expect(since[0] > .seconds(10) && since[0] < .seconds(20))
    }

    @Test func whoeverOpensADoorThatItsPulseHasOpenedAndThatHasClosedForcesIt() async throws {
        let (fake, board) = try await site()
        _ = try await fake.open("wall/1")
        try await move(fake, board, 1, .closed)
        fake.clock.advance(by: .seconds(20))
        try await read(fake, board)
        try await move(fake, board, 1, .open)
        #expect(try fake.count("door.forced") == 1)
    }

    @Test func aRestartMakesNoBurglarOfTheCustomer() async throws {
        // Fired five seconds ago by a run that was killed; the clock of the machine stands at 0.
        var kept = KeptLocker()
        kept.coil = KeptCoil(heat: .milliseconds(100), atMs: -5000, machineBoot: "")
        var legacy = JournalLegacy()
        legacy.lockers = ["wall/1": kept]
        let fake = try await FakeSite(
            [FakeSite.link("wall", firstID: 101)], journal: FakeJournal(legacy))
        let board = try #require(fake.boards["wall"])
        try await fake.turn("the doors are read") {
            fake.site.snapshot.locker(.id(104))?.door == .closed
        }
        try await move(fake, board, 1, .open)
        try await move(fake, board, 2, .open)
        // Told in order: had the first door been called forced, that would stand before this.
        try await settle("it is told") { try fake.count("door.forced") > 0 }
        let forced = try fake.history().compactMap { event -> String? in
            if case .doorForced(let locker, _) = event { locker.address } else { nil }
        }
        #expect(forced == ["wall/2"])
    }

    @Test func aDoorOfWhichNobodyKnowsWhenItOpenedIsNotForced() async throws {
        let (fake, board) = try await site()
        board.state.withLock { $0.onOpen[1] = .success(Self.jam) }
        async let asked = fake.ask("wall/1")
        try await fake.turn("the wait is over") { try fake.count("operation.done") == 1 }
        _ = try await asked
        // The board is gone for two minutes, and the door is open when it is back.
        board.state.withLock {
            $0.onRead = LockerError(.linkDown, "connection lost")
            $0.doors[1] = .open
        }
        fake.clock.advance(by: .seconds(120))
        try await fake.turn("it is missed") {
            fake.site.snapshot.controller("wall")?.state == .faulted
        }
        board.state.withLock { $0.onRead = nil }
        try await fake.turn("it is back") { try fake.count("door.opened") == 1 }
        #expect(try fake.count("door.forced") == 0)
    }

    @Test func aDoorThatStoodOpenAtItsPulseIsForcedWhenItOpensAfterClosing() async throws {
        let (fake, board) = try await site()
        _ = try await fake.open("wall/1")
        fake.clock.advance(by: .seconds(30))
        _ = try await fake.open("wall/1")
        try await move(fake, board, 1, .closed)
        fake.clock.advance(by: .seconds(20))
        try await read(fake, board)
        try await move(fake, board, 1, .open)
        #expect(try fake.count("door.forced") == 1)
    }

    @Test func aSensorThatHasNeverSaidAnythingButOpenIsSuspected() async throws {
        let (fake, _) = try await site(DoorPlan(suspectPulses: 2))
        let stuck = try await FakeSite(
            [FakeSite.link("wall", firstID: 101)], doors: DoorPlan(suspectPulses: 2)
        ) { _, clock in
            let board = FakeController(clock: clock)
            board.state.withLock { $0.doors[1] = .open }
            return board
        }
        for _ in 0..<2 { _ = try await stuck.open("wall/1") }
        #expect(stuck.site.snapshot.locker(.id(101))?.suspicion?.kind == .unmoved)
        // A door that somebody has left open is another matter.
        for _ in 0..<4 { _ = try await fake.open("wall/1") }
        #expect(fake.site.snapshot.locker(.id(101))?.suspicion == nil)
    }

    @Test func aPulseThatNeverLeftExcusesNothing() async throws {
        let (fake, board) = try await site()
        board.state.withLock {
            $0.onOpen[1] = .failure(LockerError(.refused, "no", sent: .yes))
        }
        await #expect(throws: LockerError.self) { try await fake.open("wall/1") }
        try await move(fake, board, 1, .open)
        #expect(try fake.count("door.forced") == 1)
    }

    @Test func aSensorThatIsKnownToBeBrokenAccusesNobody() async throws {
        let (fake, board) = try await site()
        _ = try await fake.site.setService(
            ServiceRequest(locker: .id(101), brokenLock: true, peer: FakeSite.peer))
        try await move(fake, board, 1, .open)
        #expect(try doors(fake) == ["door.opened"])
    }

    @Test func aDoorHeldOpenIsToldOnceAndAgainWhenItCloses() async throws {
        let (fake, board) = try await site(DoorPlan(held: .seconds(30)))
        _ = try await fake.open("wall/1")
        for _ in 0..<3 {
            fake.clock.advance(by: .seconds(31))
            let reads = board.state.withLock { $0.reads }
            try await fake.turn("it was read") { board.state.withLock { $0.reads } > reads + 2 }
        }
        try await move(fake, board, 1, .closed)
        #expect(try doors(fake) == ["door.opened", "door.held", "door.closed"])
        for case .doorHeld(_, let open, let limit) in try fake.history() {
            #expect(limit == .seconds(30))
            #expect(open >= .seconds(30) && open < .seconds(33))
        }
        for case .doorClosed(_, let heldFor) in try fake.history() {
            #expect(try #require(heldFor) > .seconds(90))
        }
    }

    @Test func aSensorThatSleepsThroughPulsesIsSuspectedUntilItMoves() async throws {
        let (fake, board) = try await site(DoorPlan(suspectPulses: 3))
        board.state.withLock { $0.onOpen[1] = .success(Self.jam) }
        for count in 1...4 {
            async let view = fake.ask("wall/1")
            try await fake.turn("the wait is over") { try fake.count("operation.done") == count }
            #expect(try await view.outcome == .jammed)
            let suspicion = fake.site.snapshot.locker(.id(101))?.suspicion
            #expect((suspicion?.kind == .unmoved) == (count >= 3))
        }
        // Told once, and nothing follows from it: the flag is for people to set.
        #expect(try fake.count("sensor.suspect") == 1)
        #expect(fake.site.snapshot.locker(.id(101))?.service == ServiceState())
        try await move(fake, board, 1, .open)
        #expect(fake.site.snapshot.locker(.id(101))?.suspicion == nil)
        #expect(try fake.count("sensor.suspect") == 2)
    }

    @Test func aSensorThatFlapsIsSuspectedUntilItIsQuiet() async throws {
        let (fake, board) = try await site(
            DoorPlan(suspectFlips: 6, suspectWindow: .seconds(20)))
        for flip in 1...6 {
            try await move(fake, board, 1, flip % 2 == 0 ? .closed : .open)
        }
        #expect(fake.site.snapshot.locker(.id(101))?.suspicion?.kind == .flapping)
        fake.clock.advance(by: .seconds(21))
        try await fake.turn("it is quiet") {
            fake.site.snapshot.locker(.id(101))?.suspicion == nil
        }
        #expect(try fake.count("sensor.suspect") == 2)
    }

    @Test func compartmentsThatNeverServeCannotBeReturned() async throws {
        var link = FakeSite.link("wall", firstID: 101)
        link.controllers[0].lockers[0].type = "screen"
        link.controllers[0].lockers[0].isAlwaysOutOfService = true
        let fake = try await FakeSite([link])
        let refused = await #expect(throws: LockerError.self) {
            try await fake.site.setService(
                ServiceRequest(locker: .id(101), outOfService: false, peer: FakeSite.peer))
        }
        #expect(refused?.code == .conflict)
        await #expect(throws: LockerError.self) { try await fake.open("wall/1") }
        let view = try await fake.turning {
            try await fake.site.openAll(
                OpenAllRequest(peer: FakeSite.peer), wait: nil, progress: { _ in })
        }
        #expect(view.results.map(\.word) == ["skipped", "opened", "opened", "opened"])
        #expect(try await fake.open("wall/1", maintenance: true).outcome == .opened)
        // Other flags of it can be set.
        let noted = try await fake.site.setService(
            ServiceRequest(locker: .id(101), reason: "screen", peer: FakeSite.peer))
        #expect(noted.locker.service.reason == "screen")
    }
}

@Suite struct WearTests {
    @Test func theHistogramKnowsMeanAndPercentile() throws {
        var times = DoorTimes()
        #expect(times.p95Ms == nil)
        for _ in 0..<95 { times.add(.milliseconds(400)) }
        for _ in 0..<5 { times.add(.milliseconds(9000)) }
        #expect(times.meanMs == 830)
        let p95 = try #require(times.p95Ms)
        #expect(p95 >= 400 && p95 <= 500)
        times.add(.seconds(500))
        for _ in 0..<10 { times.add(.milliseconds(9000)) }
        #expect(try #require(times.p95Ms) >= 9000)
        #expect(
            DoorTimes(
                count: times.count, sumMs: times.sumMs, longestMs: times.longestMs,
                classes: times.classes) == times)
        #expect(DoorTimes(count: 3, sumMs: 1, longestMs: 1, classes: [1, 2]) == nil)
    }
}
