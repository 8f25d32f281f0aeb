import LockerKit
import LockerKitTesting
import Locks
import SiteModel
import TestSupport
import Testing

@testable import LockerCore

@Suite struct IdempotencyTests {
    @Test func fiftyRequestsWithOneKeyFireOnce() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        let views = try await withThrowingTaskGroup(of: OperationView.self) { group in
            for _ in 0..<50 { group.addTask { try await fake.open("wall/1", key: "k") } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(fake.boards["wall"]?.opens == [1])
        #expect(Set(views.map(\.id)).count == 1)
        #expect(views.count { $0.isReplayed } == 49)
        #expect(views.allSatisfy { $0.outcome == .opened })
    }

    @Test func refusesAKeyWithOtherParameters() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        let first = try await fake.open("wall/1", key: "k")
        let error = await #expect(throws: LockerError.self) {
            try await fake.open("wall/2", key: "k")
        }
        #expect(error?.code == .keyReused)
        #expect(error?.message.contains(first.id) == true)
        #expect(fake.boards["wall"]?.opens == [1])
    }

    @Test func repeatsAFailureTooAndFiresNothing() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        fake.boards["wall"]?.state.withLock {
            $0.onOpen[1] = .failure(LockerError(.refused, "no"))
        }
        for _ in 0..<2 {
            await #expect(throws: LockerError(.refused, "no")) {
                try await fake.open("wall/1", key: "k")
            }
        }
        #expect(fake.boards["wall"]?.opens == [1])
    }

    @Test func aRefusedRequestDoesNotSpendItsKey() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        await #expect(throws: LockerError.expired) {
            try await fake.open("wall/1", key: "k", deadline: .zero)
        }
        #expect(try await fake.open("wall/1", key: "k").isReplayed == false)
    }
}

@Suite struct DeadlineTests {
    @Test func zeroIsAlreadyExpired() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        await #expect(throws: LockerError.expired) {
            try await fake.open("wall/1", deadline: .zero)
        }
        #expect(fake.boards["wall"]?.opens == [])
    }

    @Test func anOrderThatExpiredInTheQueueNeverFiresLater() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        let board = try #require(fake.boards["wall"])
        board.holdOpens()
        _ = try await fake.ask("wall/1", wait: .zero)
        try await settle("the first one fires") { board.opens == [1] }
        let late = Task { try await fake.ask("wall/2", deadline: .milliseconds(500)) }
        try await fake.turn("the deadline passes") { try fake.count("operation.done") == 1 }
        await #expect(throws: LockerError.expired) { try await late.value }
        board.release()
        try await fake.turn("the first one ends") { try fake.count("operation.done") == 2 }
        #expect(try await fake.open("wall/3").outcome == .opened)
        #expect(board.opens == [1, 3])
    }
}

@Suite struct CancelTests {
    @Test func whatWaitsIsNotFired() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        let board = try #require(fake.boards["wall"])
        board.holdOpens()
        let first = try await fake.ask("wall/1", wait: .zero)
        try await settle("the first one fires") { board.opens == [1] }
        let second = try await fake.ask("wall/2", wait: .zero)
        let cancelled = try await fake.site.cancel(second.id)
        #expect(cancelled.state == .cancelled)
        #expect(cancelled.fired.isEmpty)
        #expect(cancelled.notFired.map(\.address) == ["wall/2"])
        async let tooLate = fake.site.cancel(first.id)
        board.release()
        try await fake.turn("the first one ends") { try fake.count("operation.done") == 2 }
        #expect(try await tooLate.fired.map(\.address) == ["wall/1"])
        #expect(try await tooLate.notFired.isEmpty)
        #expect(board.opens == [1])
    }

    @Test func ofAnOpenAllSaysExactlyWhatFired() async throws {
        let fake = try await FakeSite(
            [FakeSite.link("wall", firstID: 101, lockers: 20, supply: "psu")],
            supplies: ["psu": SupplyGroup(atOnce: 1, gap: .milliseconds(250))])
        let view = try await fake.openAll(wait: .zero)
        try await fake.turn("some fired") { (fake.boards["wall"]?.opens.count ?? 0) >= 3 }
        async let cancel = fake.site.cancel(view.id)
        try await fake.turn("it ends") { try fake.count("operation.done") == 1 }
        let cancelled = try await cancel
        #expect(cancelled.fired.map(\.id) == fake.boards["wall"]?.opens.map { $0 + 100 })
        #expect(cancelled.fired.count + cancelled.notFired.count == 20)
        let result = try await fake.site.operation(view.id)
        #expect(result.state == .cancelled)
        #expect(OpenAllSummary(result.results).skipped == cancelled.notFired.count)
    }

    @Test func knowsNoOtherOperations() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        await #expect(throws: LockerError(.unknownOperation, "no operation op-x")) {
            try await fake.site.cancel("op-x")
        }
    }
}

