import LockerKit
import LockerKitTesting
import Locks
import SiteModel
import TestSupport
import Testing

@testable import LockerCore

/// What must not fire late, and what may not be taken for harmless.
@Suite struct LateAndStuckTests {
    private func request(
        _ address: String, deadline: Duration?, arrivedAt: ContinuousClock.Instant? = nil
    ) -> OpenRequest {
        OpenRequest(
            locker: .address(address), deadline: deadline, peer: FakeSite.peer,
            arrivedAt: arrivedAt)
    }

    @Test func aDeadlineCountsFromTheArrivalOfTheRequest() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        let late = fake.clock.now - .milliseconds(300)
        await #expect(throws: LockerError.expired) {
            try await fake.site.open(
                request("wall/1", deadline: .milliseconds(200), arrivedAt: late), wait: nil)
        }
        await #expect(throws: LockerError.expired) {
            try await fake.site.openAll(
                OpenAllRequest(
                    deadline: .milliseconds(200), peer: FakeSite.peer, arrivedAt: late),
                wait: nil, progress: { _ in })
        }
        #expect(fake.boards["wall"]?.opens == [])
    }

    @Test func theDriverIsToldUntilWhenItMayFire() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        let now = fake.clock.now
        let board = try #require(fake.boards["wall"])
        _ = try await fake.ask("wall/1", deadline: .seconds(5), wait: .zero)
        try await settle("it fires") { board.opens == [1] }
        _ = try await fake.open("wall/2")
        #expect(board.state.withLock { $0.deadlines } == [now + .seconds(5), nil])
    }

    @Test(arguments: [LockerError.Fired.yes, .unknown], [DoorState.open, .closed])
    func anOutputThatMayBeOnIsAnErrorWhateverTheDoorSays(
        fired: LockerError.Fired, door: DoorState
    ) async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        let board = try #require(fake.boards["wall"])
        let stuck = LockerError(.outputStuck, "coil 0 may still be on", fired: fired, sent: .yes)
        board.state.withLock {
            $0.onOpen[1] = .failure(stuck)
            $0.doors[1] = door
        }
        await #expect(throws: stuck) { try await fake.open("wall/1") }
    }

    /// One supply for two links. The host times the pulses of `wall`, whose first open ends in this error; then its doors
    /// are read with that one. Both links have been asked to open when this returns.
    private func inDoubt(
        _ onOpen: LockerError, then onRead: LockerError
    ) async throws -> (fake: FakeSite, wall: FakeController) {
        let fake = try await FakeSite(
            [
                FakeSite.link("wall", firstID: 101, supply: "psu"),
                FakeSite.link("yard", firstID: 201, supply: "psu"),
            ], supplies: ["psu": SupplyGroup(atOnce: 1, gap: .zero)]
        ) { FakeController(clock: $1, pulseTiming: $0 == "wall" ? .host : .board) }
        let wall = try #require(fake.boards["wall"])
        wall.state.withLock {
            $0.onOpen[1] = .failure(onOpen)
            $0.onRead = onRead
        }
        _ = try await fake.ask("wall/1", wait: .zero)
        try await settle("it was sent") { wall.opens == [1] }
        _ = try await fake.ask("yard/1", wait: .zero)
        return (fake, wall)
    }

    @Test func aCoilInDoubtKeepsItsPlaceInTheSupplyUntilItsBoardAnswers() async throws {
        let (fake, wall) = try await inDoubt(
            LockerError(.timedOut, "hung", fired: .unknown, sent: .yes),
            then: LockerError(.outputStuck, "coil 0 may still be on"))
        let half = fake.clock.now + .seconds(15)
        try await fake.turn("time passes", step: .milliseconds(50)) { fake.clock.now >= half }
        #expect(fake.boards["yard"]?.opens == [])
        wall.state.withLock { $0.onRead = nil }
        try await fake.turn("the board is read, and the other lock fires") {
            fake.boards["yard"]?.opens == [1]
        }
    }

    @Test func aBoardThatIsGoneForGoodGivesItsPlaceBackInTheEnd() async throws {
        let (fake, _) = try await inDoubt(
            LockerError(.linkDown, "cut", fired: .unknown, sent: .yes),
            then: LockerError(.linkDown, "cut"))
        let asked = fake.clock.now
        try await fake.turn("the other lock fires", step: .milliseconds(50)) {
            fake.boards["yard"]?.opens == [1]
        }
        let waited = asked.duration(to: fake.clock.now)
        #expect(waited >= OpenRun.longestDoubt && waited < OpenRun.longestDoubt + .seconds(2))
    }
}

