import FaultyDisk
import Journal
import LockerCore
import LockerKit
import Locks
import SiteModel
import TestSupport
import Testing

@Suite struct FullDiskTests {
    private let fixture = JournalFixture()

    @Test func `a disk that fills up in the midst of anything leaves nothing half`() async throws {
        try await withTemporaryDirectory { directory in
            let disk = try Disk()
            var limits = JournalLimits.patient
            limits.roomPages = 0
            let journal = try fixture.open("\(directory)/state", limits: limits, vfs: disk.name)
            var kept: [String] = []
            var seq: UInt64 = 0
            for room in stride(from: 0, to: 60_000, by: 977) {
                faulty_disk_set_room(disk.handle, Int64(room))
                let id = "op-\(room)"
                seq += 1
                do {
                    try await journal.record(
                        fixture.beginning(id, .at(room), seq: seq), synced: room % 2 == 0)
                    kept.append(id)
                } catch let failure as JournalFailure {
                    #expect(failure == JournalFailure("the disk is full"))
                }
                let found = try await journal.operation(id: id)
                #expect((found != nil) == (kept.last == id))
            }
            faulty_disk_set_room(disk.handle, -1)
            try await journal.record([], synced: true)
            #expect(kept.count > 20)
            #expect(kept.count < 60)
            for id in kept { #expect(try await journal.operation(id: id) != nil) }
            let page = try await journal.audit(AuditQuery(limit: 1000))
            #expect(page.headNumber == Int64(kept.count))
            #expect(try problems(in: page) == [])
            await journal.close()
        }
    }

    @Test func `a disk with room for a few pages takes what has happened and begins nothing`()
        async throws
    {
        try await withTemporaryDirectory { directory in
            let disk = try Disk()
            let journal = try fixture.open("\(directory)/state", vfs: disk.name)
            try await journal.record(fixture.beginning("op-1", .at(1), seq: 1), synced: true)
            faulty_disk_set_room(disk.handle, 0)
            await #expect(throws: JournalFailure("the disk is full")) {
                try await journal.record(fixture.beginning("op-2", .at(2), seq: 2), synced: true)
            }
            let broken = JournalState.broken(
                reason: "\(directory)/state/journal.sqlite: the disk is full")
            // Half of what is wanted, and many times what the outcome takes.
            let wanted = JournalLimits.standard.roomPages * 4120
            faulty_disk_set_room(disk.handle, Int64(wanted / 2))
            journal.note(fixture.end("op-1", .at(1), seq: 3), promptly: true)
            try await eventually("the outcome is written") {
                try await journal.operation(id: "op-1")?.view.state == .done
            }
            await #expect(throws: JournalFailure("the disk is full")) {
                try await journal.record(fixture.beginning("op-3", .at(3), seq: 4), synced: true)
            }
            #expect(try await journal.operation(id: "op-3") == nil)
            #expect(fixture.states.withLock { $0 } == [broken])
            try await fixture.isTold([1, 2, 3, 4])
            // With the other half, by itself and although nobody asks.
            faulty_disk_set_room(disk.handle, Int64(wanted))
            try await eventually("it heals") { journal.state == .durable }
            try await journal.record(fixture.beginning("op-3", .at(3), seq: 5), synced: true)
            #expect(fixture.states.withLock { $0 } == [broken, .durable])
            await journal.close()
        }
    }

    @Test func `a disk that stays nearly full is not used up by looking at it`() async throws {
        try await withTemporaryDirectory { directory in
            let disk = try Disk()
            let journal = try fixture.open("\(directory)/state", vfs: disk.name)
            try await journal.record(fixture.beginning("op-1", .at(1), seq: 1), synced: true)
            faulty_disk_set_room(disk.handle, 0)
            await #expect(throws: JournalFailure("the disk is full")) {
                try await journal.record(fixture.beginning("op-2", .at(2), seq: 2), synced: true)
            }
            faulty_disk_set_room(disk.handle, 24 * 4120)
            for number in 0..<50 {
                await #expect(throws: JournalFailure("the disk is full")) {
                    try await journal.record(
                        fixture.beginning("op-\(number)-more", .at(2), seq: 2), synced: true)
                }
            }
            // Its few pages are there still for what happened.
            journal.note(fixture.end("op-1", .at(1), seq: 3), promptly: true)
            try await eventually("the outcome is written") {
                try await journal.operation(id: "op-1")?.view.state == .done
            }
            await journal.close()
        }
    }

    @Test func `a full disk on which the log can be copied is used again by itself`() async throws {
        try await withTemporaryDirectory { directory in
            let disk = try Disk()
            var limits = JournalLimits.quick
            (limits.events, limits.audit, limits.operations, limits.slack) = (20, 20, 20, 5)
            let folder = "\(directory)/state"
            // A database that has reached its size: what is added takes the place of what was removed.
            var journal = try fixture.open(folder, limits: limits, vfs: disk.name)
            var seq: UInt64 = 1
            func fill(_ count: Int) async throws {
                for _ in 0..<count {
                    try await journal.record(
                        fixture.beginning("op-\(seq)", .at(1), seq: seq)
                            + fixture.end("op-\(seq)", .at(1), seq: seq + 1), synced: true)
                    seq += 2
                }
            }
            try await fill(300)
            await journal.close()
            // A log that nobody copies: the limits are out of reach.
            (limits.walPages, limits.idleWalPages) = (100_000, 100_000)
            journal = try fixture.open(folder, limits: limits, vfs: disk.name)
            try await fill(40)
            faulty_disk_set_room(disk.handle, 0)
            try await eventually("it was full once, and heals") {
                _ = try? await journal.record(
                    fixture.beginning("op-\(seq)", .at(1), seq: seq), synced: true)
                seq += 1
                return fixture.states.withLock { $0.count == 2 && $0.last == .durable }
            }
            try await journal.record(fixture.beginning("last", .at(1), seq: seq), synced: true)
            await journal.close()
        }
    }

    @Test func `a disk that is full at the beginning heals by itself`() async throws {
        try await withTemporaryDirectory { directory in
            let disk = try Disk()
            faulty_disk_set_room(disk.handle, 5000)
            let journal = try fixture.open("\(directory)/state", vfs: disk.name)
            #expect(
                journal.state
                    == .broken(reason: "\(directory)/state/journal.sqlite: the disk is full"))
            faulty_disk_set_room(disk.handle, -1)
            try await eventually("it heals") { journal.state == .durable }
            await journal.close()
        }
    }

    @Test func `of what waits for a full disk the oldest events give way first`() async throws {
        try await withTemporaryDirectory { directory in
            let disk = try Disk()
            var limits = JournalLimits.patient
            limits.backlog = 10
            let journal = try fixture.open("\(directory)/state", limits: limits, vfs: disk.name)
            faulty_disk_fail_writes(disk.handle, Code.full)
            for seq in 1...20 {
                let body = EventBody.doorOpened(locker: .at(seq))
                var entries: [JournalEntry] = [
                    .event(Event(seq: UInt64(seq), at: fixture.wall, body: body))
                ]
                if seq <= 4 { entries.append(.audit(AuditNote(.service, fixture.stamp()))) }
                journal.note(entries, promptly: true)
                try await eventually("the event was handed on") {
                    fixture.written.withLock { $0.last } == UInt64(seq)
                }
            }
            faulty_disk_fail_writes(disk.handle, 0)
            try await journal.record([], synced: true)
            #expect(try await journal.audit(AuditQuery(limit: 99)).headNumber == 4)
            await journal.close()
            let again = try fixture.open("\(directory)/state", run: 2)
            #expect(again.legacy.events.map(\.seq) == Array(15...20))
            #expect(again.legacy.lastSeq == 20)
            await again.close()
        }
    }
}
