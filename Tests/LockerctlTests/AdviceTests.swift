import Foundation
import TestSupport
import Testing

@Suite(.enabled(if: Python.whyNot == nil, "\(Python.whyNot ?? "")"))
struct Advice {
    @Test func `a missing socket is named with the command that starts the daemon`() async throws {
        let run = try await lockerctl(
            ["status"], environment: ["LOCKERD_SOCKET": "/nowhere/c.sock"])
        #expect(run.status == 3)
        #expect(run.out.isEmpty)
        #expect(
            run.err == """
                lockerctl: lockerd is not running at /nowhere/c.sock; start it with "systemctl start lockerd", or name \
                another socket with --socket or LOCKERD_SOCKET

                """)
    }

    @Test func `the option wins over the variable and may follow the verb`() async throws {
        let run = try await lockerctl(
            ["status", "--socket", "/nowhere/b.sock"],
            environment: ["LOCKERD_SOCKET": "/nowhere/c.sock"])
        #expect(run.status == 3)
        #expect(run.err.contains("at /nowhere/b.sock;"))
    }

    @Test func `a socket that nobody serves is told from a missing one`() async throws {
        try await FakeDaemon.with("{}") { daemon in
            daemon.process.signal(SIGKILL)
            _ = try await daemon.process.exitStatus()
            let run = try await daemon.ctl("open", "wall/3")
            #expect(run.status == 3)
            #expect(run.err.contains("the socket \(daemon.socket) is there but nobody serves it"))
            #expect(run.err.contains("systemctl start lockerd"))
        }
    }

    @Test func `a file that is no socket is called that`() async throws {
        let run = try await lockerctl(["status", "--socket", "/etc/passwd"])
        #expect(run.status == 3)
        #expect(run.err.contains("/etc/passwd is not the socket of lockerd; name another socket"))
    }

    @Test func `a path longer than a socket may have is called that`() async throws {
        let path = "/tmp/" + String(repeating: "x", count: 200)
        let run = try await lockerctl(["status", "--socket", path])
        #expect(run.status == 3)
        #expect(run.err.contains("longer than the 107 bytes"))
    }

    @Test func `the rule that would permit it is printed, and the exit status is 4`() async throws {
        let message =
            "uid 1000 may not open wall/3; it needs the right \\\"operate\\\", which no rule for you gives"
        let script = """
            {"open":[[{"error":{"code":-32000,"message":"\(message)","data":{"code":"NOT_PERMITTED","fired":"no",
            "retryable":false,"details":{"rule":"control.rule[1]"}}}}]]}
            """
        try await FakeDaemon.with(script) { daemon in
            let run = try await daemon.ctl("open", "wall/3")
            #expect(run.status == 4)
            #expect(
                run.err == """
                    lockerctl: uid 1000 may not open wall/3; it needs the right "operate", which no rule for you gives; \
                    the rule that would allow it: control.rule[1]

                    """)
        }
    }

    @Test func `a refused version names the rule too, and the exit status is 4`() async throws {
        let script = """
            {"version":[[{"error":{"code":-32000,"message":"uid 1000 may not view","data":{"code":"NOT_PERMITTED",
            "fired":"no","retryable":false,"details":{"rule":"control.rule[1]"}}}}]]}
            """
        try await FakeDaemon.with(script) { daemon in
            let run = try await daemon.ctl("version")
            #expect(run.status == 4)
            #expect(run.out.hasPrefix("lockerctl "))
            #expect(
                run.err
                    == "lockerctl: uid 1000 may not view; the rule that would allow it: control.rule[1]\n"
            )
        }
    }

    @Test func `a message of several lines keeps them, indented`() async throws {
        let script = """
            {"reload":[[{"error":\(Sample.fault("CONFLICT", "two problems:\\n  a:1: x\\r\\nb:2: \\u001by"))}]]}
            """
        try await FakeDaemon.with(script) { daemon in
            let run = try await daemon.ctl("reload")
            #expect(run.status == 1)
            #expect(run.err == "lockerctl: two problems:\n  a:1: x\n  b:2: ?y\n")
        }
    }

    @Test func `a daemon of another major version is asked for nothing`() async throws {
        let script = """
            {"version":[[{"result":{"daemon":"lockerd","version":"3.1.0","protocol":{"major":2,"minor":4}}}]]}
            """
        try await FakeDaemon.with(script) { daemon in
            let run = try await daemon.ctl("open", "wall/3")
            #expect(run.status == 1)
            #expect(run.err.contains("lockerd 3.1.0 speaks control protocol 2.4, this lockerctl"))
            #expect(run.err.contains("upgrade lockerctl"))
            #expect(daemon.requests("open").isEmpty)
        }
    }

    @Test func `a command that an older daemon does not know is explained`() async throws {
        try await FakeDaemon.with("{}") { daemon in
            let run = try await daemon.ctl("audit")
            #expect(run.status == 1)
            #expect(run.err.contains("lockerd 9.9.9 does not know this command"))
        }
    }

    @Test func `a refusal by code says where to look`() async throws {
        let script = """
            {"cancel":[[{"error":\(Sample.fault("UNKNOWN_OPERATION", "no operation op-9"))}]],
            "status":[[{"error":\(Sample.fault("UNKNOWN_LOCKER", "no locker wall/99"))}]],
            "restart":[[{"error":\(Sample.fault("UNKNOWN_CONTROLLER", "no controller wal"))}]]}
            """
        try await FakeDaemon.with(script) { daemon in
            let status = try await daemon.ctl("status", "wall/99")
            #expect(status.status == 1)
            #expect(
                status.err
                    == "lockerctl: no locker wall/99; \"lockerctl status\" lists the lockers\n")
            let restart = try await daemon.ctl("restart", "wal")
            #expect(restart.err.contains("\"lockerctl controllers\" lists the controllers"))
            let cancel = try await daemon.ctl("cancel", "op-9")
            #expect(cancel.status == 1)
            #expect(
                cancel.err
                    == "lockerctl: no operation op-9; operations are kept for a day, without a state folder only until "
                    + "lockerd ends\n")
        }
    }

    @Test func `an answer that breaks the protocol is reported with its place`() async throws {
        let script = #"{"status":[[{"result":{"at":"x","bootId":"b","seq":"12"}}]],"events":[]}"#
        try await FakeDaemon.with(script) { daemon in
            let run = try await daemon.ctl("status")
            #expect(run.status == 1)
            #expect(run.err.contains("status.seq: want an integer, got a string"))
        }
    }

    @Test func `a daemon that refuses the connection itself gets its reason printed`() async throws
    {
        let script = """
            {"version":[[{"line":"{\\"jsonrpc\\":\\"2.0\\",\\"id\\":null,\\"error\\":{\\"code\\":-32000,\\"message\\":\\"64 \
            clients are connected, and no more may be\\",\\"data\\":{\\"code\\":\\"BUSY\\",\\"fired\\":\\"no\\"}}}"},
            {"close":true}]]}
            """
        try await FakeDaemon.with(script) { daemon in
            let run = try await daemon.ctl("status")
            #expect(run.status == 1)
            #expect(run.err.contains("64 clients are connected, and no more may be; try again"))
        }
    }
}

