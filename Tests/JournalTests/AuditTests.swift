import Foundation
import JSONLines
import Journal
import LockerCore
import LockerKit
import Logging
import SiteModel
import TestSupport
import Testing

/// Checks the chain with nothing of ours: Python's own SQLite, JSON and SHA-256. Prints what is wrong, one a line.
private let checker = #"""
    import hashlib, json, sqlite3, sys
    db = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
    head, head_hash, number, previous = db.execute(
        "SELECT audit_n, audit_hash, audit_first, audit_previous FROM meta").fetchone()
    for n, text in db.execute("SELECT n, entry FROM audit ORDER BY n"):
        entry = json.loads(text)
        claimed = entry.pop("hash")
        covered = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        if n != number or entry["n"] != number: print(f"{number} is not in its place")
        if entry["previous"] != previous: print(f"{number} breaks the chain")
        if hashlib.sha256(covered.encode()).hexdigest() != claimed: print(f"{number} was changed")
        if any(isinstance(value, float) for value in entry.values()): print(f"{number} has a fraction")
        number, previous = number + 1, claimed
    if number - 1 != head: print(f"ends at {number - 1} and not at {head}")
    if previous != head_hash: print("the head has another hash")
    print("checked", head)
    """#

@Suite struct AuditTests {
    /// Runs Python and returns the lines it prints.
    private func python(_ script: String, _ argument: String) async throws -> [String] {
        let child = try ChildProcess(Checkout.python, ["-c", script, argument])
        let status = try await child.exitStatus()
        try #require(status == 0, "\(child.standardError)")
        return child.standardOutput.split(separator: "\n").map(String.init)
    }

    /// One entry of each act, with everything that an entry can hold.
    private func everyNote(_ fixture: JournalFixture) -> [AuditNote] {
        AuditNote.Act.allCases.map { act in
            var note = AuditNote(act, fixture.stamp())
            note.peer = Peer(
                uid: .max, gid: 0, groups: [], pid: 1, process: act == .open ? nil : "k")
            note.operation = "op-1"
            note.locker = act == .openAll ? nil : .at(3)
            note.lockers = act == .openAll ? 24 : nil
            note.key = "k \u{1} \u{7F} \u{8} \t"
            note.reason = "Päckchen \"7\" \\ / \u{2028} 🔑 line\nfeed"
            note.isMaintenance = act == .open
            switch act {
            case .outcome: note.result = .opened(.at(3))
            case .amended:
                note.result = LockerResult(
                    locker: .at(3),
                    ending: .failed(LockerError(.timedOut, "no\u{C}answer", fired: .unknown)))
            case .recovered:
                note.result = LockerResult(
                    locker: .at(3), ending: .skipped(reason: "out of service"))
            case .service:
                var service = ServiceState()
                service.outOfService = true
                note.service = service
            default: note.subject = "wall"
            }
            return note
        }
    }

    private func filled(_ state: String, _ fixture: JournalFixture) async throws {
        let journal = try fixture.open(state)
        for note in everyNote(fixture) { try await journal.record([.audit(note)], synced: false) }
        #expect(try problems(in: try await journal.audit(AuditQuery(limit: 100))) == [])
        await journal.close()
    }

    @Test(.enabled(if: Checkout.whyNoPeers == nil, "\(Checkout.whyNoPeers ?? "")"))
    func `Python arrives at the same hashes, also of odd texts`() async throws {
        try await withTemporaryDirectory { directory in
            let fixture = JournalFixture()
            try await filled("\(directory)/state", fixture)
            let file = "\(directory)/state/journal.sqlite"
            let count = AuditNote.Act.allCases.count
            #expect(try await python(checker, file) == ["checked \(count)"])
            // It goes on in the next run, and after a commit that failed.
            let again = try fixture.open("\(directory)/state", run: 2)
            again.note([.audit(AuditNote(.started, fixture.stamp()))], promptly: false)
            await again.close()
            #expect(try await python(checker, file) == ["checked \(count + 1)"])
        }
    }

    @Test(
        .enabled(if: Checkout.whyNoPeers == nil, "\(Checkout.whyNoPeers ?? "")"),
        arguments: [
            (
                "UPDATE audit SET entry = replace(entry, '\"uid\":4294967295', '\"uid\":0') WHERE n = 4",
                "4 was changed"
            ),
            ("DELETE FROM audit WHERE n = 5", "5 is not in its place"),
            ("DELETE FROM audit WHERE n >= 10", "ends at 9 and not at 12"),
            ("DELETE FROM audit WHERE n = 1", "1 is not in its place"),
            (
                "UPDATE audit SET entry = (SELECT b.entry FROM audit b WHERE b.n = 9 - audit.n) WHERE n IN (4, 5)",
                "4 is not in its place"
            ),
            ("DELETE FROM audit", "ends at 0 and not at 12"),
        ])
    func `an edit, a removal and a swap are found`(sql: String, found: String) async throws {
        try await withTemporaryDirectory { directory in
            let fixture = JournalFixture()
            try await filled("\(directory)/state", fixture)
            let file = "\(directory)/state/journal.sqlite"
            _ = try await python(
                "import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1])\ndb.execute(\"\"\"\(sql)\"\"\")\ndb.commit()",
                file)
            #expect(try await python(checker, file).contains(found))

            // The next run neither mends nor hides it.
            let again = try fixture.open("\(directory)/state", run: 2)
            #expect(again.state == .durable)
            try await again.record([.audit(AuditNote(.started, fixture.stamp()))], synced: true)
            let page = try await again.audit(AuditQuery(limit: 100))
            #expect(page.headNumber == 13)
            #expect(try problems(in: page) != [])
            await again.close()
            #expect(try await python(checker, file) != ["checked 13"])
        }
    }

    @Test func `a page is asked for by number, length and locker`() async throws {
        let fixture = JournalFixture()
        let journal = try fixture.open(nil)
        for number in 1...9 {
            var note = AuditNote(.outcome, fixture.stamp())
            note.result = .opened(.at(number % 3))
            try await journal.record([.audit(note)], synced: false)
        }
        func numbers(_ query: AuditQuery) async throws -> [Int] {
            try await journal.audit(query).entries.map {
                try JSONReader.parse($0)["n"]?.intValue ?? 0
            }
        }
        #expect(try await numbers(AuditQuery(limit: 4)) == [1, 2, 3, 4])
        #expect(try await numbers(AuditQuery(since: 7, limit: 4)) == [8, 9])
        #expect(try await numbers(AuditQuery(since: 1, limit: 2, locker: "wall/1")) == [4, 7])
        #expect(try await numbers(AuditQuery(limit: 0)) == [])
        #expect(try await numbers(AuditQuery(limit: 5, locker: "wall/9")) == [])
        #expect(try await journal.audit(AuditQuery(limit: 1)).headNumber == 9)
        await journal.close()
    }

    @Test func `an audit without entries has the beginning of the chain as its head`() async throws
    {
        let journal = try JournalFixture().open(nil)
        let page = try await journal.audit(AuditQuery(limit: 1))
        #expect(page.headNumber == 0)
        #expect(page.firstNumber == 1)
        #expect(try problems(in: page) == [])
        await journal.close()
    }
}
