import LockerKit
import LockerKitTesting
import Locks
import SiteModel
import Testing

@testable import LockerCore

/// What is kept, when, and what a journal that cannot keep it means for a door.
@Suite struct MemoryTests {
    private func site(
        _ journal: FakeJournal, lockers: Int = 4
    ) async throws -> FakeSite {
        try await FakeSite(
            [FakeSite.link("wall", firstID: 101, lockers: lockers)], journal: journal)
    }

    @Test func keepsTheIntentBeforeAnybodyIsAskedToFire() async throws {
        let journal = FakeJournal()
        let fake = try await site(journal)
        journal.hold()
        async let view = fake.open("wall/1")
        try await settle("the open waits for the journal") {
            journal.contents.withLock { $0.heldSyncs == 1 }
        }
        #expect(fake.boards["wall"]?.opens == [])
        journal.release()
        #expect(try await view.outcome == .opened)
        #expect(
            journal.story.dropFirst() == [
                "accepted", "intent wall/1", "result wall/1 opened", "audit outcome",
                "locker wall/1", "ended done",
            ])
    }

    @Test func nobodyIsToldAResultBeforeItIsKept() async throws {
        let journal = FakeJournal()
        let fake = try await site(journal)
        let board = try #require(fake.boards["wall"])
        board.holdOpens()
        let view = try await fake.ask("wall/1", wait: .zero)
        try await settle("it fires") { board.opens == [1] }
        journal.hold()
        board.release()
        try await fake.turn("its end waits for the journal") {
            fake.site.snapshot.locker(.id(101))?.lastOpen?.operation == view.id
        }
        let asked = try await fake.site.operation(view.id)
        #expect(asked.state == .pending)
        #expect(asked.results.isEmpty)
        journal.release()
        try await fake.turn("it is told") {
            try await fake.site.operation(view.id).outcome == .opened
        }
    }

    @Test func anOpenThatTheDiskHeldUpPastItsDeadlineNeverFires() async throws {
        let journal = FakeJournal()
        let fake = try await site(journal)
        journal.hold()
        let asked = Task { try await fake.ask("wall/1", deadline: .milliseconds(100)) }
        try await settle("the open waits for the journal") {
            journal.contents.withLock { $0.heldSyncs == 1 }
        }
        fake.clock.advance(by: .milliseconds(101))
        journal.release()
        await #expect(throws: LockerError.expired) { try await asked.value }
        #expect(fake.boards["wall"]?.opens == [])
        #expect(journal.story.contains("result wall/1 EXPIRED"))
    }

    @Test func whoeverIsToldPendingFindsItInTheJournal() async throws {
        let journal = FakeJournal()
        let fake = try await site(journal)
        fake.boards["wall"]?.holdOpens()
        let view = try await fake.ask("wall/1", wait: .zero)
        #expect(view.state == .pending)
        #expect(journal.story.contains("accepted"))
        fake.boards["wall"]?.release()
        try await fake.turn("it ends") { try await fake.site.operation(view.id).state == .done }
    }

    @Test func repeatsTheAnswerOfAnEarlierRunToItsKey() async throws {
        let locker = LockerIdentity(id: 101, address: "wall/1")
        let view = OperationView(
            id: "op-old-1", kind: .open, acceptedAt: WallTime(milliseconds: 5), lockers: [locker],
            state: .done,
            results: [
                LockerResult(
                    locker: locker,
                    ending: .outcome(
                        .opened, evidence: .doorSensor, door: .open, timing: OpenTiming()))
            ])
        let identity = OperationRecord.Identity.open(
            locker: 101, reason: nil, token: nil, isMaintenance: false)
        let journal = FakeJournal(kept: [
            KeptOperation(
                view: view, key: "k", fingerprint: "fingerprint of \(identity.text)",
                peer: FakeSite.peer, reason: nil)
        ])
        let fake = try await site(journal)
        async let one = fake.open("wall/1", key: "k")
        async let two = fake.open("wall/1", key: "k")
        for answer in try await [one, two] {
            #expect(answer.id == "op-old-1")
            #expect(answer.outcome == .opened)
            #expect(answer.isReplayed)
        }
        let reused = await #expect(throws: LockerError.self) {
            try await fake.open("wall/2", key: "k")
        }
        #expect(reused?.code == .keyReused)
        #expect(try await fake.site.operation("op-old-1").outcome == .opened)
        #expect(fake.boards["wall"]?.opens == [])
        // Another key is looked up, found to be new, and opens.
        #expect(try await fake.open("wall/2", key: "new").outcome == .opened)
    }

    @Test func aKeyThatCannotBeLookedUpOpensNothing() async throws {
        var legacy = JournalLegacy()
        legacy.hasKeys = true
        let journal = FakeJournal(legacy)
        let fake = try await site(journal)
        journal.fail("input/output error")
        let refused = await #expect(throws: LockerError.self) {
            try await fake.open("wall/1", key: "k")
        }
        #expect(refused?.code == .conflict)
        #expect(fake.boards["wall"]?.opens == [])
    }

    @Test func fiftyAtOnceWithOneKeyFireOnceAlsoWhileTheKeyIsLookedUp() async throws {
        var legacy = JournalLegacy()
        legacy.hasKeys = true
        let journal = FakeJournal(legacy)
        let fake = try await site(journal)
        let views = try await fake.turning {
            try await withThrowingTaskGroup(of: OperationView.self) { group in
                for _ in 0..<50 { group.addTask { try await fake.ask("wall/1", key: "k") } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
        }
        #expect(fake.boards["wall"]?.opens == [1])
        #expect(Set(views.map(\.id)).count == 1)
        #expect(views.count { !$0.isReplayed } == 1)
    }

    @Test func whatMemoryForgetsIsLookedUpFromThenOn() {
        var store = OperationStore()
        store.capacity = 1
        let start = ContinuousClock.now
        func record(_ id: String) -> OperationRecord {
            OperationRecord(
                view: OperationView(
                    id: id, kind: .open, acceptedAt: WallTime(milliseconds: 0), lockers: [],
                    state: .done), identity: .kept(fingerprint: id), acceptedAt: start,
                peer: FakeSite.peer, reason: nil)
        }
        for id in ["a", "b", "c"] { store.adopt(record(id), key: "key \(id)") }
        #expect(!store.hasForgottenKeys)
        store.prune(now: start)
        #expect(store.record(key: "key a") == nil)
        #expect(store.record(key: "key c") != nil)
        #expect(store.hasForgottenKeys)
    }

    @Test func twoIdentitiesMakeTwoTexts() {
        func text(_ reason: String?, _ payload: String?) -> String {
            OperationRecord.Identity.open(
                locker: 1, reason: reason,
                token: payload.map { OpenToken(payload: $0, payloadAuth: "a") },
                isMaintenance: false
            ).text
        }
        let texts = [
            text(nil, nil), text("-", nil), text("a", nil), text(nil, "a"), text("1:a", nil),
            text("a1:a", nil), text("a", "1"), text("", "a1"),
        ]
        #expect(Set(texts).count == texts.count)
    }

    @Test func knowsWhatEarlierRunsLeftOfALocker() async throws {
        var kept = KeptLocker()
        kept.service.outOfService = true
        kept.service.reasonCode = "LOCK_MALFUNCTION"
        kept.wear.cycles = 41
        kept.wear.jams = 2
        kept.lastOpen = LastOpen(
            operation: "op-old-1", at: WallTime(milliseconds: 5), outcome: .unknown)
        var legacy = JournalLegacy()
        legacy.lockers = ["wall/3": kept]
        let fake = try await site(FakeJournal(legacy))
        let view = try #require(fake.site.snapshot.locker(.id(103)))
        #expect(view.service == kept.service)
        #expect(view.wear == kept.wear)
        #expect(view.lastOpen == kept.lastOpen)
        let refused = await #expect(throws: LockerError.self) { try await fake.open("wall/3") }
        #expect(refused?.code == .conflict)
    }

    @Test func whatCouldBeReadOnlyLateIsAddedAndNotedAnew() async throws {
        let journal = FakeJournal()
        let fake = try await site(journal)
        _ = try await fake.open("wall/1")
        _ = try await fake.site.setService(
            ServiceRequest(locker: .id(102), brokenLock: true, peer: FakeSite.peer))
        var (first, second, third) = (KeptLocker(), KeptLocker(), KeptLocker())
        first.wear.cycles = 40
        second.service.outOfService = true
        third.service.outOfService = true
        var legacy = JournalLegacy()
        legacy.lockers = ["wall/1": first, "wall/2": second, "wall/3": third]
        journal.contents.withLock { $0.observer }.late(legacy)
        #expect(fake.site.snapshot.locker(.id(103))?.service.outOfService == true)
        try await settle("it is noted anew") { journal.last("wall/3") != nil }
        #expect(journal.last("wall/1")?.wear.cycles == 41)
        // What somebody set in this run stands.
        #expect(journal.last("wall/2")?.service.outOfService == false)
        #expect(journal.last("wall/2")?.service.brokenLock == true)
        #expect(journal.last("wall/3")?.service.outOfService == true)
    }

    @Test func keepsServiceFlagsBeforeItAnswers() async throws {
        let journal = FakeJournal()
        let fake = try await site(journal)
        _ = try await fake.site.setService(
            ServiceRequest(
                locker: .id(101), outOfService: true, reasonCode: "LOCK_MALFUNCTION",
                reason: "coil burnt", peer: FakeSite.peer))
        #expect(journal.last("wall/1")?.service.reason == "coil burnt")
        #expect(journal.story.contains("audit service"))
        let back = try await fake.site.setService(
            ServiceRequest(locker: .id(101), outOfService: false, peer: FakeSite.peer))
        #expect(back.locker.service == ServiceState())
        #expect(back.isKept)
        #expect(journal.last("wall/1")?.service == ServiceState())
    }

    @Test func tellsAnEventOnlyOnceItIsKept() async throws {
        let journal = FakeJournal()
        let events = EventLog(wallClock: { WallTime(milliseconds: 0) }, journal: journal)
        let subscription = try events.subscribe(since: nil, limit: 10, wake: {})
        events.append(.deviceState(device: "a", state: "ok"))
        events.append(.deviceState(device: "b", state: "ok"))
        #expect(events.lastSeq == 0)
        #expect(subscription.take(max: 10).events.isEmpty)
        events.noteKept(upTo: 1)
        #expect(subscription.take(max: 10).events.map(\.seq) == [1])
        events.noteKept(upTo: 2)
        events.noteKept(upTo: 2)
        #expect(subscription.take(max: 10).events.map(\.seq) == [2])
        #expect(events.lastSeq == 2)
    }

    @Test func tellsTheOldestEventsUnkeptRatherThanHoldingThemWithoutEnd() throws {
        let events = EventLog(wallClock: { WallTime(milliseconds: 0) }, journal: FakeJournal())
        let subscription = try events.subscribe(since: nil, limit: 10, wake: {})
        for _ in 0..<EventLog.capacity { events.append(.deviceState(device: "a", state: "ok")) }
        #expect(subscription.take(max: 10).events.isEmpty)
        events.append(.deviceState(device: "b", state: "ok"))
        #expect(subscription.take(max: 10).events.map(\.seq) == [1])
        events.noteKept(upTo: 2)
        #expect(subscription.take(max: 10).events.map(\.seq) == [2])
    }

    @Test func goesOnWithTheNumbersOfEarlierRunsAndSaysWhatIsGone() throws {
        func recorded(_ seq: UInt64) -> Event {
            Event(
                seq: seq, at: WallTime(milliseconds: Int64(seq)),
                body: .recorded(
                    RecordedEvent(
                        type: "door.opened", locker: nil, controllers: [], members: "{}")))
        }
        var legacy = JournalLegacy()
        // 41 and 42 of a run, then a power cut that may have taken up to 2000, then 2043 of the recovery.
        legacy.events = [recorded(41), recorded(42), recorded(2043)]
        legacy.lastSeq = 2043
        let events = EventLog(
            wallClock: { WallTime(milliseconds: 0) }, journal: FakeJournal(legacy))
        events.append(.deviceState(device: "a", state: "ok"))
        events.noteKept(upTo: 2044)
        let late = try events.subscribe(since: 41, limit: 10, wake: {})
        #expect(late.missed == nil)
        let told = late.take(max: 10).events
        #expect(told.map(\.seq) == [42, 2042, 2043, 2044])
        #expect(told[1].body.type == "events.dropped")
        let early = try events.subscribe(since: 10, limit: 10, wake: {})
        #expect(early.missed == 11...40)
        #expect(throws: LockerError.self) {
            try events.subscribe(since: 2045, limit: 10, wake: {})
        }
    }

    @Test(arguments: [(false, 2), (true, 0)])
    func aCoilIsAsWarmAfterARestart(otherBoot: Bool, fires: Int) async throws {
        // Warm to the brim ten minutes ago by the machine's clock; after another start of the machine nobody knows.
        var kept = KeptLocker()
        kept.coil = KeptCoil(
            heat: .seconds(10), atMs: -600_000, machineBoot: otherBoot ? "other" : "")
        var legacy = JournalLegacy()
        legacy.lockers = ["wall/1": kept]
        let fake = try await site(FakeJournal(legacy))
        for _ in 0..<2 { _ = try? await fake.open("wall/1") }
        #expect(fake.boards["wall"]?.opens.count == fires)
    }
}