/// A dead link costs the others nothing.
@Suite struct DeadLinkTests {
    @Test func takesNoTurnOfTheSupplyFromLinksThatWork() async throws {
        let fake = try await FakeSite(
            [
                FakeSite.link("wall", firstID: 101, lockers: 8, supply: "psu"),
                FakeSite.link("yard", firstID: 201, lockers: 8, supply: "psu"),
            ], supplies: ["psu": SupplyGroup(atOnce: 2, gap: .milliseconds(250))]
        ) { FakeController(clock: $1, lockers: 8) }
        let wall = try #require(fake.boards["wall"])
        let gone = LockerError(.linkDown, "connection refused")
        wall.state.withLock {
            $0.onRead = gone
            for number in 1...8 { $0.onOpen[number] = .failure(gone) }
        }
        try await fake.turn("faulted") { fake.site.snapshot.controller("wall")?.state == .faulted }
        let view = try await fake.openAll(wait: .zero)
        try await fake.turn("it ends", step: .milliseconds(5)) {
            try await fake.site.operation(view.id).state == .done
        }
        let fired = fake.boards["yard"]?.state.withLock { $0.opens.map(\.at) } ?? []
        #expect(fired.count == 8)
        for (first, second) in zip(fired, fired.dropFirst()) {
            #expect(first.duration(to: second) <= .milliseconds(300))
        }
        #expect(wall.opens == [])
        let results = try await fake.site.operation(view.id).results
        #expect(OpenAllSummary(results).failed == 8)
    }

