import ControlClient
import Foundation
import JSONLines
import TestSupport
import Testing

@Suite struct DaemonLifeTests {
    @Test func stopsCleanlyAndTakesItsModulesAndItsSocketAlong() async throws {
        try await withTemporaryDirectory { folder in
            let site = try TestSite(
                in: folder, ["links.d/wall.toml": TestSite.simulated("wall", firstID: 101)])
            let daemon = try await site.start()
            let modules = daemon.modules
            #expect(modules.keys.sorted() == ["wall"])
            #expect(try await daemon.stop() == 0)
            #expect(modules.values.allSatisfy { !isAlive($0) })
            #expect(!FileManager.default.fileExists(atPath: site.socket))
        }
    }

    @Test func aKilledCoreLeavesNoModuleBehindAndTheNextOneServes() async throws {
        try await withTemporaryDirectory { folder in
            let site = try TestSite(
                in: folder,
                [
                    "links.d/wall.toml": TestSite.simulated("wall", firstID: 101),
                    "links.d/yard.toml": TestSite.simulated("yard", firstID: 201),
                ])
            let first = try await site.start()
            let modules = first.modules
            #expect(modules.count == 2)
            first.process.signal(SIGKILL)
            _ = try await first.process.exitStatus()
            try await eventually("no module is left") {
                modules.values.allSatisfy { !isAlive($0) }
            }
            // The dead daemon's socket lies there still.
            #expect(FileManager.default.fileExists(atPath: site.socket))
            let second = try await site.start()
            #expect(try await second.open("wall/1").outcome == .opened)
            #expect(try await second.stop() == 0)
        }
    }

    @Test func aKilledModuleComesBackAndTheOthersNeverNotice() async throws {
        try await withTemporaryDirectory { folder in
            let site = try TestSite(
                in: folder,
                [
                    "links.d/wall.toml": TestSite.simulated("wall", firstID: 101),
                    "links.d/yard.toml": TestSite.simulated("yard", firstID: 201),
                ])
            let daemon = try await site.start()
            let before = daemon.modules
            kill(try #require(before["wall"]), SIGKILL)
            #expect(try await daemon.open("yard/1").outcome == .opened)
            try await eventually("it is back") {
                let wall = try await daemon.controller("wall")
                return wall["state"] == "ready" && wall["restarts"] == 1
            }
            let reason = try await daemon.controller("wall")["reason"]?.stringValue
            #expect(reason?.contains("SIGKILL") == true)
            #expect(try await daemon.open("wall/1").outcome == .opened)
            #expect(daemon.modules["yard"] == before["yard"])
            #expect(try await daemon.controller("yard")["restarts"] == 0)
            #expect(try await daemon.stop() == 0)
        }
    }

    @Test func aSecondDaemonOnTheSameSocketIsRefused() async throws {
        try await withTemporaryDirectory { folder in
            let site = try TestSite(
                in: folder, ["links.d/wall.toml": TestSite.simulated("wall", firstID: 101)])
            let daemon = try await site.start()
            let second = try await site.run(["--socket", site.socket])
            #expect(second.status == EX_UNAVAILABLE)
            #expect(second.err.contains(site.socket))
            #expect(try await daemon.open("wall/1").outcome == .opened)
            #expect(try await daemon.stop() == 0)
        }
    }

    @Test func aClientThatLeavesInTheMiddleHarmsNobody() async throws {
        try await withTemporaryDirectory { folder in
            let site = try TestSite(
                in: folder,
                [
                    "links.d/wall.toml": TestSite.simulated(
                        "wall", firstID: 101, link: "latency_ms = 100")
                ])
            let daemon = try await site.start()
            let script = """
                import socket, sys
                for n in range(100):
                    s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
                    s.sendall(b'{"jsonrpc":"2.0","id":1,"method":"status"}\\n' * 20)
                    if n % 10 == 0:
                        s.sendall(b'{"jsonrpc":"2.0","id":2,"method":"open","params":{"locker":101}}\\n')
                    s.close()
                """
            let python = try ChildProcess("/usr/bin/env", ["python3", "-c", script, site.socket])
            #expect(try await python.exitStatus() == 0)
            // What was accepted before its client left goes on to its end.
            try await eventually("every open has ended") {
                let log = daemon.process.standardError
                return log.components(separatedBy: "open of wall/1: ").count >= 11
            }
            #expect(try await daemon.stop() == 0)
        }
    }
}

@Suite struct FaultTests {
    /// One faulty locker each, and what an open of it must say.
    @Test func everyFaultGetsItsHonestName() async throws {
        try await withTemporaryDirectory { folder in
            let site = try TestSite(
                in: folder,
                [
                    "links.d/wall.toml": TestSite.simulated(
                        "wall", firstID: 101, lockers: 5,
                        more: """
                            [[controller.locker]]
                            number = 1
                            fault = "jam"
                            [[controller.locker]]
                            number = 2
                            sensor = false
                            [[controller.locker]]
                            number = 3
                            fault = "reply-lost"
                            [[controller.locker]]
                            number = 4
                            fault = "refuse"
                            """)
                ])
            let daemon = try await site.start()
            #expect(try await daemon.open("wall/1").outcome == .jammed)
            #expect(try await daemon.open("wall/2").outcome == .pulsed)
            // The reply was lost, but the door was seen to open.
            let lost = try await daemon.open("wall/3")
            #expect(lost.outcome == .opened)
            #expect(lost.results.first?.evidence == "door-sensor")
            let error = await #expect(throws: ControlError.self) { try await daemon.open("wall/4") }
            guard case .refused(let fault) = error else { throw Timeout(description: "no fault") }
            #expect(fault.code == "REFUSED")
            #expect(fault.fired == .no)
            #expect(try await daemon.open("wall/5").outcome == .opened)
            #expect(try await daemon.stop() == 0)
        }
    }

