import Foundation
import JSONLines
import Journal
import LockerCore
import LockerKit
import Locks
import Logging
import SiteModel
import TestSupport
import Testing

@Suite struct BrokenJournalTests {
    private let fixture = JournalFixture()

    private func reason(_ journal: SQLiteJournal) -> String {
        if case .broken(let reason) = journal.state { reason } else { "\(journal.state)" }
    }

    /// What opening says of a folder that `prepare` has got ready; nothing in it may have changed afterwards.
    private func reasonToLeave(
        _ directory: String, _ prepare: (_ file: String) async throws -> Void
    ) async throws -> String {
        let state = "\(directory)/state"
        try await fill(state)
        let file = "\(state)/journal.sqlite"
        try await prepare(file)
        let before = try Data(contentsOf: URL(fileURLWithPath: file))
        let journal = try fixture.open(state, run: 2)
        // Numbers that no earlier run can have given out, and keys that one may have seen.
        #expect(journal.legacy.lastSeq == 1_795_000_000_000)
        #expect(journal.legacy.hasKeys)
        #expect(journal.legacy.events.isEmpty)
        let entry = JournalEntry.audit(AuditNote(.started, fixture.stamp()))
        for _ in 1...2 {
            await #expect(throws: JournalFailure.self) {
                try await journal.record([entry], synced: true)
            }
        }
        await #expect(throws: JournalFailure.self) { _ = try await journal.operation(id: "op-1") }
        journal.note([entry], promptly: true)
        let reason = reason(journal)
        await journal.close()
        #expect(try Data(contentsOf: URL(fileURLWithPath: file)) == before)
        return reason
    }

    private func fill(_ state: String) async throws {
        let journal = try fixture.open(state)
        for number in 1...40 {
            let locker = LockerIdentity.at(number)
            let seq = UInt64(number * 2)
            try await journal.record(
                fixture.beginning("op-\(number)", locker, seq: seq - 1)
                    + fixture.end("op-\(number)", locker, seq: seq), synced: false)
        }
        await journal.close()
    }

    /// A child that is forked has all handles until it has become another program. The lock must not be its to keep.
    @Test func `a closed journal lets go of its folder though a child has the handle`() async throws
    {
        try await withTemporaryDirectory { directory in
            let state = "\(directory)/state"
            let journal = try fixture.open(state)
            let handles = (0..<1024).filter { number in
                let path = try? FileManager.default.destinationOfSymbolicLink(
                    atPath: "/proc/self/fd/\(number)")
                return path == "\(state)/lock"
            }
            let ours = try #require(handles.first)
            // What a fork does with it.
            let childs = dup(Int32(ours))
            defer { close(childs) }
            await journal.close()
            let again = try fixture.open(state, run: 2)
            #expect(again.state == .durable)
            await again.close()
        }
    }

    @Test func `garbage is left as it is`() async throws {
        try await withTemporaryDirectory { directory in
            let reason = try await reasonToLeave(directory) { file in
                try Data((0..<9000).map { UInt8(truncatingIfNeeded: $0 * 7 + 3) }).write(
                    to: URL(fileURLWithPath: file))
            }
            #expect(
                reason
                    == "\(directory)/state/journal.sqlite: it is not a database; move it away")
        }
    }

    @Test func `a file that was cut short is left as it is`() async throws {
        try await withTemporaryDirectory { directory in
            let reason = try await reasonToLeave(directory) { file in
                #expect(truncate(file, 3 * 4096 + 100) == 0)
            }
            #expect(reason.hasSuffix("it is damaged; keep a copy for repair and move it away"))
        }
    }

    @Test func `damage within a file is found after a crash`() async throws {
        try await withTemporaryDirectory { directory in
            let reason = try await reasonToLeave(directory) { file in
                try await sql(file, "UPDATE meta SET clean = 0")
                var bytes = try Data(contentsOf: URL(fileURLWithPath: file))
                for index in 4096 * 5..<4096 * 5 + 60 { bytes[index] = 0x5A }
                try bytes.write(to: URL(fileURLWithPath: file))
            }
            #expect(reason.contains("it is damaged"))
        }
    }

    @Test func `a large file is checked while it serves`() async throws {
        try await withTemporaryDirectory { directory in
            let state = "\(directory)/state"
            try await fill(state)
            let file = "\(state)/journal.sqlite"
            try await sql(file, "UPDATE meta SET clean = 0")
            var bytes = try Data(contentsOf: URL(fileURLWithPath: file))
            // A page of the audit: nothing that opening itself reads.
            let page = bytes.count / 4096 - 3
            for index in page * 4096..<page * 4096 + 60 { bytes[index] = 0x5A }
            try bytes.write(to: URL(fileURLWithPath: file))
            var limits = JournalLimits.quick
            limits.checkedBytes = 0
            let journal = try fixture.open(state, run: 2, limits: limits)
            try await eventually("the damage is found") { reason(journal).contains("damaged") }
            await journal.close()
        }
    }

    @Test func `a file of a newer version is left as it is`() async throws {
        try await withTemporaryDirectory { directory in
            let reason = try await reasonToLeave(directory) { file in
                try await sql(file, "PRAGMA user_version = 99")
            }
            #expect(reason.contains("it was written by a newer version of lockerd (99"))
        }
    }

    @Test(arguments: [
        "UPDATE meta SET audit_n = 9223372036854775807", "UPDATE meta SET audit_first = -1",
        "UPDATE meta SET age_ms = 9007199254740992",
    ])
    func `numbers that no journal reaches are left as they are`(sql text: String) async throws {
        try await withTemporaryDirectory { directory in
            let reason = try await reasonToLeave(directory) { file in try await sql(file, text) }
            #expect(reason.hasSuffix("it holds what no journal writes; move it away"))
        }
    }

    @Test func `another program's database is left as it is`() async throws {
        try await withTemporaryDirectory { directory in
            let reason = try await reasonToLeave(directory) { file in
                try FileManager.default.removeItem(atPath: file)
                try await sql(file, "CREATE TABLE recipes(name TEXT)")
            }
            #expect(reason.contains("it is the database of another program; move it away"))
        }
    }

    /// By Python's SQLite, which shares no connection with ours.
    private func sql(_ file: String, _ text: String) async throws {
        let child = try ChildProcess(
            "/usr/bin/env",
            [
                "python3", "-c",
                "import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1])\ndb.execute(sys.argv[2])\ndb.commit()",
                file, text,
            ])
        try #require(try await child.exitStatus() == 0, "\(child.standardError)")
    }

    @Test func `a folder in the place of the file heals when it is gone`() async throws {
        try await withTemporaryDirectory { directory in
            let state = "\(directory)/state"
            try FileManager.default.createDirectory(
                atPath: "\(state)/journal.sqlite", withIntermediateDirectories: true)
            chmod(state, 0o700)
            let journal = try fixture.open(state)
            #expect(reason(journal) == "\(state)/journal.sqlite: cannot be opened: Is a directory")
            journal.note([.audit(AuditNote(.started, fixture.stamp()))], promptly: false)
            try FileManager.default.removeItem(atPath: "\(state)/journal.sqlite")
            try await eventually("it heals") { journal.state == .durable }
            #expect(try await journal.audit(AuditQuery(limit: 9)).headNumber == 1)
            #expect(fixture.states.withLock { $0 } == [.durable])
            await journal.close()
        }
    }

    @Test func `a folder whose parent is missing heals with it, at the next record`() async throws {
        try await withTemporaryDirectory { directory in
            var limits = JournalLimits.quick
            limits.retryMs = 3_600_000
            let journal = try fixture.open("\(directory)/a/state", limits: limits)
            #expect(
                reason(journal) == "\(directory)/a/state: cannot be made: No such file or directory"
            )
            let seq = journal.legacy.lastSeq + 1
            let entries = fixture.beginning("op-1", .at(1), seq: seq)
            await #expect(throws: JournalFailure("cannot be made: No such file or directory")) {
                try await journal.record(entries, synced: true)
            }
            // Whoever listens hears of the event all the same.
            try await fixture.isTold([seq])
            mkdir("\(directory)/a", 0o755)
            try await journal.record(fixture.beginning("op-2", .at(1), seq: seq + 1), synced: true)
            #expect(journal.state == .durable)
            #expect(try await journal.operation(id: "op-1") == nil)
            #expect(try await journal.operation(id: "op-2") != nil)
            await journal.close()
        }
    }

    @Test func `what earlier runs left is closed also when the file comes late`() async throws {
        try await withTemporaryDirectory { directory in
            let first = try fixture.open("\(directory)/a")
            try await first.record(fixture.beginning("op-1", .at(1), seq: 1), synced: true)
            try copyState("\(directory)/a", "\(directory)/b")
            await first.close()
            chmod("\(directory)/b", 0o777)
            let second = try fixture.open("\(directory)/b", run: 2)
            #expect(reason(second) == "\(directory)/b: others may write to it; chmod 0700 it")
            chmod("\(directory)/b", 0o700)
            let event = Event(seq: 1, at: fixture.wall, body: .doorOpened(locker: .at(5)))
            try await second.record([.event(event)], synced: true)
            #expect(try await second.operation(id: "op-1")?.view.state == .done)
            #expect(second.legacy.recovered.isEmpty)
            let late = try #require(fixture.late.withLock { $0 }.first)
            #expect(late.recovered.map(\.id) == ["op-1"])
            #expect(late.lockers["wall/1"]?.lastOpen?.outcome == .unknown)
            await second.close()
            let third = try fixture.open("\(directory)/b", run: 3)
            #expect(third.legacy.lastSeq == 1)
            await third.close()
        }
    }

    @Test func `folder and files are nobody else's`() async throws {
        try await withTemporaryDirectory { directory in
            let state = "\(directory)/state"
            mkdir(state, 0o755)
            let journal = try fixture.open(state)
            try await journal.record([.audit(AuditNote(.started, fixture.stamp()))], synced: true)
            func mode(_ path: String) throws -> Int? {
                let facts = try FileManager.default.attributesOfItem(atPath: path)
                return (facts[.posixPermissions] as? NSNumber)?.intValue
            }
            #expect(try mode(state) == 0o700)
            for name in ["lock", "journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm"] {
                #expect(try mode("\(state)/\(name)") == 0o600, "\(name)")
            }
            await journal.close()
        }
    }

    @Test(.enabled(if: geteuid() != 0, "root may write to any folder"))
    func `a read-only folder heals when it can be written`() async throws {
        try await withTemporaryDirectory { directory in
            let state = "\(directory)/state"
            mkdir(state, 0o500)
            let journal = try fixture.open(state)
            #expect(reason(journal).contains("Permission denied"))
            chmod(state, 0o700)
            try await eventually("it heals") { journal.state == .durable }
            await journal.close()
        }
    }

    @Test func `two daemons do not share a folder`() async throws {
        try await withTemporaryDirectory { directory in
            let state = "\(directory)/state"
            let first = try fixture.open(state)
            #expect(
                throws: JournalOpenFailure.self,
                performing: { _ = try fixture.open(state, run: 2) })
            await first.close()
            let second = try fixture.open(state, run: 2)
            await second.close()
        }
    }

    @Test func `another process that holds the folder is named`() async throws {
        try await withTemporaryDirectory { directory in
            let state = "\(directory)/state"
            mkdir(state, 0o700)
            let holder = try ChildProcess(
                "/usr/bin/env",
                [
                    "python3", "-uc",
                    """
                    import fcntl, os, sys, time
                    f = open(sys.argv[1] + "/lock", "w")
                    fcntl.flock(f, fcntl.LOCK_EX)
                    f.write(f"{os.getpid()}\\n"); f.flush(); print("held"); time.sleep(60)
                    """, state,
                ])
            try await holder.waitForOutput("held")
            var message = ""
            do { _ = try fixture.open(state) } catch { message = "\(error)" }
            #expect(message == "another daemon (pid \(holder.pid)) uses the state folder \(state)")
            await holder.stop()
            let journal = try fixture.open(state)
            #expect(journal.state == .durable)
            await journal.close()
        }
    }
}
