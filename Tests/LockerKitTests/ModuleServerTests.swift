import Foundation
import JSONLines
import LockerKitTesting
import Locks
import Logging
import ModuleWire
import TestSupport
import Testing

@testable import LockerKit

/// The module's side over a socket pair, in this process, with a driver made for the purpose.
@Suite struct ModuleServers {
    /// Opens locker 1 at once, holds locker 2 until it is cancelled, and reports doors when asked for locker 3.
    enum Scripted: LockDriver {
        static let name = "scripted"
        static let version = "1"

        static func makeControllers(
            for link: LinkDescription, context: DriverContext
        ) throws(LockerError) -> [String: any LockController] {
            var made: [String: any LockController] = [:]
            for controller in link.controllers {
                made[controller.id] = Controller(
                    context: context, doors: try controller.options.optionalInteger("doors") ?? 2)
            }
            if link.name == "sloppy" { made["extra"] = Controller(context: context, doors: 1) }
            return made
        }

        final class Controller: LockController {
            let capabilities = Capabilities(
                pulseTiming: .board, evidence: .none, polarityKnown: false, doorSensors: true)
            private let context: DriverContext
            private let doors: Int

            init(context: DriverContext, doors: Int) {
                self.context = context
                self.doors = doors
            }

            func start() async throws(LockerError) {}

            func open(_ command: OpenCommand) async throws(LockerError) -> OpenReport {
                context.logger.info(
                    "opening \(command.locker)", metadata: ["locker": "\(command.locker)"])
                context.logger.debug("bytes")
                if command.locker == 2 {
                    do {
                        try await Task.sleep(for: .seconds(3600))
                    } catch {
                        throw LockerError(.cancelled, "let go", fired: .yes, sent: .yes)
                    }
                }
                if command.locker == 3 {
                    context.report(
                        "wall", [DoorReading(locker: 3, door: .open, takenAt: context.clock.now)])
                }
                return OpenReport(evidence: .none, pulse: command.pulse)
            }

            func readDoors() async throws(LockerError) -> [DoorReading] {
                (1...doors).map {
                    DoorReading(locker: $0, door: .closed, takenAt: context.clock.now)
                }
            }

            func stop() async throws(LockerError) { context.logger.notice("stopped") }
        }
    }

    struct Carrier: Uplink {
        static let name = "carrier"
        static let version = "1"
        static let beats = Kept<String>()
        private let site: String

        init(options: Options, site: String, context: UplinkContext) throws(LockerError) {
            guard options.has("url") else {
                throw LockerError(.invalidRequest, "url is missing; want a string")
            }
            self.site = site
        }

        func deliver(_ beat: String) async throws(LockerError) {
            if beat.contains("refuse") { throw LockerError(.refused, "status 400", sent: .yes) }
            Self.beats.append("\(site) \(beat)")
        }

        func stop() async {}
    }

    /// A server on one end of a socket pair, the test on the other.
    final class Line: Sendable {
        let peer: LinePeer
        private let server: ModuleServer
        private let ended = Kept<ModuleInput.Ending>()
        private let theirs: Int32

        init(_ make: (ModuleSurroundings) -> any ModuleService) throws {
            let (ours, theirs) = try LinePeer.socketPair()
            self.theirs = theirs
            peer = LinePeer(input: ours, output: ours)
            let output = ModuleOutput(descriptor: theirs) {}
            let threshold = LogThreshold()
            let logger = Logger(label: "module") { _ in
                ModuleLogHandler(output: output, threshold: threshold)
            }
            var ends: [Int32] = [-1, -1]
            pipe(&ends)
            server = ModuleServer(
                input: ModuleInput(descriptor: theirs, wake: ends[0]), output: output,
                level: threshold,
                service: make(
                    ModuleSurroundings(clock: ContinuousClock(), logger: logger, output: output)))
            Task { [server, ended] in
                ended.append(await server.serve())
                await server.shutDown()
                ended.append(.told)
            }
        }

        /// Ends the line and returns why the server stopped reading.
        func end() async throws -> ModuleInput.Ending? {
            peer.closeOutput()
            try await eventually("the server has shut down") { ended.values.count == 2 }
            close(theirs)
            return ended.values.first
        }

        func begin(link: String = "yard", logLevel: JSON? = nil, doors: Int = 2) async throws
            -> JSON
        {
            var hello = ModuleUnderTest.hello.objectValue ?? JSONObject()
            hello["logLevel"] = logLevel
            _ = try await peer.call(1, "hello", .object(hello))
            let configured = try await peer.call(
                2, "configure",
                [
                    "link": ["name": .string(link)],
                    "controllers": [
                        ["id": "wall", "options": ["doors": .int(Int64(doors))], "lockers": []]
                    ],
                ])
            _ = try await peer.call(3, "start", ["controller": "wall"])
            return configured
        }

        func open(_ id: Int, _ locker: Int64) -> String {
            peer.request(
                id, "open", ["controller": "wall", "locker": .int(locker), "pulseMs": 100])
        }
    }

    private func driverLine() throws -> Line { try Line { DriverService<Scripted>($0) } }

    @Test func `a second call is refused while one runs`() async throws {
        let line = try driverLine()
        _ = try await line.begin()
        line.peer.send(line.open(4, 2))
        line.peer.send(line.open(5, 1))
        let busy = try await line.peer.next()
        #expect(busy["id"] == 5)
        #expect(busy["error"]?["data"]?["code"] == "BUSY")
        #expect(busy["error"]?["message"] == "open with id 4 is still running")
        #expect(try await line.peer.call(6, "ping")["id"] == 6)
        line.peer.send(line.open(4, 1))
        #expect(try await line.peer.next()["error"]?["code"]?.intValue == ErrorData.invalidRequest)
        #expect(try await line.end() == .endOfFile)
    }

