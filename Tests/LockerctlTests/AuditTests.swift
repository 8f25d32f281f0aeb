import Foundation
import JSONLines
import TestSupport
import Testing

/// Audits made by Python, whose JSON and SHA-256 share no code with ours.
private enum Export {
    static func lines(_ audit: String) async throws -> String {
        let made = try await run(
            try #require(Python.path, "no python3"),
            [Python.script("fake_lockerd.py"), "--export", audit])
        try #require(made.status == 0, "\(made.err)")
        return made.out
    }

    /// Number and hash of the last entry, as a check prints them.
    static func head(_ audit: String) async throws -> String {
        let last = try #require(try await lines(audit).split(separator: "\n").last)
        let entry = try JSONReader.parse(String(last))
        return try "\(#require(entry["n"]?.intValue)) \(#require(entry["hash"]?.stringValue))"
    }
}

@Suite(.enabled(if: Python.whyNot == nil, "\(Python.whyNot ?? "")"))
struct AuditList {
    private func script(_ audit: String) -> String { "{\"audit\":[[{\"audit\":\(audit)}]]}" }

    @Test func `people get a table of who did what, and see which clock was not set`() async throws
    {
        try await FakeDaemon.with(script(#"{"count":3}"#)) { daemon in
            let run = try await daemon.ctl("audit")
            #expect(run.status == 0)
            #expect(run.err.isEmpty)
            #expect(
                run.out == """
                    N  TIME                       WHO                  ACT      LOCKER  WHAT
                    1  2026-11-21T08:15:01.042Z?  lockerd              started
                    2  2026-11-21T08:15:02.042Z   uid 1000 kiosk[812]  open     wall/1  "Abholung für Müller", key k2, \
                    op-b1-1
                    3  2026-11-21T08:15:03.042Z   lockerd              outcome  wall/1  opened (door-sensor, 812 ms), \
                    op-b1-1

                    """)
        }
    }

