import Foundation
import JSONLines
import TestSupport
import Testing

@Suite(.enabled(if: Python.whyNot == nil, "\(Python.whyNot ?? "")"))
struct SmallVerbs {
    @Test(arguments: [
        ["open"], ["open", "a", "b"], ["frobnicate"], ["status", "--bogus"], ["service", "wall/1"],
        ["service", "wall/1", "--in-service", "--out-of-service"],
        ["service", "wall/1", "--broken-lock", "perhaps"],
        ["service", "wall/1", "--in-service", "--reason", "x"],
        ["open", "wall/1", "--wait-ms", "-1"], ["open", "wall/1", "--wait-ms", "soon"],
        ["open-all", "--yes", "--bank", "b", "--controller", "c"], ["completion", "tcsh"],
        ["events", "--since", "-3"], ["audit", "--since", "-1"], ["audit", "--limit", "0"],
        ["audit", "--file", "x"], ["audit", "--verify", "--limit", "5"],
        ["audit", "--verify", "--locker", "wall/1"], [], ["raw", ""], ["raw", " \t"],
        ["raw", "\n"],
        ["raw", "{\"jsonrpc\":\"2.0\",\"id\":1,\n\"method\":\"version\"}"],
    ])
    func `a wrong use is status 2 and asks the daemon nothing`(arguments: [String]) async throws {
        try await FakeDaemon.with("{}") { daemon in
            let run = try await lockerctl(
                arguments, environment: ["LOCKERD_SOCKET": daemon.socket])
            #expect(run.status == 2)
            #expect(run.out.isEmpty)
            #expect(run.err.contains("lockerctl"))
            #expect(daemon.process.standardOutput == "ready\n")
        }
    }

    @Test func `a verb that there is not is answered with the nearest one, or with all`()
        async throws
    {
        for arguments in [
            ["opne", "1"], ["--json", "--socket", "/x", "opne"], ["--socket=/x", "Open"],
        ] {
            let run = try await lockerctl(arguments)
            #expect(run.status == 2)
            #expect(run.err.hasSuffix("; did you mean open?\n"), "\(run.err)")
        }
        let run = try await lockerctl(["frobnicate"])
        #expect(run.status == 2)
        #expect(run.err.hasPrefix("lockerctl: no verb \"frobnicate\"; there are status, open, "))
        // What is wrong before the verb is said first.
        let option = try await lockerctl(["--scoket", "/x", "status"])
        #expect(option.err.contains("--scoket") && !option.err.contains("no verb"))
    }

    @Test func `help is success on standard output`() async throws {
        for arguments in [["--help"], ["help", "open"], ["open", "-h"], ["--version"]] {
            let run = try await lockerctl(arguments)
            #expect(run.status == 0)
            #expect(!run.out.isEmpty)
            #expect(run.err.isEmpty)
        }
    }

    @Test func `the manual page names every verb and every option`() async throws {
        let page = try String(
            contentsOfFile: "\(Checkout.root)/docs/man/lockerctl.1", encoding: .utf8)
        let help = try await lockerctl(["--help"]).out
        let verbs = help.matches(of: /(?m)^  ([a-z][a-z-]+)  +[A-Z]/).map { String($0.output.1) }
        #expect(verbs.count >= 14)
        for verb in verbs {
            #expect(page.firstMatch(of: try Regex("(?m)^\\.It Cm \(verb)$")) != nil, "\(verb)")
            let options = try await lockerctl([verb, "--help"]).out
            for match in options.matches(of: /--([a-z-]+)/) {
                #expect(page.contains("Fl -\(match.output.1)"), "\(verb) --\(match.output.1)")
            }
        }
    }

