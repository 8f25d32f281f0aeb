import LockerKit
import LockerKitTesting
import Locks
import SiteModel
import Testing

@testable import LockerCore

/// When an order is given again.
@Suite struct RetryTests {
    private func site() async throws -> (fake: FakeSite, board: FakeController) {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)], retry: .gateway)
        return (fake, try #require(fake.boards["wall"]))
    }

    @Test(arguments: [LockerError.Code.linkDown, .timedOut])
    func threeTimesASecondApartWhereNothingWasSent(code: LockerError.Code) async throws {
        let (fake, board) = try await site()
        board.state.withLock {
            $0.onOpen[1] = .failure(LockerError(code, "connection refused"))
        }
        let failed = await #expect(throws: LockerError.self) { try await fake.open("wall/1") }
        #expect(failed?.code == code)
        let times = board.state.withLock { $0.opens.map(\.at) }
        try #require(times.count == 3)
        #expect(times[0].duration(to: times[1]) >= .seconds(1))
        #expect(times[1].duration(to: times[2]) >= .seconds(1))
        #expect(times[0].duration(to: times[2]) < .seconds(4))
    }

    /// Each try is a time-out on a line that others wait for.
    @Test func onceWhereTheBoardHasBeenSilentForLong() async throws {
        let (fake, board) = try await site()
        let silence = LockerError(.timedOut, "no answer")
        board.state.withLock {
            $0.onRead = silence
            $0.onOpen[1] = .failure(silence)
        }
        try await fake.turn("three reads are missed") {
            fake.site.snapshot.controller("wall")?.state == .faulted
        }
        let failed = await #expect(throws: LockerError.self) { try await fake.open("wall/1") }
        #expect(failed?.code == .timedOut && failed?.fired == .no)
        #expect(board.opens == [1])
    }

    @Test func aSecondTryThatWorksSaysSo() async throws {
        let (fake, board) = try await site()
        board.state.withLock {
            $0.onOpen[1] = .failure(LockerError(.timedOut, "the port was busy"))
        }
        async let view = fake.open("wall/1")
        try await settle("the first try is over") { board.opens == [1] }
        board.state.withLock { $0.onOpen[1] = nil }
        let result = try #require(try await view.results.first)
        #expect(result.word == "opened")
        #expect(result.attempts == 2)
        #expect(try fake.count("lock.fired") == 1)
    }

    @Test(arguments: [
        LockerError(.timedOut, "no answer", fired: .no, sent: .maybe),
        LockerError(.timedOut, "no answer", fired: .no, sent: .yes),
        LockerError(.linkDown, "reset by peer", fired: .no, sent: .yes),
        LockerError(.refused, "illegal data address", fired: .no, sent: .yes),
        LockerError(.refused, "the board says no", fired: .no, sent: .no),
        LockerError(.outputStuck, "coil 1 stays on", fired: .yes, sent: .yes),
        LockerError(.busy, "occupied", fired: .no, sent: .no),
        LockerError(.dutyLimit, "too warm", fired: .no, sent: .no),
        LockerError(.internal, "a bug", fired: .no, sent: .no),
    ])
    func neverWhereItMayHaveBeenSentOrSomebodySaidNo(error: LockerError) async throws {
        let (fake, board) = try await site()
        board.state.withLock { $0.onOpen[1] = .failure(error) }
        let before = fake.clock.now
        let failed = await #expect(throws: LockerError.self) { try await fake.open("wall/1") }
        #expect(failed == error)
        #expect(board.opens == [1])
        #expect(before.duration(to: fake.clock.now) < .seconds(1))
    }

    @Test func notPastTheDeadline() async throws {
        let (fake, board) = try await site()
        board.state.withLock {
            $0.onOpen[1] = .failure(LockerError(.timedOut, "the port was busy"))
        }
        let failed = await #expect(throws: LockerError.self) {
            try await fake.open("wall/1", deadline: .milliseconds(1500))
        }
        #expect(failed?.code == .timedOut)
        #expect(board.opens == [1, 1])
    }

    @Test func cancelEndsThePauseAtOnceAndNothingMoreFires() async throws {
        let (fake, board) = try await site()
        board.state.withLock {
            $0.onOpen[1] = .failure(LockerError(.timedOut, "the port was busy"))
        }
        let view = try await fake.ask("wall/1", wait: .zero)
        try await settle("the first try is over, the pause has begun") { board.opens == [1] }
        let cancelled = try await fake.site.cancel(view.id)
        #expect(cancelled.state == .cancelled)
        #expect(cancelled.fired.isEmpty)
        #expect(board.opens == [1])
    }

    @Test func oneLockersRetriesKeepNoOtherWaiting() async throws {
        let (fake, board) = try await site()
        board.state.withLock {
            $0.onOpen[1] = .failure(LockerError(.timedOut, "the port was busy"))
        }
        let view = try await fake.turning {
            try await fake.site.openAll(
                OpenAllRequest(peer: FakeSite.peer), wait: nil, progress: { _ in })
        }
        #expect(view.results.map(\.attempts) == [3, 1, 1, 1])
        #expect(OpenAllSummary(view.results).opened == 3)
        let opens = board.state.withLock { $0.opens }
        let last = try #require(opens.last { $0.locker != 1 })
        let second = try #require(opens.filter { $0.locker == 1 }.dropFirst().first)
        #expect(last.at < second.at)
    }
}