    @Test func aModuleThatDiesInAnOpenLeavesItUnknownAndIsNeverAskedAgain() async throws {
        try await withTemporaryDirectory { folder in
            let journal = "\(folder)/coils.jsonl"
            let site = try TestSite(
                in: folder,
                [
                    "links.d/wall.toml": TestSite.simulated(
                        "wall", firstID: 101,
                        link: """
                            close_after_ms = 100
                            journal = "\(journal)"
                            [[link.fault]]
                            kind = "crash"
                            after_opens = 1
                            """)
                ])
            let daemon = try await site.start()
            #expect(try await daemon.open("wall/1").outcome == .opened)
            let broken = try await daemon.open("wall/2")
            #expect(broken.outcome == .unknown || broken.outcome == .opened)
            try await eventually("the module is back") {
                try await daemon.state(of: "wall") == "ready"
            }
            #expect(try await daemon.open("wall/3").outcome == .opened)
            let fired = try String(contentsOfFile: journal, encoding: .utf8)
                .split(separator: "\n").map { try JSONReader.parse(String($0)) }
                .filter { $0["locker"] == 2 && $0["coil"] == "on" }
            #expect(fired.count <= 1)
            #expect(try await daemon.stop() == 0)
        }
    }

    @Test func aModuleThatHangsIsKilledAndTheOtherLinkGoesOn() async throws {
        try await withTemporaryDirectory { folder in
            let site = try TestSite(
                in: folder,
                [
                    "links.d/wall.toml": TestSite.simulated(
                        "wall", firstID: 101,
                        link: """
                            [[link.fault]]
                            kind = "hang"
                            after_opens = 0
                            """),
                    "links.d/yard.toml": TestSite.simulated("yard", firstID: 201),
                ])
            let daemon = try await site.start()
            async let stuck = daemon.open("wall/1")
            for _ in 0..<5 { #expect(try await daemon.open("yard/2").outcome != nil) }
            #expect(try await stuck.outcome == .unknown)
            try await eventually("the module is back") {
                try await daemon.state(of: "wall") == "ready"
            }
            let reason = try await daemon.controller("wall")["reason"]?.stringValue
            #expect(reason?.contains("did not answer") == true)
            #expect(try await daemon.stop() == 0)
        }
    }
}

@Suite(
    .enabled(
        if: Checkout.whyNoPeers == nil || Checkout.isCI,
        "the Python peers are missing; `make deps` brings them"))
struct ModbusSiteTests {
    @Test func theDemoFolderWorksAgainstABoardElsewhere() async throws {
        try await withTemporaryDirectory { folder in
            let port = freePort()
            try FileManager.default.copyItem(
                atPath: "\(Checkout.root)/etc/demo", toPath: "\(folder)/etc")
            let link = "\(folder)/etc/links.d/board.toml"
            let text = try String(contentsOfFile: link, encoding: .utf8)
            try write(text.replacingOccurrences(of: "15020", with: "\(port)"), to: link)
            let daemonFile = "\(folder)/etc/lockerd.toml"
            let daemonText = try String(contentsOfFile: daemonFile, encoding: .utf8)
            let site = try TestSite(
                in: folder, [:], daemonFile: "module_dirs = [\"../modules\"]\n" + daemonText)
            let board = try await modbusBoard(port: port)
            let daemon = try await site.start()
            let result = try await daemon.open("board/3")
            #expect(result.outcome == .opened)
            #expect(result.results.first?.locker.id == 203)
            let all = try await daemon.call("open-all", ["controller": "board"])
            #expect(all["summary"] == ["opened": 8, "failed": 0, "skipped": 0, "unknown": 0])
            #expect(try await daemon.stop() == 0)
            await board.stop()
            // The board's own account: locker 3 twice, the others once, every coil off again.
            let writes = try board.standardOutput.split(separator: "\n").dropFirst()
                .map { try JSONReader.parse(String($0)) }
            for coil in 0..<8 {
                let orders = writes.filter { $0["coil"] == .int(Int64(coil)) }.map { $0["on"] }
                let once: [JSON?] = [true, false]
                #expect(orders == (coil == 2 ? once + once : once))
            }
        }
    }

