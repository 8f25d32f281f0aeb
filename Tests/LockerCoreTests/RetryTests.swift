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

    private func silence() async throws -> (fake: FakeSite, board: FakeController) {
        let (fake, board) = try await site()
        board.state.withLock { state in
            let silence = LockerError(.timedOut, "no answer", fired: .no, sent: .yes)
            state.onRead = silence
            for locker in 1...4 { state.onOpen[locker] = .failure(silence) }
        }
        try await fake.turn("three reads are missed") {
            fake.site.snapshot.controller("wall")?.state == .faulted
        }
        return (fake, board)
    }

    /// Each try is a time-out on a line that others wait for.
    @Test func neverWhereTheBoardHasBeenSilentForLong() async throws {
        let (fake, board) = try await silence()
        let failed = await #expect(throws: LockerError.self) { try await fake.open("wall/1") }
        #expect(failed?.code == .timedOut && failed?.fired == .no && failed?.sent == .no)
        #expect(failed?.message == "the board is silent: no answer")
        #expect(board.opens == [])
    }

    /// However many would open something, within a second it is asked once; when it is back, the next one fires.
    @Test func aSilentBoardIsAskedOnceForAllWhoWouldOpen() async throws {
        let (fake, board) = try await silence()
        let known = try #require(board.state.withLock(\.readAt))
        let reads = board.state.withLock(\.reads)
        // Just not yet due for a read of its own.
        try await fake.turn("what is known of it is old", step: .milliseconds(1)) {
            known.duration(to: fake.clock.now) >= .milliseconds(990)
        }
        let began = fake.clock.now
        for _ in 0..<3 {
            let view = try await fake.turning {
                try await fake.site.openAll(
                    OpenAllRequest(peer: FakeSite.peer), wait: nil, progress: { _ in })
            }
            let codes = view.results.map { $0.failure?.code }
            #expect(codes == [.timedOut, .timedOut, .timedOut, .timedOut])
        }
        #expect(began.duration(to: fake.clock.now) < .milliseconds(900))
        #expect(board.state.withLock(\.reads) <= reads + 1)
        #expect(board.opens == [])

        board.state.withLock { ($0.onRead, $0.onOpen) = (nil, [:]) }
        try await fake.turn("a second later", step: .milliseconds(1)) {
            began.duration(to: fake.clock.now) >= .seconds(2)
        }
        #expect(try await fake.open("wall/2").results.first?.word == "opened")
        #expect(board.opens == [2])
    }

    /// Those who wait for their turn when it turns out that nobody is there are not sent one after the other.
    @Test func aBoardThatFallsSilentKeepsNobodyForLong() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101, lockers: 16)]) {
            FakeController(clock: $1, lockers: 16, maximumTogether: 16)
        }
        let board = try #require(fake.boards["wall"])
        board.state.withLock { state in
            state.onRead = LockerError(.timedOut, "no answer")
            for locker in 1...16 {
                state.onOpen[locker] = .failure(
                    LockerError(.timedOut, "no answer", fired: .no, sent: .yes))
            }
        }
        let view = try await fake.turning {
            try await fake.site.openAll(
                OpenAllRequest(peer: FakeSite.peer), wait: nil, progress: { _ in })
        }
        let messages = view.results.compactMap { $0.failure?.message }
        #expect(messages.count == 16)
        #expect(Set(messages) == ["no answer", "the board is silent: no answer"])
        #expect(board.opens == [1])
    }

    /// One order without an answer is no reason to keep others waiting where the board answers the next question.
    @Test func anUnansweredOrderCostsTheNextOneARead() async throws {
        let fake = try await FakeSite([FakeSite.link("wall", firstID: 101)])
        let board = try #require(fake.boards["wall"])
        board.state.withLock {
            $0.onOpen[1] = .failure(LockerError(.timedOut, "lost", fired: .no, sent: .yes))
        }
        await #expect(throws: LockerError.self) { try await fake.open("wall/1") }
        let reads = board.state.withLock(\.reads)
        #expect(try await fake.open("wall/2").results.first?.word == "opened")
        #expect(board.state.withLock(\.reads) > reads)
        #expect(board.opens == [1, 2])
    }

    /// Somebody stands before it: a board that hears and cannot be heard opens the door all the same.
    @Test func maintenanceIsSentToASilentBoardOnce() async throws {
        let (fake, board) = try await silence()
        let failed = await #expect(throws: LockerError.self) {
            try await fake.open("wall/1", maintenance: true)
        }
        #expect(failed?.code == .timedOut)
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

extension LockerResult {
    fileprivate var failure: LockerError? {
        if case .failed(let error) = ending { error } else { nil }
    }
}
