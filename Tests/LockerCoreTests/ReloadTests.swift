import LockerKit
import LockerKitTesting
import Locks
import SiteModel
import TestSupport
import Testing

@testable import LockerCore

@Suite struct ReloadTests {
    @Test func touchesOnlyLinksThatChanged() async throws {
        let fake = try await FakeSite([
            FakeSite.link("wall", firstID: 101), FakeSite.link("yard", firstID: 201),
        ])
        _ = try await fake.site.setService(
            ServiceRequest(locker: .id(201), outOfService: true, peer: FakeSite.peer))
        fake.boards["wall"]?.holdOpens()
        let running = try await fake.ask("wall/1", wait: .zero)
        try await settle("it fires") { fake.boards["wall"]?.opens == [1] }

        var next = fake.plan
        next.links[1].controllers[0].lockers[0].name = "left of the door"
        next.links.append(LinkPlan(name: "shed", driver: "", problems: ["links.d/shed.toml:1: no"]))
        let view = await fake.site.reload(next)
        #expect(view.changed == ["yard"])
        #expect(view.unchanged == ["wall"])
        #expect(view.added == ["shed"])
        #expect(view.faulted == ["shed"])
        try await settle("the new one runs") { fake.connector.runs.withLock { $0.count } == 3 }
        #expect(fake.connector.runs.withLock { $0 }.sorted() == ["wall", "yard", "yard"])
        #expect(fake.connector.ended.withLock { $0 } == ["yard"])
        #expect(fake.site.snapshot.locker(.id(201))?.name == "left of the door")
        #expect(fake.site.snapshot.locker(.id(201))?.service.outOfService == true)
        #expect(fake.site.snapshot.controller("wall")?.state == .ready)
        // The open that was under way knows nothing of it.
        fake.boards["wall"]?.release()
        try await fake.turn("it ends") { try await fake.site.operation(running.id).state == .done }
        #expect(try await fake.site.operation(running.id).outcome == .opened)
        #expect(try fake.count("config.reloaded") == 1)
    }

    @Test func aLinkThatIsGoneIsStoppedAndForgotten() async throws {
        let fake = try await FakeSite([
            FakeSite.link("wall", firstID: 101), FakeSite.link("yard", firstID: 201),
        ])
        var next = fake.plan
        next.links.removeLast()
        #expect(await fake.site.reload(next).removed == ["yard"])
        #expect(fake.connector.ended.withLock { $0 } == ["yard"])
        #expect(fake.site.snapshot.controller("yard") == nil)
        let error = await #expect(throws: LockerError.self) { try await fake.open("yard/1") }
        #expect(error?.code == .unknownLocker)
    }

    @Test func nothingChangedTouchesNothing() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        #expect(await fake.site.reload(fake.plan).unchanged == ["wall"])
        #expect(fake.connector.runs.withLock { $0 } == ["wall"])
    }
}

@Suite struct StopTests {
    @Test func letsWhatFiresEndAndRefusesWhatIsNew() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        let board = try #require(fake.boards["wall"])
        board.holdOpens()
        let running = Task { try await fake.ask("wall/1") }
        try await settle("it fires") { board.opens == [1] }
        let stopping = Task { await fake.stop(drain: .seconds(10)) }
        try await settle("it refuses") {
            do throws(LockerError) {
                _ = try await fake.ask("wall/2", wait: .zero)
                return false
            } catch {
                return error.code == .stopping
            }
        }
        board.release()
        try await fake.turning { await stopping.value }
        #expect(try await running.value.outcome == .opened)
        #expect(fake.connector.ended.withLock { $0 } == ["wall"])
        #expect(fake.site.snapshot.controller("wall")?.state == .stopped)
    }

    @Test func whatStillWaitsAfterTheDrainNeverFires() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        let board = try #require(fake.boards["wall"])
        board.holdOpens()
        _ = try await fake.ask("wall/1", wait: .zero)
        try await settle("it fires") { board.opens == [1] }
        let waiting = Task { try await fake.ask("wall/2") }
        try await settle("two are pending") { try fake.count("operation.started") == 2 }
        let stopping = Task { await fake.stop(drain: .seconds(1)) }
        try await fake.turn("the drain is over") { try fake.count("operation.done") == 1 }
        await #expect(throws: LockerError.stopping) { try await waiting.value }
        board.release()
        await stopping.value
        #expect(board.opens == [1])
    }
}