@Suite struct OpenAllTests {
    @Test func opensInOrderWithinTheSupplyAndCountsEach() async throws {
        let fake = try await FakeSite(
            [
                FakeSite.link("wall", firstID: 101, lockers: 6, supply: "psu", excluded: [6]),
                FakeSite.link("yard", firstID: 201, lockers: 6, supply: "psu"),
            ], supplies: ["psu": SupplyGroup(atOnce: 2, gap: .milliseconds(250))])
        _ = try await fake.site.setService(
            ServiceRequest(
                locker: .id(102), outOfService: true, reasonCode: "LOCK_MALFUNCTION",
                peer: FakeSite.peer))
        fake.boards["yard"]?.state.withLock {
            $0.onOpen[5] = .failure(LockerError(.refused, "no", sent: .yes))
        }
        let progress = Mutex<[OpenAllProgress]>([])
        let running = Task {
            try await fake.site.openAll(OpenAllRequest(peer: FakeSite.peer), wait: nil) { step in
                progress.withLock { $0.append(step) }
            }
        }
        try await fake.turn("it ends") { try fake.count("operation.done") == 1 }
        let view = try await running.value
        var wanted = OpenAllSummary()
        wanted.opened = 9
        wanted.failed = 1
        wanted.skipped = 2
        #expect(OpenAllSummary(view.results) == wanted)
        #expect(view.results.map(\.locker.id) == Array(101...106) + Array(201...206))
        #expect(view.results[1].ending == .skipped(reason: "out of service"))
        #expect(view.results[5].ending == .skipped(reason: "excluded from open-all"))
        #expect(progress.withLock { $0.map(\.done) } == Array(1...12))
        #expect(fake.boards["wall"]?.opens == [1, 3, 4, 5])
    }

    @Test func neverHasMoreCoilsOnThanTheSupplyTakes() async throws {
        let fake = try await FakeSite(
            (0..<4).map { FakeSite.link("w\($0)", firstID: 100 * ($0 + 1), supply: "psu") },
            supplies: ["psu": SupplyGroup(atOnce: 2, gap: .zero)]
        ) { FakeController(clock: $1, pulseTiming: .host) }
        for board in fake.boards.values { board.holdOpens() }
        _ = try await fake.openAll(wait: .zero)
        var most = 0
        try await settle("all are open") {
            let on = fake.boards.values.reduce(0) { $0 + $1.state.withLock(\.energised) }
            most = max(most, on)
            if on == 2 { for board in fake.boards.values { board.release(); board.holdOpens() } }
            if on < 2 {
                for board in fake.boards.values where board.state.withLock(\.held.count) > 0 {
                    board.release(); board.holdOpens()
                }
            }
            return try fake.count("lock.fired") == 16
        }
        for board in fake.boards.values { board.release() }
        #expect(most == 2)
    }

    @Test func keepsAPlaceUntilTheBoardsOwnPulseIsOver() async throws {
        let fake = try await FakeSite(
            [FakeSite.link("wall", firstID: 101, lockers: 3, supply: "psu")],
            supplies: ["psu": SupplyGroup(atOnce: 1, gap: .zero)])
        _ = try await fake.openAll(wait: .zero)
        for fired in 1...2 {
            try await settle("\(fired) fired") { fake.boards["wall"]?.opens.count == fired }
            fake.clock.advance(by: .milliseconds(199))
            for _ in 0..<1000 { await Task.yield() }
            #expect(fake.boards["wall"]?.opens.count == fired)
            fake.clock.advance(by: .milliseconds(1))
        }
        try await settle("all fired") { fake.boards["wall"]?.opens == [1, 2, 3] }
    }

