import ControlClient
import Foundation
import JSONLines
import TestSupport
import Testing

@Suite struct ConfigurationTests {
    @Test func checkNamesEveryProblemWithFileAndLine() async throws {
        try await withTemporaryDirectory { folder in
            let wall = TestSite.simulated("wall", firstID: 101)
                .replacingOccurrences(of: "lockers = 4", with: "lockers = 4000\ncolour = 3")
            let site = try TestSite(
                in: folder, ["links.d/wall.toml": wall],
                daemonFile: "sit = \"x\"\nmodule_dirs = [\"../modules\"]\n")
            let check = try await site.run(["--check"])
            #expect(check.status == 1)
            let lines = check.out.split(separator: "\n")
            #expect(
                lines.contains {
                    $0.contains("lockerd.toml:1: unknown key \"sit\"; did you mean \"site\"?")
                })
            #expect(
                lines.contains {
                    $0.contains("links.d/wall.toml:6: ") && $0.contains("lockers is 4000")
                })
            #expect(
                lines.contains { $0.contains("links.d/wall.toml:7: ") && $0.contains("colour") })
            let start = try await site.run(["--socket", site.socket])
            #expect(start.status == EX_CONFIG)
            #expect(start.err.contains("did you mean \"site\"?"))
        }
    }

    @Test(.enabled(if: getuid() == 0, "only root can become somebody else"))
    func checkNamesAFileThatItsUserMayNotRead() async throws {
        try await withTemporaryDirectory { folder in
            let site = try TestSite(
                in: folder,
                [
                    "links.d/wall.toml": TestSite.simulated("wall", firstID: 101),
                    "links.d/yard.toml": TestSite.simulated("yard", firstID: 201),
                ])
            try FileManager.default.setAttributes(
                [.posixPermissions: 0o600], ofItemAtPath: "\(site.etc)/links.d/yard.toml")
            let process = try ChildProcess(
                "/usr/bin/setpriv",
                [
                    "--reuid=65534", "--regid=65534", "--clear-groups",
                    Checkout.program("lockerd"), "--config", site.etc, "--check",
                ])
            #expect(try await process.exitStatus() == 1)
            let lines = process.standardOutput.split(separator: "\n")
            #expect(lines == ["links.d/yard.toml:1: cannot be read: permission denied"])
        }
    }

    @Test func checkIsSilentlyHappyWithTheDemo() async throws {
        try await withTemporaryDirectory { folder in
            try FileManager.default.copyItem(
                atPath: "\(Checkout.root)/etc/demo", toPath: "\(folder)/etc")
            let text = try String(contentsOfFile: "\(folder)/etc/lockerd.toml", encoding: .utf8)
            let site = try TestSite(
                in: folder, [:], daemonFile: "module_dirs = [\"../modules\"]\n" + text)
            let check = try await site.run(["--check"])
            #expect(check.status == 0, "\(check.out)")
        }
    }

    @Test func checkRefusesWhatTheDaemonWouldRefuseSecondsLater() async throws {
        try await withTemporaryDirectory { folder in
            let site = try TestSite(
                in: folder,
                [
                    "links.d/wall.toml": TestSite.simulated("wall", firstID: 101),
                    "links.d/board.toml": TestSite.modbus(port: 502)
                        .replacingOccurrences(of: "\"127.0.0.1\"", with: "\"\""),
                ],
                daemonFile: TestSite.daemonFile
                    + "[[uplink]]\nmodule = \"http\"\nurl = \"http://x y\"\n")
            let modules = "\(folder)/modules"
            try FileManager.default.removeItem(atPath: "\(modules)/modbus/modbus-module")
            try FileManager.default.setAttributes(
                [.posixPermissions: 0o777], ofItemAtPath: "\(modules)/simulator/simulator-module")
            let check = try await site.run(["--check"])
            #expect(check.status == 1)
            let lines = check.out.split(separator: "\n")
            for (start, end) in [
                ("lockerd.toml:8: uplink.url is a URL that holds a space", "at most 2048 bytes"),
                (
                    "links.d/board.toml:1: driver is \"modbus\", which will not be run: ",
                    "no such file"
                ),
                ("links.d/board.toml:4: link.host is \"\"", "an IP address"),
                (
                    "links.d/wall.toml:1: driver is \"simulator\", which will not be run: ",
                    "has mode 0777; want no write permission for group and others"
                ),
            ] {
                #expect(
                    lines.contains { $0.hasPrefix(start) && $0.hasSuffix(end) },
                    "\(start)…\(end)\n\(check.out)")
            }
            #expect(lines.count == 4, "\(check.out)")
        }
    }

    @Test func aBadLinkFileFaultsItsLinkAndTheRestServes() async throws {
        try await withTemporaryDirectory { folder in
            let site = try TestSite(
                in: folder,
                [
                    "links.d/wall.toml": TestSite.simulated("wall", firstID: 101),
                    "links.d/yard.toml": TestSite.simulated("yard", firstID: 201)
                        + "\npuls_ms = 3\n",
                    "links.d/shed.toml": "driver = \n",
                ])
            let daemon = try await site.start()
            #expect(try await daemon.open("wall/1").outcome == .opened)
            let yard = try await daemon.controller("yard")
            #expect(yard["state"] == "faulted")
            #expect(yard["reason"]?.stringValue?.contains("did you mean \"pulse_ms\"?") == true)
            #expect(try await daemon.state(of: "shed") == "faulted")
            let status = try await daemon.call("status")
            #expect(status["health"] == "degraded")
            #expect(try await daemon.stop() == 0)
        }
    }

    @Test func brokenMonitoringAndUnknownUsersKeepNoDoorShut() async throws {
        try await withTemporaryDirectory { folder in
            let site = try TestSite(
                in: folder, ["links.d/wall.toml": TestSite.simulated("wall", firstID: 101)],
                daemonFile: TestSite.daemonFile + """
                    [[control.rule]]
                    users = ["no-such-user"]
                    rights = ["operate"]
                    [[uplink]]
                    module = "pigeon"
                    """)
            let check = try await site.run(["--check"])
            #expect(check.status == 1)
            let lines = check.out.split(separator: "\n")
            #expect(lines.count == 2)
            #expect(lines.first?.hasPrefix("lockerd.toml:7: control.rule.users[0] is ") == true)
            #expect(lines.last?.hasPrefix("lockerd.toml:10: uplink.module is \"pigeon\"") == true)
            let daemon = try await site.start()
            #expect(try await daemon.open("wall/1").outcome == .opened)
            // What the log says of an uplink that cannot run is what the check says.
            try await eventually("the log names the uplink's problem") {
                daemon.process.standardError.contains("lockerd.toml:10: uplink.module is")
            }
            #expect(try await daemon.stop() == 0)
        }
    }

    @Test(arguments: ["SIGHUP", "method"])
    func aReloadTouchesOnlyLinksWhoseFilesChanged(way: String) async throws {
        try await withTemporaryDirectory { folder in
            let site = try TestSite(
                in: folder,
                [
                    "links.d/wall.toml": TestSite.simulated("wall", firstID: 101),
                    "links.d/yard.toml": TestSite.simulated("yard", firstID: 201),
                    "links.d/shed.toml": TestSite.simulated("shed", firstID: 301),
                ])
            let daemon = try await site.start()
            let before = daemon.modules
            try write(
                TestSite.simulated("yard", firstID: 201, lockers: 6),
                to: "\(site.etc)/links.d/yard.toml")
            try FileManager.default.removeItem(atPath: "\(site.etc)/links.d/shed.toml")
            try write(
                TestSite.simulated("attic", firstID: 401), to: "\(site.etc)/links.d/attic.toml")
            // An open that is under way on the untouched link must not notice.
            async let meanwhile = daemon.open("wall/2")
            if way == "SIGHUP" {
                daemon.process.signal(SIGHUP)
            } else {
                let view = try await daemon.call("reload")
                #expect(view["changed"] == ["yard"])
                #expect(view["unchanged"] == ["wall"])
            }
            try await eventually("the new plan is in force") {
                let attic = try await daemon.state(of: "attic")
                let yard = try await daemon.controller("yard")
                return attic == "ready" && yard["state"] == "ready" && yard["lockers"] == 6
            }
            #expect(try await meanwhile.outcome == .opened)
            let after = daemon.modules
            #expect(after.keys.sorted() == ["attic", "wall", "yard"])
            #expect(after["wall"] == before["wall"])
            #expect(after["yard"] != before["yard"])
            #expect(before["shed"].map(isAlive) == false)
            #expect(try await daemon.controller("wall")["restarts"] == 0)
            #expect(try await daemon.open("yard/6").outcome == .opened)
            #expect(try await daemon.stop() == 0)
        }
    }

    @Test func aReloadSaysWhatIsWrongWithALinkFile() async throws {
        try await withTemporaryDirectory { folder in
            let text = TestSite.simulated("wall", firstID: 101)
            let site = try TestSite(in: folder, ["links.d/wall.toml": text])
            let daemon = try await site.start()
            #expect(try await daemon.call("reload")["problems"] == [])
            try write("\(text)\npuls_ms = 3", to: "\(site.etc)/links.d/wall.toml")
            let view = try await daemon.call("reload")
            #expect(view["faulted"] == ["wall"])
            #expect(
                view["problems"] == [
                    "links.d/wall.toml:13: controller: unknown key \"puls_ms\"; did you mean \"pulse_ms\"?"
                ])
            #expect(try await daemon.stop() == 0)
        }
    }

    @Test(.enabled(if: getuid() == 0, "only root can become somebody else"))
    func aGroupThatIsNotTheDaemonsOwnIsRefusedWithTheRemedy() async throws {
        try await withTemporaryDirectory { folder in
            let site = try TestSite(
                in: folder, [:],
                daemonFile: TestSite.daemonFile + "[control]\ngroup = 0\n")
            try FileManager.default.setAttributes([.posixPermissions: 0o777], ofItemAtPath: folder)
            let process = try ChildProcess(
                "/usr/bin/setpriv",
                [
                    "--reuid=65534", "--regid=65534", "--clear-groups",
                    Checkout.program("lockerd"), "--config", site.etc, "--socket", site.socket,
                ])
            #expect(try await process.exitStatus() == EX_UNAVAILABLE)
            try await eventually("the remedy is printed") {
                process.standardError.contains(
                    "add the daemon's user to that group (SupplementaryGroups= in the unit)")
            }
        }
    }

    @Test func aReloadOfABadDaemonFileChangesNothing() async throws {
        try await withTemporaryDirectory { folder in
            let site = try TestSite(
                in: folder, ["links.d/wall.toml": TestSite.simulated("wall", firstID: 101)])
            let daemon = try await site.start()
            let before = daemon.modules
            try write("site = 3\n", to: "\(site.etc)/lockerd.toml")
            let error = await #expect(throws: ControlError.self) { try await daemon.call("reload") }
            guard case .refused(let fault) = error else { throw Timeout(description: "no fault") }
            #expect(fault.code == "CONFLICT")
            #expect(fault.message.contains("lockerd.toml:1"))
            #expect(daemon.modules == before)
            #expect(try await daemon.open("wall/1").outcome == .opened)
            #expect(try await daemon.stop() == 0)
        }
    }

    @Test(.enabled(if: getuid() == 0, "only root can become somebody else"))
    func aPeerWithoutRightsIsToldWhichRuleWouldHelp() async throws {
        try await withTemporaryDirectory { folder in
            let rules =
                TestSite.daemonFile + """

                    [[control.rule]]
                    users = [65533]
                    rights = ["view"]
                    """
            let site = try TestSite(
                in: folder, ["links.d/wall.toml": TestSite.simulated("wall", firstID: 101)],
                daemonFile: rules)
            let daemon = try await site.start()
            // The mode of the socket is one fence, the rules are another; open the first to see the second.
            try FileManager.default.setAttributes(
                [.posixPermissions: 0o666], ofItemAtPath: site.socket)
            func lockerctl(_ uid: Int, _ verb: [String]) async throws -> (Int32, String) {
                let process = try ChildProcess(
                    "/usr/bin/setpriv",
                    [
                        "--reuid=\(uid)", "--regid=\(uid)", "--clear-groups",
                        Checkout.program("lockerctl"),
                        "--socket", site.socket,
                    ] + verb)
                let status = try await process.exitStatus()
                return (status, process.standardError)
            }
            #expect(try await lockerctl(65533, ["status"]).0 == 0)
            let refused = try await lockerctl(65533, ["open", "wall/1"])
            #expect(refused.0 == 4)
            try await eventually("the refusal is printed") { !refused.1.isEmpty }
            #expect(refused.1.contains("operate"))
            #expect(try await lockerctl(65534, ["status"]).0 == 4)
            #expect(try await daemon.stop() == 0)
        }
    }
}