    @Test func isAskedOnceMoreBeforeAnOpenIsRefused() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        let wall = try #require(fake.boards["wall"])
        wall.state.withLock { $0.onRead = LockerError(.linkDown, "connection refused") }
        try await fake.turn("faulted") { fake.site.snapshot.controller("wall")?.state == .faulted }
        let error = await #expect(throws: LockerError.self) { try await fake.open("wall/1") }
        #expect(error?.code == .linkDown)
        #expect(error?.message == "connection refused")
        #expect(error?.fired == .no)
        let end = fake.clock.now + .seconds(30)
        try await fake.turn("a long outage", step: .milliseconds(100)) { fake.clock.now >= end }
        // It comes back, and nobody has noticed yet.
        wall.state.withLock { $0.onRead = nil }
        #expect(try await fake.open("wall/1").outcome == .opened)
    }

    @Test func isAskedOnceForAllWhoWaitAndForNobodyWhoWasCancelled() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101, lockers: 40)]) {
            FakeController(clock: $1, lockers: 40)
        }
        let wall = try #require(fake.boards["wall"])
        wall.state.withLock { $0.onRead = LockerError(.linkDown, "connection refused") }
        try await fake.turn("faulted") { fake.site.snapshot.controller("wall")?.state == .faulted }
        let end = fake.clock.now + .seconds(30)
        try await fake.turn("a long outage", step: .milliseconds(100)) { fake.clock.now >= end }
        let idle = fake.clock.now + .seconds(2)
        try await fake.turn("the last read is old", step: .milliseconds(100)) {
            fake.clock.now >= idle
        }
        let reads = wall.state.withLock(\.reads)
        let opens = (1...40).map { number in
            Task { try await fake.ask("wall/\(number)") }
        }
        try await settle("all ended") { try fake.count("operation.done") == 40 }
        for open in opens {
            await #expect(throws: LockerError(.linkDown, "connection refused")) {
                try await open.value
            }
        }
        #expect(wall.state.withLock(\.reads) - reads <= 2)
        #expect(fake.site.snapshot.controller("wall")?.reason == "connection refused")
    }

    @Test func whoseModuleKeepsStartingLetsACancelThroughAtOnce() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        await fake.connector.send(.down(reason: "died", restarts: 0), link: "wall")
        await fake.connector.send(.starting(restarts: 1), link: "wall")
        let all = try await fake.openAll(wait: .zero)
        let one = Task { try await fake.ask("wall/1", deadline: .milliseconds(100)) }
        try await fake.turn("the deadline passes", step: .milliseconds(1)) {
            try fake.count("operation.done") == 1
        }
        await #expect(throws: LockerError.expired) { try await one.value }
        // The clock stands still: nothing has to pass before the answer.
        let cancelled = try await fake.site.cancel(all.id)
        #expect(cancelled.fired == [])
        #expect(cancelled.notFired.count == 4)
    }

    @Test func graceOfAStartIsGivenOnceAndNotToEachLocker() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101, lockers: 4)])
        await fake.connector.send(.down(reason: "died", restarts: 0), link: "wall")
        await fake.connector.send(.starting(restarts: 1), link: "wall")
        let began = fake.clock.now
        let all = try await fake.openAll(wait: .zero)
        try await fake.turn("it ends") { try await fake.site.operation(all.id).state == .done }
        #expect(began.duration(to: fake.clock.now) < Lane.startGrace + .seconds(1))
    }
}

/// What a site says of itself.
@Suite struct TruthfulSiteTests {
    @Test func aDoorThatCouldNotBeReadInBetweenHasMovedAllTheSame() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        for door in [DoorState.closed, .unknown, .open, .unknown, .open, .closed] {
            fake.clock.advance(by: .milliseconds(1))
            fake.site.context.note(
                [DoorReading(locker: 1, door: door, takenAt: fake.clock.now)], controller: "wall")
        }
        #expect(try fake.count("door.opened") == 1)
        #expect(try fake.count("door.closed") == 1)
    }

    @Test func aBadFileNamedLikeAControllerElsewhereHidesNobody() async throws {
        let hall = LinkPlan(
            name: "hall", driver: "fake", controllers: FakeSite.link("yard", firstID: 1).controllers
        )
        let bad = LinkPlan(name: "yard", driver: "", problems: ["links.d/yard.toml:1: not TOML"])
        for links in [[hall, bad], [bad, hall]] {
            let fake = try await FakeSite(links)
            #expect(fake.site.snapshot.controller("yard")?.state == .ready)
            #expect(fake.site.snapshot.controller("link:yard")?.state == .faulted)
            #expect(fake.site.snapshot.read { $0.health.level } == .degraded)
            #expect(try await fake.open("yard/1").outcome == .opened)
        }
    }

    @Test func aStopWaitsForLinksThatAReloadIsStillEnding() async throws {
        let fake = try await FakeSite([
            FakeSite.link("wall", firstID: 101), FakeSite.link("yard", firstID: 201),
        ])
        fake.connector.holdEnds()
        var next = fake.plan
        next.links.removeLast()
        let reload = Task { await fake.site.reload(next) }
        try await settle("the link is being ended") {
            fake.connector.isEnding.withLock { $0 } == ["yard"]
        }
        let isStopped = Flag()
        let stop = Task {
            await fake.site.stop()
            isStopped.raise()
        }
        try await settle("both are being ended") {
            fake.connector.isEnding.withLock { $0.count } == 2
        }
        fake.connector.releaseEnd(of: "wall")
        for _ in 0..<1000 { await Task.yield() }
        #expect(!isStopped.isRaised)
        fake.connector.releaseEnd(of: "yard")
        await stop.value
        _ = await reload.value
        #expect(fake.connector.ended.withLock { $0.sorted() } == ["wall", "yard"])
    }

    @Test func aDeviceThatIsSilentForLongMakesRoom() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        for number in 1...Site.deviceLimit {
            try await fake.site.noteDevice("d\(number)", state: "ok", peer: FakeSite.peer)
        }
        let refused = await #expect(throws: LockerError.self) {
            try await fake.site.noteDevice("one more", state: "ok", peer: FakeSite.peer)
        }
        #expect(refused?.code == .busy)
        fake.clock.advance(by: Site.deviceSilence)
        try await fake.site.noteDevice("d1", state: "ok", peer: FakeSite.peer)
        try await fake.site.noteDevice("one more", state: "ok", peer: FakeSite.peer)
        #expect(try fake.count("device.state") == Site.deviceLimit + 1)
    }
}

