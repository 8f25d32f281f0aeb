import LockerKit
import LockerKitTesting
import Locks
import SiteModel
import TestSupport
import Testing

@testable import LockerCore

/// What can go wrong between the request and the coil.
@Suite struct HazardTests {
    @Test func whatIsFlaggedWhileItWaitsIsNotFired() async throws {
        let fake = try await FakeSite(
            [FakeSite.link("wall", firstID: 101, supply: "psu")],
            supplies: ["psu": SupplyGroup(atOnce: 1, gap: .seconds(1))])
        let view = try await fake.openAll(wait: .zero)
        try await settle("the first fires") { fake.boards["wall"]?.opens == [1] }
        _ = try await fake.site.setService(
            ServiceRequest(locker: .id(103), outOfService: true, peer: FakeSite.peer))
        try await fake.turn("it ends", step: .milliseconds(50)) {
            try await fake.site.operation(view.id).state == .done
        }
        #expect(fake.boards["wall"]?.opens == [1, 2, 4])
        let results = try await fake.site.operation(view.id).results
        #expect(results[2].ending == .skipped(reason: "out of service"))
    }

    @Test func otherFiguresForASupplyDoNotMakeASecondSupply() async throws {
        let fake = try await FakeSite(
            [
                FakeSite.link("wall", firstID: 101, supply: "psu"),
                FakeSite.link("yard", firstID: 201, supply: "psu"),
            ], supplies: ["psu": SupplyGroup(atOnce: 1, gap: .zero)])
        let wall = try #require(fake.boards["wall"])
        wall.holdOpens()
        _ = try await fake.ask("wall/1", wait: .zero)
        try await settle("it fires") { wall.opens == [1] }
        var next = fake.plan
        next.supplyGroups["psu"] = SupplyGroup(atOnce: 1, gap: .milliseconds(10))
        _ = await fake.site.reload(next)
        let second = try await fake.ask("yard/1", wait: .zero)
        for _ in 0..<1000 { await Task.yield() }
        #expect(fake.boards["yard"]?.opens == [])
        wall.release()
        try await fake.turn("the second one fires") {
            try await fake.site.operation(second.id).state == .done
        }
        #expect(fake.boards["yard"]?.opens == [1])
    }

    @Test func aFileThatIsBrokenForAMinuteDoesNotPutLockersBackIntoService() async throws {
        let fake = try await FakeSite([
            FakeSite.link("wall", firstID: 101), FakeSite.link("yard", firstID: 201),
        ])
        _ = try await fake.site.setService(
            ServiceRequest(locker: .id(201), outOfService: true, peer: FakeSite.peer))
        var broken = fake.plan
        broken.links[1] = LinkPlan(name: "yard", driver: "", problems: ["links.d/yard.toml:1: no"])
        _ = await fake.site.reload(broken)
        #expect(fake.site.snapshot.locker(.id(201)) == nil)
        _ = await fake.site.reload(fake.plan)
        #expect(fake.site.snapshot.locker(.id(201))?.service.outOfService == true)
    }

    @Test func aModuleThatClaimsADaysPulseHoldsTheSupplyNoLongerThanTheCap() async throws {
        let fake = try await FakeSite(
            [FakeSite.link("wall", firstID: 101, supply: "psu", sensor: false)],
            supplies: ["psu": SupplyGroup(atOnce: 1, gap: .zero)])
        fake.boards["wall"]?.state.withLock {
            $0.onOpen[1] = .success(OpenReport(evidence: .echo, pulse: .seconds(86_400)))
        }
        _ = try await fake.open("wall/1")
        let started = fake.clock.now
        _ = try await fake.open("wall/2")
        #expect(started.duration(to: fake.clock.now) <= Limits.longestPulse + .seconds(1))
    }