@Suite struct ServiceManagerTests {
    @Test func aStopDuringTheStartIsTakenAtOnceAndNeverFollowedByReady() async throws {
        try await withTemporaryDirectory { folder in
            // A link that answers nothing for a minute keeps the daemon from being ready for two seconds.
            let site = try TestSite(
                in: folder,
                [
                    "links.d/wall.toml": TestSite.simulated(
                        "wall", firstID: 101, link: "latency_ms = 60000")
                ])
            let script = """
                import os, signal, socket, subprocess, sys, time
                lockerd, etc, sock, notify = sys.argv[1:]
                inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); inbox.bind(notify)
                inbox.settimeout(20)
                daemon = subprocess.Popen([lockerd, "--config", etc, "--socket", sock], stdout=subprocess.PIPE,
                                          env=dict(os.environ, NOTIFY_SOCKET=notify))
                limit = time.monotonic() + 20
                while not os.path.exists(sock) and time.monotonic() < limit: time.sleep(0.01)
                daemon.send_signal(signal.SIGTERM)
                heard = [inbox.recv(4096).decode()]
                out, _ = daemon.communicate(timeout=30)
                inbox.setblocking(False)
                try:
                    while True: heard.append(inbox.recv(4096).decode())
                except BlockingIOError:
                    pass
                print(daemon.returncode, heard, out.decode())
                assert daemon.returncode == 0 and heard == ["STOPPING=1"] and out == b""
                """
            let python = try ChildProcess(
                "/usr/bin/env",
                [
                    "python3", "-c", script, Checkout.program("lockerd"), site.etc, site.socket,
                    "\(folder)/notify",
                ])
            let status = try await python.exitStatus(within: .seconds(60))
            #expect(status == 0, "\(python.standardOutput)\(python.standardError)")
        }
    }