    @Test func grantsPulsesAGapApartWhoeverAsks() async throws {
        let clock = ManualClock()
        let supply = SupplyLine(SupplyGroup(atOnce: 4, gap: .milliseconds(250)), clock: clock)
        let granted = try await withThrowingTaskGroup(of: ContinuousClock.Instant.self) { group in
            for _ in 0..<20 { group.addTask { try await supply.start().start } }
            let turner = Task {
                while !Task.isCancelled {
                    clock.advance(by: .milliseconds(50))
                    await Task.yield()
                }
            }
            defer { turner.cancel() }
            return try await group.reduce(into: []) { $0.append($1) }.sorted()
        }
        for (first, second) in zip(granted, granted.dropFirst()) {
            #expect(first.duration(to: second) >= .milliseconds(250))
        }
    }

    @Test func namesAWrongScope() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        await #expect(throws: LockerError(.unknownController, "no controller yard")) {
            try await fake.openAll(controller: "yard")
        }
        await #expect(throws: LockerError(.invalidRequest, "no locker in bank east matches")) {
            try await fake.openAll(bank: "east")
        }
    }

    @Test func oneKeyOpensTheWallOnce() async throws {
        let fake = try await FakeSite(
            [FakeSite.link("wall", firstID: 101, supply: "psu")],
            supplies: ["psu": SupplyGroup(atOnce: 4, gap: .zero)])
        let first = try await fake.openAll(key: "k", wait: .zero)
        try await fake.turn("it ends") { try fake.count("operation.done") == 1 }
        let again = try await fake.openAll(key: "k")
        #expect(again.id == first.id)
        #expect(again.isReplayed)
        #expect(fake.boards["wall"]?.opens.sorted() == [1, 2, 3, 4])
    }
}

@Suite struct ServiceTests {
    @Test func outOfServiceRefusesAllButMaintenance() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        _ = try await fake.site.setService(
            ServiceRequest(
                locker: .id(101), outOfService: true, reasonCode: "LOCK_MALFUNCTION",
                reason: "coil open", peer: FakeSite.peer))
        let error = await #expect(throws: LockerError.self) { try await fake.open("wall/1") }
        #expect(error?.code == .conflict)
        #expect(error?.message.contains("LOCK_MALFUNCTION: coil open") == true)
        #expect(fake.boards["wall"]?.opens == [])
        #expect(try await fake.open("wall/1", maintenance: true).outcome == .opened)
    }

    @Test func comingBackClearsCodeAndReasonUnlessGiven() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        func set(_ change: (inout ServiceRequest) -> Void) async throws -> ServiceState {
            var request = ServiceRequest(locker: .id(101), peer: FakeSite.peer)
            change(&request)
            return try await fake.site.setService(request).locker.service
        }
        var wanted = ServiceState()
        wanted.outOfService = true
        wanted.reasonCode = "X"
        wanted.reason = "y"
        #expect(
            try await set {
                $0.outOfService = true
                $0.reasonCode = "X"
                $0.reason = "y"
            } == wanted)
        // Saying it again without a reason leaves the reason.
        #expect(try await set { $0.outOfService = true } == wanted)
        #expect(try await set { $0.outOfService = false } == ServiceState())
        #expect(
            try await set {
                $0.outOfService = false
                $0.reason = "new lock"
            }.reason == "new lock")
        #expect(try fake.count("service.changed") == 3)
    }
}

extension FakeSite {
    func openAll(
        controller: String? = nil, bank: String? = nil, key: String? = nil, wait: Duration? = nil
    ) async throws(LockerError) -> OperationView {
        try await site.openAll(
            OpenAllRequest(controller: controller, bank: bank, key: key, peer: Self.peer),
            wait: wait, progress: { _ in })
    }
}