    @Test func aBoardThatGoesAndComesBackIsAStateNotAnEnd() async throws {
        try await withTemporaryDirectory { folder in
            let port = freePort()
            let site = try TestSite(
                in: folder, ["links.d/board.toml": TestSite.modbus(port: port)])
            var board = try await modbusBoard(port: port)
            let daemon = try await site.start()
            #expect(try await daemon.open("board/1").outcome == .opened)
            await board.stop()
            let error = await #expect(throws: ControlError.self) {
                try await daemon.open("board/1")
            }
            guard case .refused(let fault) = error else { throw Timeout(description: "no fault") }
            #expect(fault.code == "LINK_DOWN")
            #expect(fault.fired == .no)
            func age() async throws -> Int {
                let status = try await daemon.call("status", ["lockers": ["board/1"]])
                return status["lockers"]?.arrayValue?.first?["doorAgeMs"]?.intValue ?? -1
            }
            let young = try await age()
            try await eventually("the age grows and the door is unknown") {
                let status = try await daemon.call("status", ["lockers": ["board/1"]])
                let locker = status["lockers"]?.arrayValue?.first
                let old = try await age()
                return old > young + 1000 && locker?["quality"] == "stale"
                    && locker?["door"] == "unknown" && status["health"] == "down"
            }
            board = try await modbusBoard(port: port)
            try await eventually("it recovers by itself") {
                try await daemon.state(of: "board") == "ready"
            }
            #expect(try await daemon.open("board/1").outcome == .opened)
            #expect(try await daemon.controller("board")["restarts"] == 0)
            #expect(try await daemon.stop() == 0)
            await board.stop()
        }
    }

    @Test func stoppingInTheMiddleOfAPulseLeavesTheCoilOff() async throws {
        try await withTemporaryDirectory { folder in
            let port = freePort()
            let link = TestSite.modbus(port: port) + "\npulse_ms = 2000\n"
            let site = try TestSite(in: folder, ["links.d/board.toml": link])
            let board = try await modbusBoard(port: port)
            let daemon = try await site.start()
            async let result = daemon.open("board/1")
            try await board.waitForOutput("\"on\":true")
            #expect(try await daemon.stop() == 0)
            // The pulse was let run to its end, and the caller was told.
            #expect(try await result.outcome == .opened)
            await board.stop()
            #expect(board.standardOutput.components(separatedBy: "\"on\":true").count == 2)
            #expect(board.standardOutput.components(separatedBy: "\"on\":false").count == 2)
        }
    }

    @Test func anOutputThatMayBeOnAtTheEndIsAnExitStatusOfItsOwn() async throws {
        try await withTemporaryDirectory { folder in
            let port = freePort()
            let link = TestSite.modbus(port: port) + "\npulse_ms = 500\n"
            let site = try TestSite(in: folder, ["links.d/board.toml": link])
            let board = try await modbusBoard(port: port)
            let daemon = try await site.start()
            let result = Task { try await daemon.open("board/1") }
            try await board.waitForOutput("\"on\":true")
            // The board hangs with its coil on, and never takes the order to switch off.
            board.signal(SIGSTOP)
            let error = await #expect(throws: ControlError.self) { try await result.value }
            guard case .refused(let fault) = error else { throw Timeout(description: "no fault") }
            #expect(fault.code == "OUTPUT_STUCK")
            #expect(fault.fired == .yes)
            let status = try await daemon.call("status")
            #expect(status["causes"]?.arrayValue?.first?["code"] == "output-stuck")
            #expect(try await daemon.stop() == EX_IOERR)
            board.signal(SIGCONT)
            await board.stop()
        }
    }

    @Test func aDriverThatIsKilledInTheMiddleOfAPulseLeavesNoCoilOn() async throws {
        try await withTemporaryDirectory { folder in
            let port = freePort()
            let link = TestSite.modbus(port: port) + "\npulse_ms = 2000\n"
            let site = try TestSite(in: folder, ["links.d/board.toml": link])
            let board = try await modbusBoard(port: port)
            let daemon = try await site.start()
            async let result = daemon.open("board/1")
            try await board.waitForOutput("\"on\":true")
            kill(try #require(daemon.modules["board"]), SIGKILL)
            // The next driver finds the coil on and switches it off, long before anybody asks for something.
            try await board.waitForOutput("\"on\":false")
            _ = try await result
            try await eventually("the link is back") {
                try await daemon.state(of: "board") == "ready"
            }
            #expect(try await daemon.stop() == 0)
            await board.stop()
            #expect(board.standardOutput.components(separatedBy: "\"on\":true").count == 2)
        }
    }
}