    /// Python stands in for the service manager: it hands over the socket, listens to what the daemon reports.
    @Test func speaksTheNotifyProtocolAndTakesAnInheritedSocket() async throws {
        try await withTemporaryDirectory { folder in
            let site = try TestSite(
                in: folder, ["links.d/wall.toml": TestSite.simulated("wall", firstID: 101)])
            let script = """
                import os, signal, socket, sys, time
                lockerd, etc, sock, notify = sys.argv[1:]
                listener = socket.socket(socket.AF_UNIX); listener.bind(sock); listener.listen(16)
                inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); inbox.bind(notify)
                inbox.settimeout(20)
                pid = os.fork()
                if pid == 0:
                    os.dup2(listener.fileno(), 3); os.set_inheritable(3, True)
                    env = dict(os.environ, LISTEN_FDS="1", LISTEN_PID=str(os.getpid()), NOTIFY_SOCKET=notify,
                               WATCHDOG_USEC="400000", WATCHDOG_PID=str(os.getpid()))
                    os.execve(lockerd, [lockerd, "--config", etc], env)
                heard = []
                def hear(word):
                    while True:
                        text = inbox.recv(4096).decode(); heard.append(text)
                        if word in text: return
                hear("READY=1"); hear("WATCHDOG=1"); hear("WATCHDOG=1")
                c = socket.socket(socket.AF_UNIX); c.connect(sock)
                c.sendall(b'{"jsonrpc":"2.0","id":1,"method":"open","params":{"locker":101}}\\n')
                reply = c.makefile().readline()
                assert '"outcome":"opened"' in reply, reply
                os.kill(pid, signal.SIGHUP); hear("RELOADING=1"); hear("READY=1")
                os.kill(pid, signal.SIGTERM); hear("STOPPING=1")
                _, status = os.waitpid(pid, 0)
                assert os.WEXITSTATUS(status) == 0 and os.WIFEXITED(status), status
                assert os.path.exists(sock), "an inherited socket is not the daemon's to remove"
                print("all heard")
                """
            let python = try ChildProcess(
                "/usr/bin/env",
                [
                    "python3", "-c", script, Checkout.program("lockerd"), site.etc, site.socket,
                    "\(folder)/notify",
                ])
            let status = try await python.exitStatus(within: .seconds(60))
            #expect(status == 0, "\(python.standardError)")
            #expect(python.standardOutput.contains("all heard"))
        }
    }
}
