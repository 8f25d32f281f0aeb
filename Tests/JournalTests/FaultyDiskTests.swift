import FaultyDisk
import JSONLines
import LockerCore
import LockerKit
import Locks
import SiteModel
import TestSupport
import Testing

@testable import Journal

/// A file layer of SQLite that fails on command.
// Sendable because every call takes the layer's own lock.
struct Disk: @unchecked Sendable {
    let name: String
    let handle: OpaquePointer

    init() throws {
        name = "faulty-\(UInt64.random(in: 0 ... .max))"
        handle = try #require(faulty_disk_make(name))
    }
}

/// Codes of SQLite's result.
enum Code {
    static let full: Int32 = 13
    static let writeError: Int32 = 10 | 3 << 8
    static let syncError: Int32 = 10 | 4 << 8
    static let readOnly: Int32 = 8
}

extension JournalLimits {
    /// Without a second attempt in any test's time.
    static var patient: JournalLimits {
        var limits = quick
        limits.retryMs = 3_600_000
        return limits
    }
}

@Suite struct FaultyDiskTests {
    private let fixture = JournalFixture()
    private let refusals = Mutex<[String]>([])

    @Test(arguments: [
        (Code.full, "the disk is full"),
        (Code.writeError, "the disk reports an error (SQLite code 778)"),
        (Code.readOnly, "it cannot be written; look at its owner, mode and mount"),
    ])
    func `records fail, notes wait, and both go on when the disk does`(
        code: Int32, cause: String
    ) async throws {
        try await withTemporaryDirectory { directory in
            let disk = try Disk()
            let state = "\(directory)/state"
            let journal = try fixture.open(state, limits: JournalLimits.patient, vfs: disk.name)
            try await journal.record(fixture.beginning("op-1", .at(1), seq: 1), synced: true)
            faulty_disk_fail_writes(disk.handle, code)
            journal.note(fixture.end("op-1", .at(1), seq: 2), promptly: false)
            await #expect(throws: JournalFailure(cause)) {
                try await journal.record(fixture.beginning("op-2", .at(2), seq: 3), synced: true)
            }
            let broken = JournalState.broken(reason: "\(state)/journal.sqlite: \(cause)")
            #expect(journal.state == broken)
            #expect(try await journal.operation(id: "op-1")?.view.state == .pending)
            #expect(try await journal.operation(id: "op-2") == nil)

            faulty_disk_fail_writes(disk.handle, 0)
            try await journal.record(fixture.beginning("op-3", .at(3), seq: 4), synced: true)
            #expect(journal.state == .durable)
            #expect(fixture.states.withLock { $0 } == [broken, .durable])
            try await fixture.isTold([1, 3, 4])
            #expect(try await journal.operation(id: "op-1")?.view.state == .done)
            #expect(try await journal.operation(id: "op-2") == nil)
            let page = try await journal.audit(AuditQuery(limit: 100))
            #expect(page.headNumber == 3)
            #expect(try problems(in: page) == [])
            await journal.close()
        }
    }

    @Test func `a sync that fails is no promise, and heals by itself`() async throws {
        try await withTemporaryDirectory { directory in
            let disk = try Disk()
            let journal = try fixture.open("\(directory)/state", vfs: disk.name)
            faulty_disk_fail_syncs(disk.handle, Code.syncError)
            await #expect(throws: JournalFailure.self) {
                try await journal.record(fixture.beginning("op-1", .at(1), seq: 1), synced: true)
            }
            journal.note([.audit(AuditNote(.stopped, fixture.stamp()))], promptly: true)
            faulty_disk_fail_syncs(disk.handle, 0)
            try await eventually("it heals") { journal.state == .durable }
            #expect(try await journal.operation(id: "op-1") == nil)
            #expect(try await journal.audit(AuditQuery(limit: 9)).headNumber == 1)
            await journal.close()
        }
    }

    @Test func `what happened keeps its place beside those who wait for a disk`() {
        var inbox = JournalInbox()
        let audit = JournalEntry.audit(AuditNote(.service, fixture.stamp()))
        func add(_ item: JournalInbox.Item) -> Bool {
            inbox.add(item, now: 0, noteDelay: 50, limit: 80) != .refused
        }
        func record(_ count: Int) -> Bool {
            add(.record(Array(repeating: audit, count: count), synced: true) { _ in })
        }
        #expect((0..<20).allSatisfy { _ in add(.note([audit], promptly: false)) })
        // One that finds nobody waiting is taken, though it is larger than all there is; nobody else is.
        #expect(record(100))
        #expect(!record(1))
        #expect(add(.note([audit], promptly: false)))
        var (items, dropped) = inbox.takeAll()
        #expect(dropped == 11 && items.count == 11)
        // Three quarters are for those who wait.
        #expect((0..<20).allSatisfy { _ in record(2) })
        #expect(!record(1))
        #expect((0..<20).allSatisfy { _ in add(.note([audit], promptly: false)) })
        (items, dropped) = inbox.takeAll()
        #expect(dropped == 0 && items.count == 40)
    }

    @Test func `what gathers while a disk does not answer has a limit`() async throws {
        try await withTemporaryDirectory { directory in
            let disk = try Disk()
            var limits = JournalLimits.quick
            limits.waiting = 20
            let journal = try fixture.open("\(directory)/state", limits: limits, vfs: disk.name)
            faulty_disk_delay_syncs(disk.handle, 1500)
            let before = faulty_disk_syncs(disk.handle)
            async let hanging: Void = journal.record(
                fixture.beginning("op-1", .at(1), seq: 1), synced: true)
            try await eventually("the disk hangs") { faulty_disk_syncs(disk.handle) > before }
            let body = EventBody.doorOpened(locker: .at(1))
            for seq in 2...200 {
                journal.note(
                    [.event(Event(seq: UInt64(seq), at: fixture.wall, body: body))],
                    promptly: true)
                if seq % 20 == 0 {
                    journal.note([.audit(AuditNote(.service, fixture.stamp()))], promptly: true)
                }
            }
            for number in 2...40 {
                journal.submit(
                    fixture.beginning("op-\(number)", .at(number), seq: 300), synced: true
                ) { result in
                    if case .failure(let failure) = result {
                        self.refusals.withLock { $0.append("\(number) \(failure)") }
                    }
                }
            }
            // Those that found no room know it at once, and they are not few.
            let refused = refusals.withLock { $0 }
            #expect(refused.count > 30)
            #expect(refused.last == "40 the disk does not answer")
            faulty_disk_delay_syncs(disk.handle, 0)
            try await hanging
            // The next writing takes everything that waits, and there is room again.
            try await eventually("it is written") {
                (try? await journal.record([], synced: true)) != nil
            }
            // Of what was noted the events gave way; the audit is whole: ten notes and the opens that were taken.
            #expect(try await journal.operation(id: "op-1") != nil)
            #expect(try await journal.operation(id: "op-40") == nil)
            let page = try await journal.audit(AuditQuery(limit: 1000))
            #expect(page.headNumber == 10 + Int64(1 + 39 - refused.count))
            #expect(try problems(in: page) == [])
            await journal.close()
            let again = try fixture.open("\(directory)/state", run: 2)
            #expect(
                again.legacy.events.count < 40 && again.legacy.events.contains { $0.seq == 200 })
            await again.close()
        }
    }

    @Test func `many who wait for a slow disk share its syncs, and notes wait for nobody`()
        async throws
    {
        try await withTemporaryDirectory { directory in
            let disk = try Disk()
            let journal = try fixture.open("\(directory)/state", vfs: disk.name)
            faulty_disk_delay_syncs(disk.handle, 500)
            let before = faulty_disk_syncs(disk.handle)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 1...50 {
                    group.addTask {
                        try await journal.record(
                            self.fixture.beginning(
                                "op-\(number)", .at(number), seq: UInt64(number)), synced: true)
                    }
                }
                // Had each to wait for a sync, this would take eight minutes.
                for _ in 1...1000 {
                    journal.note([.audit(AuditNote(.started, fixture.stamp()))], promptly: true)
                }
                try await group.waitForAll()
            }
            let syncs = faulty_disk_syncs(disk.handle) - before
            #expect(syncs <= 12, "\(syncs) syncs for 50 records")
            #expect(try await journal.operation(id: "op-50") != nil)
            faulty_disk_delay_syncs(disk.handle, 0)
            await journal.close()
        }
    }

    @Test func `what was not synced is, soon after`() async throws {
        try await withTemporaryDirectory { directory in
            let disk = try Disk()
            var limits = JournalLimits.quick
            limits.syncDelayMs = 2000
            limits.unsyncedEvents = 5
            let journal = try fixture.open("\(directory)/state", limits: limits, vfs: disk.name)
            // The first commit after a beginning syncs the log's own head.
            try await journal.record([], synced: true)
            var before = faulty_disk_syncs(disk.handle)
            try await journal.record(fixture.beginning("op-1", .at(1), seq: 1), synced: false)
            #expect(faulty_disk_syncs(disk.handle) == before)
            try await eventually("it is synced") { faulty_disk_syncs(disk.handle) == before + 1 }
            before += 1
            let body = EventBody.doorOpened(locker: .at(1))
            let events = (2...7).map {
                JournalEntry.event(Event(seq: $0, at: fixture.wall, body: body))
            }
            try await journal.record(Array(events.prefix(5)), synced: false)
            #expect(faulty_disk_syncs(disk.handle) == before)
            try await journal.record(Array(events.suffix(1)), synced: false)
            #expect(faulty_disk_syncs(disk.handle) == before + 1)
            await journal.close()
        }
    }
}