    @Test func aDoorThatWasNotReadAfterThePulseIsNotJammed() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        let board = try #require(fake.boards["wall"])
        board.state.withLock {
            // The board times the pulse, so this reading was taken while the coil was still on.
            $0.onOpen[1] = .success(
                OpenReport(evidence: .echo, doorAfter: .closed, pulse: .milliseconds(200)))
            $0.onRead = LockerError(.linkDown, "gone")
        }
        let view = try await fake.open("wall/1")
        #expect(view.outcome == .pulsed)
        #expect(view.evidence == .echo)
        #expect(try fake.count("lock.jammed") == 0)
    }

    @Test func anOldReadingOfAClosedDoorProvesNothing() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        let board = try #require(fake.boards["wall"])
        board.state.withLock { $0.onRead = LockerError(.linkDown, "gone") }
        try await fake.turn("faulted") { fake.site.snapshot.controller("wall")?.state == .faulted }
        fake.clock.advance(by: .seconds(60))
        board.state.withLock {
            $0.onOpen[1] = .failure(LockerError(.timedOut, "lost", fired: .unknown, sent: .yes))
            $0.doors[1] = .open
            $0.onRead = nil
        }
        let view = try await fake.open("wall/1")
        #expect(view.outcome == .unknown)
        #expect(try fake.count("lock.fired") == 0)
    }

    @Test func aLockerTakesSoManyOpensAndNoMore() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        let board = try #require(fake.boards["wall"])
        board.holdOpens()
        _ = try await fake.ask("wall/1", wait: .zero)
        try await settle("it fires") { board.opens == [1] }
        for _ in 0..<Site.waitingOpensLimit { _ = try await fake.ask("wall/1", wait: .zero) }
        let gate = await fake.site.gate("wall/1")
        try await settle("all wait") { gate.waiting == Site.waitingOpensLimit }
        let error = await #expect(throws: LockerError.self) {
            try await fake.ask("wall/1", wait: .zero)
        }
        #expect(error?.code == .busy)
        #expect(error?.fired == .no)
        board.release()
    }

    @Test func theSiteTakesSoManyOperationsAndNoMore() async throws {
        let fake = try await FakeSite([
            FakeSite.link("wall", firstID: 1, lockers: OperationStore.pendingLimit + 1)
        ]) { FakeController(clock: $1, lockers: OperationStore.pendingLimit + 1) }
        let board = try #require(fake.boards["wall"])
        board.holdOpens()
        for number in 1...OperationStore.pendingLimit {
            _ = try await fake.ask("wall/\(number)", wait: .zero)
        }
        let error = await #expect(throws: LockerError.self) {
            try await fake.ask("wall/\(OperationStore.pendingLimit + 1)", wait: .zero)
        }
        #expect(error?.code == .busy)
        board.release()
    }

    @Test func anOutputThatCannotBeSwitchedOffIsACauseUntilItIs() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        let board = try #require(fake.boards["wall"])
        let stuck = LockerError(.outputStuck, "coil 0 may still be on", fired: .yes, sent: .yes)
        board.state.withLock {
            $0.onOpen[1] = .failure(stuck)
            $0.onRead = LockerError(.outputStuck, "coil 0 may still be on")
        }
        await #expect(throws: stuck) { try await fake.open("wall/1") }
        let health = fake.site.snapshot.read { $0.health }
        #expect(
            health.causes
                == [.init(code: "output-stuck", subject: "wall", message: "coil 0 may still be on")]
        )
        board.state.withLock { $0.onRead = nil }
        try await fake.turn("it is off") { fake.site.snapshot.read { $0.health.level } == .ok }
    }

    @Test func anOutputInDoubtStaysSoWhenItsModuleGoes() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        let board = try #require(fake.boards["wall"])
        board.state.withLock { $0.onRead = LockerError(.outputStuck, "coil 0 may still be on") }
        var wall: ControllerView? { fake.site.snapshot.controller("wall") }
        try await fake.turn("it is in doubt") { wall?.hasStuckOutput == true }
        // A driver that says no more than that its cable is gone takes nothing back either.
        board.state.withLock { $0.onRead = LockerError(.linkDown, "no carrier") }
        try await fake.turn("its cable is gone") {
            wall?.reason == "an output may still be energised; no carrier"
        }
        #expect(wall?.hasStuckOutput == true)
        await fake.connector.send(.down(reason: "killed", restarts: 0), link: "wall")
        #expect(wall?.hasStuckOutput == true)
        #expect(wall?.reason == "an output may still be energised; killed")
        #expect(fake.site.snapshot.read { $0.health.causes.map(\.code) } == ["output-stuck"])
        await fake.connector.send(.starting(restarts: 1), link: "wall")
        #expect(wall?.hasStuckOutput == true)
        board.state.withLock { $0.onRead = nil }
        await fake.connector.send(
            .ready(controllers: fake.connector.controllers, restarts: 1), link: "wall")
        try await fake.turn("it answers again") { wall?.state == .ready }
        #expect(wall?.hasStuckOutput == false)
    }

    @Test(arguments: [nil, "coil 3 may still be on"])
    func aStopSaysWhetherAnOutputIsInDoubt(doubt: String?) async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        if let doubt {
            await fake.connector.send(
                .stuckAtRest(controller: "wall", reason: doubt), link: "wall")
        }
        await fake.site.stop()
        let wall = try #require(fake.site.snapshot.controller("wall"))
        #expect(wall.state == .stopped)
        #expect(wall.hasStuckOutput == (doubt != nil))
        #expect(wall.reason == doubt)
    }

    @Test func onlyAnAnsweredReadOfTheDoorsEndsADoubt() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        let board = try #require(fake.boards["wall"])
        let stuck = LockerError(.outputStuck, "coil 0 may still be on", fired: .yes, sent: .yes)
        board.state.withLock {
            $0.onOpen[1] = .failure(stuck)
            $0.onRead = LockerError(.outputStuck, "coil 0 may still be on")
        }
        await #expect(throws: stuck) { try await fake.open("wall/1") }
        // Another lock that fires, and a report that nobody asked for, say nothing of that coil.
        _ = try await fake.ask("wall/2", wait: .zero)
        try await fake.turn("another one fired") { board.opens == [1, 2] }
        await fake.connector.send(
            .doors(
                controller: "wall",
                doors: [DoorReading(locker: 3, door: .open, takenAt: fake.clock.now)]),
            link: "wall")
        #expect(fake.site.snapshot.controller("wall")?.hasStuckOutput == true)
        await fake.site.stop()
        #expect(fake.site.snapshot.controller("wall")?.hasStuckOutput == true)
    }

    @Test func aDriverThatHangsDoesNotKeepTheSupplyFromOtherLinks() async throws {
        let fake = try await FakeSite(
            [
                FakeSite.link("wall", firstID: 101, supply: "psu"),
                FakeSite.link("yard", firstID: 201, supply: "psu"),
            ], supplies: ["psu": SupplyGroup(atOnce: 2, gap: .zero)])
        let wall = try #require(fake.boards["wall"])
        wall.holdOpens()
        // The first may have a coil on and keeps its place; those behind it have none.
        for number in 1...4 { _ = try await fake.ask("wall/\(number)", wait: .zero) }
        try await settle("the first one hangs") { wall.opens == [1] }
        #expect(try await fake.open("yard/1").outcome == .opened)
        let all = try await fake.openAll(controller: "yard", wait: .zero)
        try await fake.turn("the other link ends") {
            try await fake.site.operation(all.id).state == .done
        }
        wall.release()
    }

    @Test func anOpenAllLeavesNothingPendingBehind() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        let view = try await fake.openAll(wait: .zero)
        try await fake.turn("it ends") { try await fake.site.operation(view.id).state == .done }
        _ = try await fake.open("wall/1")
        #expect(await fake.site.pendingOperations == 0)
    }
}

extension Site {
    fileprivate var pendingOperations: Int { operations.pendingCount }
}
