import LockerKit
import LockerKitTesting
import Locks
import SiteModel
import Testing

@testable import LockerCore

/// What keeps a coil from burning.
@Suite struct CoilTests {
    private let address = "wall/1"
    private let start = ContinuousClock.now

    private func fires(
        _ book: DutyBook, every pause: Duration, pulse: Duration, plan: CoilPlan, for time: Duration
    ) -> Int {
        var count = 0
        var now = start
        while now < start + time {
            if book.limit(address, pulse: pulse, plan: plan, now: now) == nil {
                book.charge(address, pulse: pulse, plan: plan, now: now)
                book.settle(address, pulse: pulse, offAt: now)
                count += 1
            }
            now += pause
        }
        return count
    }

    @Test func noMoreThanTheShareOfTimeEver() {
        let plan = CoilPlan(
            rest: .zero, opensPerMinute: 6000, dutyPercent: 10, burst: .seconds(5))
        let count = fires(
            DutyBook(), every: .milliseconds(500), pulse: .milliseconds(500), plan: plan,
            for: .seconds(3600))
        // The burst once, and a tenth of the hour: 365 s of pulses.
        #expect((728...731).contains(count))
    }

    @Test func saysWhenItWillBePossibleAgainAndThenItIs() throws {
        let plan = CoilPlan(
            rest: .zero, opensPerMinute: 6000, dutyPercent: 20, burst: .seconds(2))
        let book = DutyBook()
        book.charge(address, pulse: .seconds(2), plan: plan, now: start)
        book.settle(address, pulse: .seconds(2), offAt: start)
        // Off for as long as it was on, it has rested off 20 % of that; half a second more than fits now needs 100 ms of room.
        var now = start + .seconds(2)
        let limit = try #require(
            book.limit(address, pulse: .milliseconds(500), plan: plan, now: now))
        #expect(limit.kind == .duty)
        #expect(limit.wait == .milliseconds(500))
        now += limit.wait - .milliseconds(1)
        #expect(book.limit(address, pulse: .milliseconds(500), plan: plan, now: now) != nil)
        now += .milliseconds(1)
        #expect(book.limit(address, pulse: .milliseconds(500), plan: plan, now: now) == nil)
    }

    @Test func soManyPulsesInAnyMinute() throws {
        let plan = CoilPlan(
            rest: .zero, opensPerMinute: 3, dutyPercent: 100, burst: .seconds(600))
        let book = DutyBook()
        for second in 0..<3 {
            let now = start + .seconds(second * 10)
            #expect(book.limit(address, pulse: .milliseconds(10), plan: plan, now: now) == nil)
            book.charge(address, pulse: .milliseconds(10), plan: plan, now: now)
        }
        let limit = try #require(
            book.limit(
                address, pulse: .milliseconds(10), plan: plan, now: start + .seconds(25)))
        #expect(limit.kind == .rate)
        #expect(limit.wait == .seconds(35))
        #expect(
            book.limit(address, pulse: .milliseconds(10), plan: plan, now: start + .seconds(60))
                == nil)
    }

    @Test func whatDidNotFireCostsNothing() {
        let plan = CoilPlan(opensPerMinute: 1)
        let book = DutyBook()
        book.charge(address, pulse: .seconds(1), plan: plan, now: start)
        book.giveBack(address)
        book.giveBack(address)
        #expect(book.limit(address, pulse: .seconds(1), plan: plan, now: start) == nil)
    }

    @Test func aDriverThatPulsedLongerThanAskedIsChargedForIt() throws {
        let plan = CoilPlan(
            rest: .zero, opensPerMinute: 6000, dutyPercent: 10, burst: .seconds(2))
        let book = DutyBook()
        book.charge(address, pulse: .milliseconds(200), plan: plan, now: start)
        book.settle(address, pulse: .milliseconds(1900), offAt: start)
        #expect(book.limit(address, pulse: .milliseconds(200), plan: plan, now: start) != nil)
    }

    // MARK: As an open meets it

    private func site(_ coil: CoilPlan, pulse: Duration = .milliseconds(200)) async throws
        -> FakeSite
    {
        var link = FakeSite.link("wall", firstID: 101)
        for index in link.controllers[0].lockers.indices {
            link.controllers[0].lockers[index].coil = coil
            link.controllers[0].lockers[index].pulse = pulse
        }
        return try await FakeSite([link])
    }

    @Test func aShortRestIsWaitedForAndALongOneRefused() async throws {
        let short = try await site(CoilPlan(rest: .milliseconds(700)))
        _ = try await short.open("wall/1")
        let again = try await short.open("wall/1")
        #expect(again.outcome == .alreadyOpen)
        let opens = try #require(short.boards["wall"]).state.withLock { $0.opens.map(\.at) }
        #expect(opens[0].duration(to: opens[1]) >= .milliseconds(900))

        let long = try await site(CoilPlan(rest: .seconds(5)))
        _ = try await long.open("wall/1")
        let refused = await #expect(throws: LockerError.self) { try await long.open("wall/1") }
        #expect(refused?.code == .dutyLimit)
        #expect(refused?.fired == .no)
        #expect(try #require(refused?.retryAfter) > .seconds(4))
        #expect(long.boards["wall"]?.opens == [1])
        #expect(try long.count("operation.started") == 1)
        // Its neighbour is cold.
        #expect(try await long.open("wall/2").outcome == .opened)
    }

    @Test func whatMayHaveFiredIsNotForgottenByARefusalAfterIt() async throws {
        let fake = try await site(CoilPlan(rest: .zero, opensPerMinute: 2))
        let board = try #require(fake.boards["wall"])
        board.state.withLock {
            $0.onOpen[1] = .failure(
                LockerError(.timedOut, "no answer", fired: .unknown, sent: .yes))
        }
        async let first = fake.ask("wall/1")
        try await fake.turn("the wait is over") { try fake.count("operation.done") == 1 }
        #expect(try await first.outcome == .unknown)
        // It stands behind its neighbour until its deadline has passed, and has nothing to give back.
        board.state.withLock { $0.onOpen[1] = nil }
        board.holdOpens()
        _ = try await fake.ask("wall/2", wait: .zero)
        try await settle("the neighbour fires") { board.opens == [1, 2] }
        let late = Task { try await fake.ask("wall/1", deadline: .milliseconds(50)) }
        try await settle("it waits") { try fake.count("operation.started") == 3 }
        fake.clock.advance(by: .milliseconds(60))
        await #expect(throws: LockerError.expired) { try await late.value }
        board.release()
        #expect(try await fake.open("wall/1").outcome == .opened)
        let refused = await #expect(throws: LockerError.self) { try await fake.open("wall/1") }
        #expect(refused?.code == .dutyLimit)
    }

    @Test func aCoilInDoubtWarmsUntilItIsProvenOff() async throws {
        var link = FakeSite.link("wall", firstID: 101)
        for index in link.controllers[0].lockers.indices {
            link.controllers[0].lockers[index].coil = CoilPlan(
                rest: .zero, dutyPercent: 1, burst: .seconds(3))
        }
        let fake = try await FakeSite([link]) { FakeController(clock: $1, pulseTiming: .host) }
        let board = try #require(fake.boards["wall"])
        board.state.withLock {
            $0.onOpen[1] = .failure(
                LockerError(.timedOut, "no answer", fired: .unknown, sent: .yes))
            $0.onRead = LockerError(.timedOut, "no answer")
        }
        _ = try await fake.open("wall/1")
        fake.clock.advance(by: .seconds(4))
        board.state.withLock { ($0.onOpen[1], $0.onRead) = (nil, nil) }
        try await fake.turn("it is proven off, and known to be warm") {
            fake.site.context.duty.warmth("wall/1", plan: CoilPlan(), now: fake.clock.now).heat
                > .seconds(3)
        }
        let refused = await #expect(throws: LockerError.self) { try await fake.open("wall/1") }
        #expect(refused?.code == .dutyLimit)
        #expect(board.opens == [1])
    }

    @Test func aSlowAnswerPutsOffTheRest() async throws {
        let fake = try await site(CoilPlan(rest: .milliseconds(500)))
        let board = try #require(fake.boards["wall"])
        board.holdOpens()
        let first = Task { try await fake.ask("wall/1") }
        try await settle("it fires") { board.opens == [1] }
        // The board may have begun its pulse only now.
        fake.clock.advance(by: .seconds(2))
        let answeredAt = fake.clock.now
        board.release()
        _ = try await fake.turning { try await first.value }
        _ = try await fake.open("wall/1")
        let again = try #require(board.state.withLock { $0.opens.last?.at })
        #expect(answeredAt.duration(to: again) >= .milliseconds(700))
    }

    @Test func whatEarlierRunsLeftComesOnTop() {
        let plan = CoilPlan(rest: .zero, opensPerMinute: 5, dutyPercent: 10, burst: .seconds(2))
        let book = DutyBook()
        book.charge(address, pulse: .seconds(1), plan: plan, now: start)
        book.restore(
            address, heat: .seconds(1), recent: 3, age: .seconds(1), plan: plan, now: start)
        let warmth = book.warmth(address, plan: plan, now: start)
        #expect(warmth.heat == .milliseconds(1900))
        #expect(warmth.recent == 4)
        // The pulse that is under way can still be given back.
        book.giveBack(address)
        #expect(book.warmth(address, plan: plan, now: start).heat == .milliseconds(900))
    }

    @Test func maintenanceBurnsNoCoilEither() async throws {
        let fake = try await site(CoilPlan(opensPerMinute: 1))
        _ = try await fake.open("wall/1")
        let refused = await #expect(throws: LockerError.self) {
            try await fake.open("wall/1", maintenance: true)
        }
        #expect(refused?.code == .dutyLimit)
        #expect(fake.boards["wall"]?.opens == [1])
    }

    @Test func openAllFailsTheWarmOnesAndOpensTheRest() async throws {
        let fake = try await site(CoilPlan(opensPerMinute: 1))
        _ = try await fake.open("wall/2")
        let view = try await fake.turning {
            try await fake.site.openAll(
                OpenAllRequest(peer: FakeSite.peer), wait: nil, progress: { _ in })
        }
        #expect(OpenAllSummary(view.results).opened == 3)
        let warm = view.results.first { $0.locker.address == "wall/2" }
        #expect(warm?.word == "DUTY_LIMIT")
        #expect(fake.boards["wall"]?.opens.count { $0 == 2 } == 1)
    }

    @Test func noFileCanAskForALongerPulseThanTheCoreAllows() async throws {
        let fake = try await site(CoilPlan(burst: .seconds(60)), pulse: .seconds(30))
        let view = try await fake.open("wall/1")
        guard case .outcome(_, _, _, let timing) = view.results.first?.ending else {
            Issue.record("no outcome: \(view)")
            return
        }
        #expect(timing.pulse == Limits.longestPulse)
    }

    @Test func estimatesWhatOpenAllTakesByItsSupplies() async throws {
        var links = [
            FakeSite.link("wall", firstID: 101, lockers: 6, supply: "main", excluded: [6]),
            FakeSite.link("yard", firstID: 201, lockers: 5, supply: "main"),
        ]
        for link in links.indices {
            for index in links[link].controllers[0].lockers.indices {
                links[link].controllers[0].lockers[index].pulse = .milliseconds(400)
            }
        }
        let fake = try await FakeSite(
            links, supplies: ["main": SupplyGroup(atOnce: 2, gap: .milliseconds(250))])
        let plan = try await fake.site.planOpenAll(OpenAllRequest(peer: FakeSite.peer))
        // Ten pulses begin 250 ms apart, which takes longer than five times two of them.
        #expect(plan == OpenAllEstimate(total: 11, skipped: 1, duration: .milliseconds(2250)))
        #expect(fake.boards["wall"]?.opens == [])
        let start = fake.clock.now
        let view = try await fake.turning {
            try await fake.site.openAll(
                OpenAllRequest(peer: FakeSite.peer), wait: nil, progress: { _ in })
        }
        #expect(view.estimate == plan.duration)
        let took = start.duration(to: fake.clock.now)
        #expect(took >= plan.duration && took < plan.duration * 1.5)
    }
}