/// Needs a user who is not root, because root may connect to any socket.
@Suite(.enabled(if: Python.whyNot == nil, "\(Python.whyNot ?? "")"))
struct SocketPermission {
    @Test(arguments: ["status", "version"])
    func `the group that owns the socket is named`(verb: String) async throws {
        try await FakeDaemon.with("{}") { daemon in
            // Connecting needs the right to write to the socket. Group 4 is adm on every Debian.
            chmod(daemon.socket, 0)
            let asRoot = getuid() == 0
            if asRoot { chown(daemon.socket, 0, 4) }
            guard let run = try await unprivileged(["--socket", daemon.socket, verb]) else {
                return
            }
            #expect(run.status == 4)
            #expect(run.err.contains("no permission to connect to \(daemon.socket)"))
            if asRoot { #expect(run.err.contains("add yourself to group adm")) }
        }
    }

    @Test func `a folder that may not be entered is named`() async throws {
        try await FakeDaemon.with("{}") { daemon in
            let folder = URL(fileURLWithPath: daemon.socket).deletingLastPathComponent().path
            chmod(folder, 0)
            defer { chmod(folder, 0o755) }
            if getuid() == 0 { chown(folder, 0, 4) }
            guard let run = try await unprivileged(["--socket", daemon.socket, "status"]) else {
                return
            }
            #expect(run.status == 4)
            #expect(run.err.contains("no permission to enter \(folder)"))
        }
    }

    /// Runs lockerctl as somebody who is not root; nil, with a reason on the console, where nobody may start it.
    private func unprivileged(_ arguments: [String]) async throws -> Run? {
        guard getuid() == 0 else { return try await lockerctl(arguments) }
        let code =
            "import os,sys; os.setgroups([]); os.setgid(65534); os.setuid(65534); os.execv(sys.argv[1], sys.argv[1:])"
        let python = try #require(Python.path)
        let program = Checkout.program("lockerctl")
        let probe = try await run(python, ["-c", code, program, "--version"])
        guard probe.status == 0 else {
            print("skipped: user nobody cannot run \(program): \(probe.err)")
            return nil
        }
        return try await run(python, ["-c", code, program] + arguments)
    }
}