    @Test func `cancel makes the call answer with what it did`() async throws {
        let line = try driverLine()
        _ = try await line.begin()
        line.peer.send(line.open(4, 2))
        let first = try await line.peer.call(5, "cancel", ["id": 4])
        let second = try await line.peer.next()
        let answers = [first, second].sorted { $0["id"]?.intValue ?? 0 < $1["id"]?.intValue ?? 0 }
        #expect(answers[0]["error"]?["data"]?["code"] == "CANCELLED")
        #expect(answers[0]["error"]?["data"]?["fired"] == "yes")
        #expect(answers[1]["result"] == [:])
        #expect(try await line.peer.call(6, "cancel", ["id": 4])["result"] == [:])
        _ = try await line.end()
    }

    @Test func `stop ends the open that is still running`() async throws {
        let line = try driverLine()
        _ = try await line.begin()
        line.peer.send(line.open(4, 2))
        line.peer.send(line.peer.request(5, "stop", ["controller": "wall"]))
        let ids = [try await line.peer.next(), try await line.peer.next()].map { $0["id"] }
        #expect(Set(ids.compactMap { $0?.intValue }) == [4, 5])
        line.peer.send(line.open(6, 1))
        #expect(
            try await line.peer.next()["error"]?["message"]
                == "controller \"wall\" has not been started")
        _ = try await line.end()
    }

    @Test func `the end of input stops what was started`() async throws {
        let line = try driverLine()
        _ = try await line.begin()
        line.peer.send(line.open(4, 2))
        _ = try await line.end()
        let last = try line.peer.takeAll()
        #expect(last.contains { $0["id"] == 4 })
        #expect(last.contains { $0["params"]?["message"] == "stopped" })
    }

    @Test func `a driver must make the controllers it was given`() async throws {
        let line = try driverLine()
        let answer = try await line.begin(link: "sloppy")
        #expect(
            answer["error"]?["message"]
                == "scripted made controllers [\"extra\", \"wall\"]; want [\"wall\"]")
        _ = try await line.end()
    }

    @Test func `readings nobody asked for are sent at once`() async throws {
        let line = try driverLine()
        _ = try await line.begin()
        line.peer.send(line.open(4, 3))
        let push = try await line.peer.next()
        #expect(push["method"] == "doors")
        let params = try DoorsParams(json: push["params"] ?? .null)
        #expect(params.controller == "wall")
        #expect(params.doors.map(\.door) == ["open"])
        #expect(try await line.peer.next()["id"] == 4)
        _ = try await line.end()
    }

    @Test func `a reply longer than a line becomes an error`() async throws {
        let line = try driverLine()
        _ = try await line.begin(doors: 20_000)
        let answer = try await line.peer.call(4, "doors", ["controller": "wall"])
        #expect(answer["error"]?["data"]?["code"] == "INTERNAL")
        #expect(answer["error"]?["message"]?.stringValue?.hasSuffix("want at most 262144") == true)
        _ = try await line.end()
    }

    @Test(
        arguments: [(nil, ["info"]), ("debug", ["info", "debug"]), ("error", [])]
            as [(JSON?, [String])])
    func `log lines come from the level the daemon wants`(
        wanted: JSON?, levels: [String]
    ) async throws {
        let line = try driverLine()
        _ = try await line.begin(logLevel: wanted)
        line.peer.send(line.open(4, 1))
        var logs: [JSON] = []
        try await eventually("the open is answered") {
            let new = try line.peer.takeAll()
            logs += new.filter { $0["method"] == "log" }
            return new.contains { $0["id"] == 4 }
        }
        #expect(logs.map { $0["params"]?["level"]?.stringValue } == levels)
        _ = try await line.end()
    }

    @Test func `an uplink carries beats as they are`() async throws {
        let line = try Line { UplinkService<Carrier>($0) }
        var hello = ModuleUnderTest.hello.objectValue ?? JSONObject()
        hello["kind"] = "uplink"
        _ = try await line.peer.call(1, "hello", .object(hello))
        let refused = try await line.peer.call(
            2, "configure", ["site": "depot", "name": "up", "options": [:]])
        #expect(refused["error"]?["data"]?["code"] == "INVALID_REQUEST")
        let taken = try await line.peer.call(
            3, "configure", ["site": "depot", "name": "up", "options": ["url": "https://x"]])
        #expect(taken["result"] == [:])
        #expect(try await line.peer.call(4, "deliver", ["beat": ["seq": 1]])["result"] == [:])
        let failed = try await line.peer.call(5, "deliver", ["beat": "refuse"])
        #expect(failed["error"]?["data"]?["code"] == "REFUSED")
        #expect(Carrier.beats.values == ["depot {\"seq\":1}"])
        #expect(
            try await line.peer.call(6, "open")["error"]?["code"]?.intValue
                == ErrorData.unknownMethod)
        _ = try await line.end()
    }

    @Test func `log texts are cut at whole characters`() {
        #expect(ModuleLogHandler.cut("short", to: 10) == "short")
        #expect(ModuleLogHandler.cut("12345678901", to: 10) == "1234567…")
        #expect(ModuleLogHandler.cut("ééééééé", to: 10) == "ééé…")
        #expect(
            ModuleLogHandler.cut(String(repeating: "x", count: 5000), to: 1024).utf8.count == 1024)
    }
}
