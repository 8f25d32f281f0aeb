import JSONLines
import Journal
import LockerCore
import LockerKit
import Locks
import SiteModel
import TestSupport
import Testing

@Suite struct RetentionTests {
    static let hour: Int64 = 3_600_000

    private static var narrow: JournalLimits {
        var limits = JournalLimits.quick
        limits.events = 20
        limits.audit = 15
        limits.auditInMemory = 5
        limits.operations = 10
        limits.slack = 1
        return limits
    }

    private func whole(_ fixture: JournalFixture, _ id: String, key: String? = nil)
        -> [JournalEntry]
    {
        [.accepted(.of(id, [.at(1)], key: key), .plain), .ended(operation: id, state: .done)]
    }

    @Test func `keys last a day of the journal's own clock, whatever the wall clock does`()
        async throws
    {
        try await withTemporaryDirectory { directory in
            let fixture = JournalFixture()
            let state = "\(directory)/state"
            var limits = JournalLimits.quick
            limits.slack = 1
            let first = try fixture.open(state, limits: limits)
            try await first.record(whole(fixture, "op-1", key: "k"), synced: true)
            for jump in [100 * Self.hour, -300 * Self.hour] {
                fixture.clocks.withLock { $0.wall += jump }
                try await first.record(whole(fixture, "op-\(jump)"), synced: true)
                #expect(try await first.operation(key: "k")?.view.id == "op-1")
            }
            fixture.clocks.withLock { $0.monotonic += 10 * Self.hour }
            try await first.record(whole(fixture, "op-2"), synced: true)
            await first.close()

            // Thirteen hours in which the machine stayed on and the daemon was away count.
            fixture.clocks.withLock { $0.monotonic += 13 * Self.hour }
            let second = try fixture.open(state, run: 2, limits: limits)
            #expect(try await second.operation(key: "k")?.view.id == "op-1")
            await second.close()

            // While the machine was off nobody counted.
            fixture.clocks.withLock { $0.monotonic = 5 }
            let third = try fixture.open(state, run: 3, machine: "machine-2", limits: limits)
            fixture.clocks.withLock { $0.monotonic += Self.hour - 1 }
            #expect(try await third.operation(key: "k")?.view.id == "op-1")
            fixture.clocks.withLock { $0.monotonic += 2 }
            #expect(try await third.operation(key: "k") == nil)
            #expect(try await third.operation(id: "op-2") != nil)
            await third.close()
        }
    }

    @Test func `the oldest finished operations go, a pending one stays`() async throws {
        let fixture = JournalFixture()
        let journal = try fixture.open(nil, limits: Self.narrow)
        try await journal.record(
            [.accepted(.of("op-0", [.at(1)], key: "k-0"), .plain)], synced: true)
        for number in 1...40 {
            try await journal.record(
                whole(fixture, "op-\(number)", key: "k-\(number)"), synced: false)
        }
        try await eventually("what is too many has gone") {
            try await journal.operation(id: "op-31") == nil
        }
        for number in 32...40 {
            #expect(try await journal.operation(key: "k-\(number)")?.view.id == "op-\(number)")
        }
        #expect(try await journal.operation(key: "k-0")?.view.state == .pending)
        #expect(try await journal.operation(key: "k-31") == nil)
        fixture.clocks.withLock { $0.monotonic += 25 * Self.hour }
        try await journal.record(whole(fixture, "op-41"), synced: false)
        #expect(try await journal.operation(id: "op-40") == nil)
        #expect(try await journal.operation(id: "op-0")?.view.state == .pending)
        await journal.close()
    }

    @Test func `a key that is used again leads to the newest operation`() async throws {
        let fixture = JournalFixture()
        let journal = try fixture.open(nil)
        try await journal.record(whole(fixture, "op-1", key: "k"), synced: true)
        try await journal.record(whole(fixture, "op-2", key: "k"), synced: true)
        #expect(try await journal.operation(key: "k")?.view.id == "op-2")
        await journal.close()
    }

    @Test func `the newest events are kept, and their numbers go on`() async throws {
        try await withTemporaryDirectory { directory in
            let fixture = JournalFixture()
            let state = "\(directory)/state"
            let first = try fixture.open(state, limits: Self.narrow)
            for number in 1...55 {
                let body = EventBody.doorOpened(locker: .at(number))
                try await first.record(
                    [.event(Event(seq: UInt64(number), at: fixture.wall, body: body))],
                    synced: false)
            }
            await first.close()
            let second = try fixture.open(state, run: 2, limits: Self.narrow)
            #expect(second.legacy.lastSeq == 55)
            #expect(second.legacy.events.map(\.seq) == Array(36...55))
            await second.close()
        }
    }

    @Test(arguments: [false, true])
    func `the newest entries of the audit are kept, with an anchor`(inMemory: Bool) async throws {
        try await withTemporaryDirectory { directory in
            let fixture = JournalFixture()
            let state = inMemory ? nil : "\(directory)/state"
            let kept = inMemory ? 5 : 15
            let journal = try fixture.open(state, limits: Self.narrow)
            for _ in 1...40 {
                try await journal.record(
                    [.audit(AuditNote(.started, fixture.stamp()))], synced: false)
            }
            try await eventually("the oldest entries have gone") {
                try await journal.audit(AuditQuery(limit: 100)).firstNumber == Int64(41 - kept)
            }
            let page = try await journal.audit(AuditQuery(limit: 100))
            #expect(page.entries.count == kept)
            #expect(page.headNumber == 40)
            #expect(try problems(in: page) == [])
            await journal.close()
        }
    }
}