    @Test func `every kind of ending and the flags are told`() async throws {
        func entry(_ number: Int, _ members: String) -> String {
            """
            {"n":\(number),"at":"T","monotonicMs":1,"bootId":"b","machineBootId":"m","clockSynchronized":true,\
            "previous":"p","hash":"h",\(members)}
            """
        }
        let entries = [
            entry(
                1, #""act":"open-all","peer":{"uid":0,"gid":0,"pid":9,"process":null},"lockers":2"#),
            entry(
                2,
                #""act":"outcome","peer":null,"locker":{"id":1,"address":"wall/1"},"attempts":3,"error":{"code":"TIMED_OUT","message":"no answer","fired":"unknown"}"#
            ),
            entry(
                3,
                #""act":"outcome","peer":null,"locker":{"id":2,"address":"wall/2"},"skipped":"out of service""#
            ),
            entry(
                4,
                #""act":"service","peer":null,"locker":{"id":2,"address":"wall/2"},"service":{"outOfService":true,"brokenLock":true,"reasonCode":"dirty","reason":null}"#
            ),
            entry(5, #""act":"restart","peer":null,"subject":"wall","novelty":{"a":[1]}"#),
        ].joined(separator: ",")
        let page =
            #"{"entries":[\#(entries)],"first":{"n":1,"previous":"p"},"head":{"n":5,"hash":"h"}}"#
        try await FakeDaemon.with("{\"audit\":[[{\"text\":\(quoted(page))}]]}") { daemon in
            let run = try await daemon.ctl("audit")
            #expect(run.status == 0)
            for words in [
                "uid 0 [9]  open-all          2 lockers\n",
                "wall/1  TIMED_OUT: no answer (fired unknown, 3 attempts)\n",
                "wall/2  skipped: out of service\n",
                "wall/2  out of service (dirty), broken lock\n",
                "restart           wall\n",
            ] { #expect(run.out.contains(words), "\(run.out)") }
        }
    }

    @Test func `programs get every entry as it is kept, however many pages that takes`()
        async throws
    {
        let audit = #"{"count":2500}"#
        try await FakeDaemon.with(script(audit)) { daemon in
            let run = try await daemon.ctl("audit", "--json")
            #expect(run.status == 0)
            #expect(run.out == (try await Export.lines(audit)))
            #expect(
                daemon.requests("audit").map { $0["params"]?["since"] } == [
                    nil, .int(1000), .int(2000),
                ])
        }
    }

    @Test func `since, limit and locker narrow it`() async throws {
        try await FakeDaemon.with(script(#"{"count":2500}"#)) { daemon in
            let run = try await daemon.ctl(
                "audit", "--json", "--since", "3", "--limit", "1200", "--locker", "wall/2")
            let numbers = try run.out.split(separator: "\n").map {
                try JSONReader.parse(String($0))["n"]?.intValue ?? 0
            }
            #expect(numbers.first == 4)
            #expect(numbers.count == 833)
            #expect(
                daemon.requests("audit").first?["params"]
                    == ["since": 3, "limit": 1000, "locker": "wall/2"])
            let few = try await daemon.ctl("audit", "--json", "--limit", "7")
            #expect(few.out.split(separator: "\n").count == 7)
        }
    }

    @Test func `a daemon that gives the same entries for ever is not asked for ever`() async throws
    {
        let page = """
            {"entries":[{"n":1,"at":"T","act":"started","previous":"p","hash":"h"}],"first":{"n":1,"previous":"p"},\
            "head":{"n":9,"hash":"h"}}
            """
        try await FakeDaemon.with("{\"audit\":[[{\"text\":\(quoted(page))}]]}") { daemon in
            let run = try await daemon.ctl("audit")
            #expect(run.status == 1)
            #expect(run.err.contains("entry 1 was not asked for, only those after 1"))
        }
    }

    @Test func `a refusal is told as by every other verb`() async throws {
        let script = #"{"audit":[[{"error":"# + Sample.fault("NOT_PERMITTED", "no") + "}]]}"
        try await FakeDaemon.with(script) { daemon in
            let list = try await daemon.ctl("audit")
            let check = try await daemon.ctl("audit", "--verify")
            #expect([list.status, check.status] == [4, 4])
        }
    }
}

@Suite(.enabled(if: Python.whyNot == nil, "\(Python.whyNot ?? "")"))
struct AuditVerify {
    private func verify(_ audit: String) async throws -> Run {
        var run: Run?
        try await FakeDaemon.with("{\"audit\":[[{\"audit\":\(audit)}]]}") { daemon in
            run = try await daemon.ctl("audit", "--verify")
        }
        return try #require(run)
    }

    private func verifyFile(_ text: String, _ more: String...) async throws -> Run {
        var run: Run?
        try await withTemporaryDirectory { directory in
            try write(text, to: "\(directory)/export.jsonl")
            // No daemon is there, and none is asked.
            run = try await lockerctl(
                ["audit", "--verify", "--file", "\(directory)/export.jsonl"] + more,
                environment: ["LOCKERD_SOCKET": "/nowhere/c.sock"])
        }
        return try #require(run)
    }

    @Test(arguments: [0, 1, 12, 1000, 2500])
    func `an intact audit is counted and its head named`(count: Int) async throws {
        let audit = "{\"count\":\(count)}"
        let run = try await verify(audit)
        let head =
            count == 0 ? "0 " + String(repeating: "0", count: 64) : try await Export.head(audit)
        #expect(run.status == 0, "\(run.err)")
        #expect(
            run.out
                == "\(count == 1 ? "1 entry" : "\(count) entries"), chain intact, head \(head)\n")
    }

    @Test(arguments: [
        ("edited", "entry 7 was edited: its content has not the hash that it names"),
        ("rehashed", "entry 7 was replaced: entry 8 names another hash as the one before it"),
        ("hole", "entry 7 is missing after entry 6"),
        ("order", "entry 7 stands after a later one: the entries are out of order"),
        ("twice", "entry 7 is there twice"),
    ])
    func `what was done to the middle is found by the daemon's audit and by its export`(
        damage: String, problem: String
    ) async throws {
        let audit = "{\"count\":12,\"damage\":\"\(damage)\"}"
        for run in [try await verify(audit), try await verifyFile(Export.lines(audit))] {
            #expect(run.status == 1)
            #expect(run.out.isEmpty)
            #expect(run.err == "lockerctl: the audit is not intact: \(problem)\n")
        }
    }

    @Test(arguments: [
        ("tail", "entries 11 to 12 are missing at the end"),
        ("beginning", "entries 1 to 2 are missing at the beginning"),
        ("end", "entry 12 was replaced: the journal remembers another hash for its newest"),
        ("all", "entries 1 to 12 are missing at the end"),
    ])
    func `what was done to the ends is found where the journal remembers them`(
        damage: String, problem: String
    ) async throws {
        let run = try await verify("{\"count\":12,\"damage\":\"\(damage)\"}")
        #expect(run.status == 1)
        #expect(run.err == "lockerctl: the audit is not intact: \(problem)\n")
    }

    @Test func `entries given up by age are no damage, and those missing behind them are`()
        async throws
    {
        let run = try await verify(#"{"count":12,"from":5}"#)
        #expect(run.status == 0)
        #expect(run.out.hasPrefix("8 entries, chain intact, head 12 "))
        #expect(run.out.hasSuffix("\nit begins with entry 5; earlier ones are not kept any more\n"))
        let cut = try await verify(#"{"count":12,"from":5,"damage":"beginning"}"#)
        #expect(cut.status == 1)
        #expect(cut.err.contains("entries 5 to 6 are missing at the beginning"))
    }

    @Test func `an export is checked without a daemon, and its ends are only named`() async throws {
        let whole = try await verifyFile(Export.lines(#"{"count":12}"#))
        #expect(whole.status == 0, "\(whole.err)")
        #expect(
            whole.out
                == "12 entries, chain intact, head \(try await Export.head(#"{"count":12}"#))\n")
        let cut = try await verifyFile(Export.lines(#"{"count":12,"damage":"beginning"}"#))
        #expect(cut.status == 0)
        #expect(cut.out.contains("10 entries, chain intact, head 12 "))
        #expect(cut.out.contains("it begins with entry 3; whether earlier ones belong to it"))
        // The last line feed may be lacking, and other white space is as good.
        let text = try await Export.lines(#"{"count":3}"#).dropLast()
            .replacingOccurrences(of: "\n", with: "\r\n\n").replacingOccurrences(
                of: ",", with: " , ")
        #expect(try await verifyFile(text).status == 0)
    }

    @Test func `a file that is no export is refused with its line`() async throws {
        let good = try await Export.lines(#"{"count":2}"#)
        let text = try await verifyFile(good + "rubbish\n")
        #expect(text.status == 1)
        #expect(text.err.contains("not intact: line 3: this is not JSON: "))
        let other = try await verifyFile(good + "{\"n\":3}\n")
        #expect(other.status == 1)
        #expect(other.err.contains("line 3: this is no entry of an audit: "))
        let long = try await verifyFile(good + String(repeating: "x", count: 2 << 20))
        #expect(long.status == 1)
        #expect(long.err.contains("line 3: it is longer than 1048576 bytes"))
        let none = try await lockerctl(["audit", "--verify", "--file", "/nowhere/export"])
        #expect(none.status == 2)
        #expect(none.err.contains("file /nowhere/export cannot be read: No such file"))
    }

    @Test func `programs get the verdict as JSON`() async throws {
        let good = try await verifyFile(Export.lines(#"{"count":3}"#), "--json")
        let verdict = try JSONReader.parse(good.out)
        #expect(verdict["intact"] == true)
        #expect(verdict["entries"] == 3)
        #expect(verdict["head"]?["n"] == 3)
        let bad = try await verifyFile(
            Export.lines(#"{"count":12,"damage":"hole"}"#), "--json")
        #expect(bad.status == 1)
        #expect(bad.out == #"{"intact":false,"problem":"entry 7 is missing after entry 6"}"# + "\n")
    }
}
