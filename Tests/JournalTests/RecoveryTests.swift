import CoreForms
import Foundation
import JSONLines
import Journal
import LockerCore
import LockerKit
import SiteModel
import TestSupport
import Testing

/// Copies the database as a crash would leave it, while its journal is still open.
func copyState(_ from: String, _ to: String) throws {
    try FileManager.default.createDirectory(
        atPath: to, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    for name in ["journal.sqlite", "journal.sqlite-wal"] {
        try FileManager.default.copyItem(atPath: "\(from)/\(name)", toPath: "\(to)/\(name)")
    }
}

@Suite struct RecoveryTests {
    /// An entry of a device's log is an event exactly once: how far it has come is kept in one with the events.
    @Test func `how far a device's log has become events is kept with these`() async throws {
        try await withTemporaryDirectory { directory in
            let fixture = JournalFixture()
            let first = try fixture.open("\(directory)/a")
            #expect(first.legacy.cursors.isEmpty)
            func event(_ seq: UInt64, _ number: Int64) -> JournalEntry {
                let entry = DeviceLogEntry(
                    number: number, kind: "access", at: 1000, figures: ["errorCode": 48])
                return .event(
                    Event(
                        seq: seq, at: fixture.wall,
                        body: .controllerEvent(
                            controller: "north", locker: LockerIdentity.at(3), entry: entry,
                            missed: 0)))
            }
            first.note(
                [event(1, 7), event(2, 8), .cursor(controller: "north", through: 8)],
                promptly: true)
            try await first.record([], synced: true)
            try copyState("\(directory)/a", "\(directory)/b")
            first.note([.cursor(controller: "north", through: 9)], promptly: true)
            await first.close()
            for (folder, through) in [("a", Int64(9)), ("b", 8)] {
                let second = try fixture.open("\(directory)/\(folder)", run: 2)
                #expect(second.legacy.cursors == ["north": through])
                #expect(second.legacy.events.count == 2)
                guard case .recorded(let kept)? = second.legacy.events.last?.body else {
                    Issue.record("no event was kept")
                    continue
                }
                #expect(kept.type == "controller.event" && kept.members.contains("\"number\":8"))
                await second.close()
            }
        }
    }

    @Test func `an open that was about to fire is unknown after a crash`() async throws {
        try await withTemporaryDirectory { directory in
            let fixture = JournalFixture()
            let first = try fixture.open("\(directory)/a")
            let locker = LockerIdentity.at(3)
            try await first.record(
                fixture.beginning("op-1", locker, key: "k", seq: 1), synced: true)
            try copyState("\(directory)/a", "\(directory)/b")
            await first.close()

            let second = try fixture.open("\(directory)/b", run: 2)
            let result = LockerResult(
                locker: locker,
                ending: .outcome(.unknown, evidence: .none, door: .unknown, timing: OpenTiming()))
            let view = OperationView(
                id: "op-1", kind: .open, acceptedAt: fixture.wall, lockers: [locker], state: .done,
                results: [result])
            #expect(second.legacy.recovered == [view])
            #expect(second.legacy.lastSeq == 2)
            let body = EventBody.operationDone(
                operation: "op-1", kind: .open, scope: OperationScope(.open, [locker]),
                result: result, summary: OpenAllSummary([result]))
            #expect(second.legacy.events.map(\.seq) == [1, 2])
            #expect(second.legacy.events.last?.body == .recorded(RecordedEvent(body)))
            #expect(second.legacy.lockers["wall/3"]?.lastOpen?.outcome == .unknown)
            #expect(try await second.operation(key: "k")?.view == view)
            let page = try await second.audit(AuditQuery(limit: 10))
            #expect(try problems(in: page) == [])
            let last = try JSONReader.parse(try #require(page.entries.last))
            #expect(last["act"] == "recovered")
            #expect(last["operation"] == "op-1")
            #expect(last["outcome"] == "unknown")
            #expect(last["bootId"] == "boot-2")
            #expect(last["peer"] == .null)
            await second.close()

            let third = try fixture.open("\(directory)/b", run: 3)
            #expect(third.legacy.recovered.isEmpty)
            #expect(third.legacy.lastSeq == 2)
            await third.close()
        }
    }

    @Test func `an open-all is closed locker by locker`() async throws {
        try await withTemporaryDirectory { directory in
            let fixture = JournalFixture()
            let first = try fixture.open("\(directory)/a")
            let lockers = (1...3).map(LockerIdentity.at)
            try await first.record(
                [.accepted(.of("op-1", lockers, kind: .openAll), .plain)], synced: true)
            try await first.record(
                [
                    .intent(operation: "op-1", locker: lockers[0], pulse: .milliseconds(200)),
                    .intent(operation: "op-1", locker: lockers[1], pulse: .milliseconds(200)),
                ], synced: true)
            try await first.record(
                [.result(operation: "op-1", .opened(lockers[0]))], synced: false)
            try copyState("\(directory)/a", "\(directory)/b")
            await first.close()

            let second = try fixture.open("\(directory)/b", run: 2)
            let view = try #require(second.legacy.recovered.first)
            #expect(view.results.map(\.locker) == lockers)
            #expect(view.results[0] == .opened(lockers[0]))
            guard case .outcome(.unknown, _, _, _) = view.results[1].ending else {
                Issue.record("\(view.results[1].ending)")
                return
            }
            guard case .failed(let error) = view.results[2].ending else {
                Issue.record("\(view.results[2].ending)")
                return
            }
            #expect(error.code == .stopping)
            #expect(error.fired == .no)
            let event = try #require(second.legacy.events.last?.json)
            #expect(event["summary"] == ["opened": 1, "failed": 1, "skipped": 0, "unknown": 1])
            #expect(Set(second.legacy.lockers.keys) == ["wall/2"])
            #expect(try await second.audit(AuditQuery(limit: 10)).headNumber == 2)
            await second.close()
        }
    }

    @Test func `event numbers skip ahead only when the power may have taken some`() async throws {
        try await withTemporaryDirectory { directory in
            let fixture = JournalFixture()
            let first = try fixture.open("\(directory)/a")
            let event = Event(seq: 41, at: fixture.wall, body: .doorOpened(locker: .at(1)))
            try await first.record([.event(event)], synced: false)
            for copy in ["crash", "cut"] { try copyState("\(directory)/a", "\(directory)/\(copy)") }
            await first.close()

            for (folder, machine, wanted) in [
                ("a", "machine-2", 41), ("crash", "machine-1", 41), ("cut", "machine-2", 2041),
            ] as [(String, String, UInt64)] {
                let again = try fixture.open("\(directory)/\(folder)", run: 2, machine: machine)
                #expect(again.legacy.lastSeq == wanted, "\(folder)")
                #expect(again.legacy.events.map(\.seq) == [41])
                await again.close()
                let third = try fixture.open("\(directory)/\(folder)", run: 3, machine: machine)
                #expect(third.legacy.lastSeq == wanted, "\(folder), opened again")
                await third.close()
            }
        }
    }

    @Test func `what a large site left is read in no time`() async throws {
        try await withTemporaryDirectory { directory in
            let fixture = JournalFixture()
            let first = try fixture.open("\(directory)/state")
            var entries: [JournalEntry] = []
            for number in 1...10_000 {
                var kept = KeptLocker()
                kept.lastOpen = LastOpen(
                    operation: "op-0123abcd-\(number)", at: fixture.wall, outcome: .opened)
                kept.wear.cycles = number
                for time in [120, 200, 300, 500] {
                    kept.wear.doorTimes.add(.milliseconds(time))
                }
                entries.append(.locker(.at(number), kept))
                let body = EventBody.doorOpened(locker: .at(number))
                entries.append(.event(Event(seq: UInt64(number), at: fixture.wall, body: body)))
            }
            try await first.record(entries, synced: true)
            await first.close()
            let second = try fixture.open("\(directory)/state", run: 2)
            #expect(second.legacy.events.count == 10_000)
            #expect(second.legacy.lockers.count == 10_000)
            await second.close()
        }
    }
}