/// What a key stands for.
@Suite struct RepeatedRequestTests {
    @Test func anotherTokenIsAnotherRequest() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        func open(_ auth: String) async throws(LockerError) -> OperationView {
            try await fake.site.open(
                OpenRequest(
                    locker: .id(101), key: "k",
                    token: OpenToken(payload: "p", payloadAuth: auth), peer: FakeSite.peer),
                wait: .zero)
        }
        _ = try await open("a")
        #expect(try await open("a").isReplayed)
        let error = await #expect(throws: LockerError.self) { try await open("b") }
        #expect(error?.code == .keyReused)
    }

    @Test func anOpenAllIsToldByWhatWasAskedForAndNotByWhatTheSiteHas() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        func openAll(_ lockers: [LockerSelector]?) async throws(LockerError) -> OperationView {
            try await fake.site.openAll(
                OpenAllRequest(lockers: lockers, key: "k", peer: FakeSite.peer), wait: .zero,
                progress: { _ in })
        }
        let first = try await openAll(nil)
        var next = fake.plan
        next.links.append(FakeSite.link("yard", firstID: 201))
        _ = await fake.site.reload(next)
        #expect(try await openAll(nil).id == first.id)
        let error = await #expect(throws: LockerError.self) {
            try await openAll((101...104).map { .id($0) })
        }
        #expect(error?.code == .keyReused)
    }

    @Test func anOpenAllThatWasNarrowedByRightsIsToldByItsOwnWordsToo() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        func openAll(_ allowed: ClosedRange<Int>) async throws(LockerError) -> OperationView {
            try await fake.site.openAll(
                OpenAllRequest(
                    bank: "main", lockers: allowed.map { .id($0) }, asked: .some(nil), key: "k",
                    peer: FakeSite.peer), wait: .zero, progress: { _ in })
        }
        let first = try await openAll(101...103)
        #expect(try await openAll(101...104).id == first.id)
    }

    @Test func theSameLockersByOtherNamesAreTheSame() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        func openAll(_ lockers: [LockerSelector]) async throws(LockerError) -> OperationView {
            try await fake.site.openAll(
                OpenAllRequest(lockers: lockers, key: "k", peer: FakeSite.peer), wait: .zero,
                progress: { _ in })
        }
        let first = try await openAll([.id(101), .address("wall/2")])
        #expect(try await openAll([.id(102), .address("wall/1")]).id == first.id)
    }

    @Test func operationsUnderWayAreBoundedByTheirLockers() async throws {
        let count = 40_000
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 1, lockers: count)]) {
            FakeController(clock: $1, lockers: count)
        }
        fake.boards["wall"]?.holdOpens()
        for _ in 0..<3 { _ = try await fake.openAll(wait: .zero) }
        let error = await #expect(throws: LockerError.self) { try await fake.openAll(wait: .zero) }
        #expect(error?.code == .busy)
        #expect(error?.fired == .no)
        fake.boards["wall"]?.release()
    }
}
