import LockerKit
import LockerKitTesting
import Locks
import SiteModel
import Testing

@testable import LockerCore

/// What a journal that cannot be written, or does not answer, means for a door.
@Suite struct BrokenMemoryTests {
    private func site(_ journal: FakeJournal) async throws -> FakeSite {
        try await FakeSite([FakeSite.link("wall", firstID: 101)], journal: journal)
    }

    @Test func firesNothingThatCannotBeWrittenDown() async throws {
        let journal = FakeJournal()
        let fake = try await site(journal)
        journal.fail("the disk is full")
        let refused = await #expect(throws: LockerError.self) {
            try await fake.open("wall/1", key: "k")
        }
        #expect(refused?.code == .conflict)
        #expect(refused?.message.contains("the disk is full") == true)
        #expect(fake.boards["wall"]?.opens == [])
        #expect(fake.site.snapshot.read { $0.health }.causes.map(\.code) == ["journal-broken"])
        // As if it had never been accepted: with room on the disk the same key opens the door.
        journal.fail(nil)
        let view = try await fake.open("wall/1", key: "k")
        #expect(view.outcome == .opened)
        #expect(!view.isReplayed)
        #expect(fake.site.snapshot.read { $0.health }.level == .ok)
    }

    @Test func anOpenAllThatCannotBeWrittenDownFiresNothingEither() async throws {
        let journal = FakeJournal()
        let fake = try await site(journal)
        let request = OpenAllRequest(key: "k", peer: FakeSite.peer)
        journal.fail("the disk is full")
        let refused = try await fake.turning {
            try await fake.site.openAll(request, wait: nil, progress: { _ in })
        }
        #expect(OpenAllSummary(refused.results).failed == 4)
        #expect(refused.results.allSatisfy { $0.word == "CONFLICT" })
        #expect(fake.boards["wall"]?.opens == [])
        journal.fail(nil)
        let opened = try await fake.turning {
            try await fake.site.openAll(request, wait: nil, progress: { _ in })
        }
        #expect(OpenAllSummary(opened.results).opened == 4)
        #expect(!opened.isReplayed)
    }

    @Test func aSkippedLockerSpendsNoKeyOfAnOpenAllThatWasRefused() async throws {
        let journal = FakeJournal()
        let fake = try await FakeSite(
            [FakeSite.link("wall", firstID: 101, excluded: [4])], journal: journal)
        let request = OpenAllRequest(key: "k", peer: FakeSite.peer)
        journal.fail("the disk is full")
        let refused = try await fake.turning {
            try await fake.site.openAll(request, wait: nil, progress: { _ in })
        }
        #expect(OpenAllSummary(refused.results).failed == 3)
        journal.fail(nil)
        let opened = try await fake.turning {
            try await fake.site.openAll(request, wait: nil, progress: { _ in })
        }
        #expect(!opened.isReplayed)
        #expect(OpenAllSummary(opened.results).opened == 3)
        #expect(OpenAllSummary(opened.results).skipped == 1)
        #expect(journal.story.count { $0 == "accepted" } == 1)
    }

    @Test func roomThatComesInTheMiddleOfAnOpenAllLeavesNoShotUnrecorded() async throws {
        let journal = FakeJournal()
        let fake = try await FakeSite(
            [FakeSite.link("wall", firstID: 101), FakeSite.link("yard", firstID: 201)],
            journal: journal)
        // Both links are refused by a full disk at the same moment, and then there is room.
        journal.hold()
        let asked = Task {
            try await fake.site.openAll(
                OpenAllRequest(key: "k", peer: FakeSite.peer), wait: nil, progress: { _ in })
        }
        try await fake.turn("both links wait for the journal") {
            journal.contents.withLock { $0.heldSyncs } == 2
        }
        journal.fail("the disk is full")
        journal.release()
        try await fake.turn("both were refused") {
            try await settleResults(fake, atLeast: 2)
        }
        journal.fail(nil)
        let view = try await fake.turning { try await asked.value }
        let fired =
            (fake.boards["wall"]?.opens.count ?? 0) + (fake.boards["yard"]?.opens.count ?? 0)
        #expect(fired >= 1)
        #expect(journal.story.count { $0.hasPrefix("intent") } == fired)
        #expect(journal.story.count { $0 == "accepted" } == 1)
        #expect(
            try await fake.turning {
                try await fake.site.openAll(
                    OpenAllRequest(key: "k", peer: FakeSite.peer), wait: nil, progress: { _ in })
            }.id == view.id)
    }

    private func settleResults(_ fake: FakeSite, atLeast count: Int) async throws -> Bool {
        guard
            case .operationStarted(let id, _, _) = try fake.history().first(where: {
                $0.type == "operation.started"
            })
        else { return false }
        return try await fake.site.operation(id).results.count >= count
    }

    @Test func aDiskThatNeverAnswersKeepsNobodyFromMending() async throws {
        let journal = FakeJournal()
        let fake = try await site(journal)
        let board = try #require(fake.boards["wall"])
        journal.hold()
        let mending = Task { try await fake.ask("wall/2", maintenance: true) }
        let waiting = Task { try await fake.ask("wall/1", deadline: .seconds(1)) }
        let answers = Flag()
        let both = Task {
            _ = (await mending.result, await waiting.result)
            answers.raise()
        }
        try await fake.turn("both are answered", step: .milliseconds(50)) { answers.isRaised }
        await both.value
        #expect(try await mending.value.outcome == .opened)
        await #expect(throws: LockerError.expired) { try await waiting.value }
        #expect(board.opens == [2])
        journal.release()
        #expect(board.opens == [2])
    }

    @Test func whatWasHandedOverBeforeAStopIsKeptWithItsOutcome() async throws {
        let journal = FakeJournal()
        let fake = try await site(journal)
        let board = try #require(fake.boards["wall"])
        board.holdOpens()
        let asked = Task { try await fake.ask("wall/1") }
        try await settle("it fires") { board.opens == [1] }
        let stopping = Task { await fake.stop(drain: .milliseconds(1)) }
        try await fake.turn("the links have ended") {
            fake.site.snapshot.controller("wall")?.state == .stopped
        }
        board.release()
        try await fake.turn("it ends") { journal.story.contains { $0.hasPrefix("result wall/1") } }
        _ = try await asked.value
        try await fake.turn("it is closed") { journal.contents.withLock { $0.isClosed } }
        await stopping.value
        #expect(journal.story.last == "audit stopped")
    }

    @Test func opensForMaintenanceAllTheSameAndTellsTheJournalLater() async throws {
        let journal = FakeJournal()
        let fake = try await site(journal)
        journal.fail("the disk is full")
        let view = try await fake.open("wall/2", maintenance: true)
        #expect(view.outcome == .opened)
        #expect(journal.story.contains("intent wall/2"))
        #expect(journal.story.contains("result wall/2 opened"))
    }
}