    @Test func `a locker taken out of service is told with its reason`() async throws {
        let script = """
            {"service":[[{"result":{"id":103,"address":"wall/3","name":"3","controller":"wall","bank":null,"door":"closed",
            "doorAgeMs":1,"quality":"good","operational":true,"outOfService":true,"brokenLock":true,"reasonCode":"dirty",
            "reason":"spilt milk","lastOpen":null,"cycles":0}}]]}
            """
        try await FakeDaemon.with(script) { daemon in
            let run = try await daemon.ctl(
                "service", "wall/3", "--out-of-service", "--code", "dirty", "--reason",
                "spilt milk",
                "--broken-lock", "on")
            #expect(run.status == 0)
            #expect(run.out == "wall/3: out of service spilt milk (dirty), broken lock\n")
            #expect(
                daemon.requests("service").first?["params"]
                    == [
                        "locker": "wall/3", "outOfService": true, "reasonCode": "dirty",
                        "reason": "spilt milk", "brokenLock": true,
                    ])
        }
    }

    @Test func `cancel tells what was and was not fired`() async throws {
        let script = """
            {"cancel":[[{"result":{"operation":"op-7","state":"cancelled","fired":[],
            "notFired":[{"id":102,"address":"wall/2"}]}}]]}
            """
        try await FakeDaemon.with(script) { daemon in
            let run = try await daemon.ctl("cancel", "op-7")
            #expect(run.status == 0)
            #expect(
                run.out
                    == "op-7 cancelled: nothing had been fired; 1 will not be fired (wall/2)\n")
        }
    }

    @Test func `an operation's own end is the exit status`() async throws {
        let script = """
            {"operation":[[{"text":\(quoted(Sample.open("opened")))}],[{"text":\(quoted(Sample.open("jammed")))}]]}
            """
        try await FakeDaemon.with(script) { daemon in
            let opened = try await daemon.ctl("operation", "op-3")
            #expect(opened.status == 0)
            #expect(opened.out == "wall/3 opened (door sensor, 812 ms)\n")
            let jammed = try await daemon.ctl("operation", "op-3")
            #expect(jammed.status == 1)
            #expect(jammed.out.contains("wall/3 jammed"))
        }
    }

    @Test
    func `a reload names the links, says what is wrong, and fails when a link cannot be used`()
        async throws
    {
        let script = """
            {"reload":[[{"result":{"added":["yard"],"removed":[],"changed":[],"unchanged":["sim"],"faulted":[]}}],
            [{"result":{"added":[],"removed":[],"changed":["yard"],"unchanged":["sim"],"faulted":["yard"],
            "problems":["lockerd.toml:9: x","links.d/yard.toml:3: unknown key bauds"]}}],
            [{"result":{"added":[],"removed":[],"changed":[],"unchanged":["sim"],"faulted":[],
            "problems":["lockerd.toml:9: x"]}}]]}
            """
        try await FakeDaemon.with(script) { daemon in
            let good = try await daemon.ctl("reload")
            #expect(good.status == 0)
            #expect(good.out == "added: yard\nunchanged: sim\n")
            let bad = try await daemon.ctl("reload")
            #expect(bad.status == 1)
            #expect(
                bad.err == """
                    lockerctl: 1 link cannot be used: yard; correct the file and reload again:
                      lockerd.toml:9: x
                      links.d/yard.toml:3: unknown key bauds

                    """)
            let advised = try await daemon.ctl("reload")
            #expect(advised.status == 0)
            #expect(advised.out == "unchanged: sim\n")
            #expect(
                advised.err
                    == "lockerctl: read again, but not all of it is right:\n  lockerd.toml:9: x\n")
        }
    }

    @Test func `restart and version say what they did`() async throws {
        try await FakeDaemon.with(#"{"restart":[[{"result":{}}]]}"#) { daemon in
            let restart = try await daemon.ctl("restart", "wall")
            #expect(restart.out.hasPrefix("wall: restarting"))
            #expect(daemon.requests("restart").first?["params"] == ["controller": "wall"])
            _ = try await daemon.ctl("restart", "--uplink", "http")
            #expect(daemon.requests("restart").last?["params"] == ["uplink": "http"])
            let version = try await daemon.ctl("version")
            #expect(version.status == 0)
            #expect(version.out.contains("lockerd 9.9.9 (control protocol 1.0)\n"))
        }
    }

    @Test func `raw sends the line as it is and prints the whole answer`() async throws {
        let script = """
            {"open":[[{"error":\(Sample.fault("NOT_PERMITTED", "no"))}]],"status":[[{"text":"{ \\"a\\": 1.50 }"}]]}
            """
        try await FakeDaemon.with(script) { daemon in
            let good = try await daemon.ctl(
                "raw", #"{"jsonrpc":"2.0","id":"x",  "method":"status"}"#)
            #expect(good.status == 0)
            #expect(good.out == #"{"jsonrpc":"2.0","id":"x","result":{ "a": 1.50 }}"# + "\n")
            #expect(daemon.process.standardOutput.contains(#""id":"x",  "method""#))
            let refused = try await daemon.ctl(
                "raw", #"{"jsonrpc":"2.0","id":1,"method":"open","params":{}}"#)
            #expect(refused.status == 4)
            #expect(try await daemon.ctl("raw", "nonsense").status == 1)
            #expect(
                try await daemon.ctl("raw", #"{"jsonrpc":"2.0","method":"version"}"#).status == 0)
            try await eventually("the notification arrived") {
                !daemon.requests("version").isEmpty
            }
        }
    }

    /// A request and what the daemon answers by `docs/protocol.md`; the exit status that follows.
    @Test(arguments: [
        (
            #"{"method":"probe"}"#,
            #"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"m"}}"#, 1
        ),
        (
            #"{"jsonrpc":"2.0","method":"probe","params":[]}"#,
            #"{"jsonrpc":"2.0","id":null,"error":{"code":-32602,"message":"m"}}"#, 1
        ),
        (
            #"{"jsonrpc":"2.0","method":"probe","id":{}}"#,
            #"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"m"}}"#, 1
        ),
        (
            #"{"jsonrpc":"2.0","id":null,"method":"probe"}"#,
            #"{"jsonrpc":"2.0","id":null,"result":1}"#, 0
        ),
    ])
    func `raw waits for the answer to whatever is no valid notification`(
        request: String, answer: String, status: Int32
    ) async throws {
        try await FakeDaemon.with("{\"probe\":[[{\"line\":\(quoted(answer))}]]}") { daemon in
            let run = try await daemon.ctl("raw", request)
            #expect(run.status == status)
            #expect(run.out == answer + "\n")
        }
    }

    @Test func `raw passes on a batch and fails when one answer is an error`() async throws {
        let good = #"{"jsonrpc":"2.0","id":1,"result":1}"#
        let bad = #"{"jsonrpc":"2.0","id":2,"error":{"code":-32601,"message":"m"}}"#
        let forbidden =
            #"{"jsonrpc":"2.0","id":3,"error":{"code":-32000,"message":"m","data":{"code":"NOT_PERMITTED"}}}"#
        let expected: [(String, Int32)] = [
            ("[\(good)]", 0), ("[\(good),\(bad)]", 1), ("[\(bad),\(forbidden)]", 1),
            ("[\(good),\(forbidden)]", 4),
        ]
        for (answer, status) in expected {
            let script = "{\"*\":[[{\"line\":\(quoted(answer))}]]}"
            try await FakeDaemon.with(script) { daemon in
                let run = try await daemon.ctl(
                    "raw",
                    #"[{"jsonrpc":"2.0","method":"a"},{"jsonrpc":"2.0","id":1,"method":"b"}]"#)
                #expect(run.out == answer + "\n")
                #expect(run.status == status)
            }
        }
    }

    @Test func `raw does not wait long after a batch of notifications`() async throws {
        try await FakeDaemon.with(#"{"*":[[{"sleep":60}]]}"#) { daemon in
            let run = try await daemon.ctl("raw", #"[{"jsonrpc":"2.0","method":"a"}]"#)
            #expect(run.status == 0)
            #expect(run.out.isEmpty && run.err.isEmpty)
        }
    }
}

@Suite(.enabled(if: Python.whyNot == nil, "\(Python.whyNot ?? "")"))
struct Completion {
    @Test func `the bash script is valid and completes lockers of the running site`() async throws {
        let script = "{\"status\":[[{\"text\":\(quoted(Sample.status))}]]}"
        try await FakeDaemon.with(script) { daemon in
            try await withTemporaryDirectory { directory in
                let made = try await lockerctl(["completion", "bash"])
                #expect(made.status == 0)
                try write(made.out, to: "\(directory)/completion.bash")
                let check = try await run("/bin/bash", ["-n", "\(directory)/completion.bash"])
                #expect(check.status == 0, "\(check.err)")

                let ask = """
                    . \(directory)/completion.bash
                    PATH="\(Checkout.programs):$PATH"
                    COMP_WORDS=(lockerctl open wall/) COMP_CWORD=2 COMP_LINE="lockerctl open wall/" COMP_POINT=20
                    _lockerctl; echo "${COMPREPLY[@]}"
                    """
                let run = try await run(
                    "/bin/bash", ["-c", ask], environment: ["LOCKERD_SOCKET": daemon.socket])
                #expect(run.out.contains("wall/1 wall/2 wall/3 wall/4"), "\(run.err)")
            }
        }
    }

    @Test(arguments: ["zsh", "fish"])
    func `other shells get a script that names every verb`(shell: String) async throws {
        let run = try await lockerctl(["completion", shell])
        #expect(run.status == 0)
        for verb in ["status", "open", "open-all", "service", "restart"] {
            #expect(run.out.contains(verb))
        }
    }
}
