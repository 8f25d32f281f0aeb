import Foundation
import JSONLines
import ModuleWire
import TestSupport
import Testing

/// What a module does as a process, shown with the simulator.
@Suite struct ModuleProcesses {
    @Test func `nothing a driver prints can get into the protocol`() async throws {
        let module = try ModuleUnderTest.simulator()
        try await module.begin()
        let manager = FileManager.default
        let links = try (0...2).map {
            try manager.destinationOfSymbolicLink(atPath: "/proc/\(module.pid)/fd/\($0)")
        }
        #expect(links[0] == "/dev/null")
        #expect(links[1] == links[2])
    }

    @Test(arguments: ModuleUnderTest.Transport.allCases)
    func `SIGTERM means the same as the end of input`(
        transport: ModuleUnderTest.Transport
    ) async throws {
        let module = try ModuleUnderTest.simulator(over: transport)
        try await module.begin()
        kill(module.pid, SIGTERM)
        #expect(try await module.exitStatus() == 0)
    }

    @Test func `the end of input switches a coil off before the process ends`() async throws {
        try await withTemporaryDirectory { directory in
            let journal = "\(directory)/coils"
            let module = try ModuleUnderTest.simulator()
            // No door closes by itself and says so in between, however slow this machine is.
            try await module.begin(
                options: [
                    "pulse_timing": "host", "close_after_ms": 0, "journal": .string(journal),
                ])
            module.peer.send(open(4, pulse: 60_000))
            try await eventually("the coil is on") { try coils(journal) == ["on"] }
            module.peer.closeOutput()
            let answer = try await module.peer.next()
            #expect(answer["error"]?["data"]?["code"] == "CANCELLED")
            #expect(try await module.exitStatus() == 0)
            #expect(try coils(journal) == ["on", "off"])
        }
    }

    @Test func `a driver that hangs cannot keep the process alive`() async throws {
        let module = try ModuleUnderTest.simulator()
        try await module.begin(options: ["fault": [["kind": "hang"]]])
        module.peer.send(open(4))
        #expect(try await module.peer.call(5, "ping")["id"] == 5)
        let start = ContinuousClock.now
        module.peer.closeOutput()
        #expect(try await module.exitStatus() == 70)
        #expect(start.duration(to: .now) < .seconds(10))
        #expect(module.standardError.contains("did not let go in time"))
    }

    @Test func `a driver that holds every thread of the pool cannot keep the process alive`()
        async throws
    {
        try await withTemporaryDirectory { directory in
            let journal = "\(directory)/coils"
            let module = try ModuleUnderTest.simulator()
            try await module.begin(
                options: ["fault": [["kind": "hang"]], "journal": .string(journal)])
            module.peer.send(open(4))
            try await eventually("the open hangs") { try !coils(journal).isEmpty }
            // Each of these waits for the call that hangs, on a thread of its own.
            for id in 5..<65 {
                module.peer.send(module.peer.request(id, "stop", ["controller": "wall"]))
            }
            module.peer.closeOutput()
            #expect(try await module.exitStatus() == 70)
            #expect(module.standardError.contains("did not let go in time"))
        }
    }

    @Test func `a crash is a crash`() async throws {
        let module = try ModuleUnderTest.simulator()
        try await module.begin(options: ["fault": [["kind": "crash", "after_opens": 1]]])
        #expect(try await module.peer.call(4, "open", locker(1))["result"] != nil)
        module.peer.send(open(5))
        #expect(try await module.exitStatus() == -SIGKILL)
    }

    @Test(arguments: ModuleUnderTest.Transport.allCases)
    func `a core that does not read is left before it fills the memory`(
        transport: ModuleUnderTest.Transport
    ) async throws {
        let module = try ModuleUnderTest.simulator(over: transport)
        try await module.begin()
        module.peer.pause()
        let before = try module.residentKiB()
        // Twelve megabytes of answers; the module must stop long before.
        let flood = Array(String(repeating: "x\n", count: 100_000).utf8)
        let flooding = Task.detached { [peer = module.peer] in
            while peer.send(bytes: flood) {}
        }
        var highest = before
        try await eventually("the module gives up") {
            if module.isRunning { highest = max(highest, (try? module.residentKiB()) ?? 0) }
            return !module.isRunning
        }
        #expect(try await module.exitStatus() == 76)
        #expect(highest - before < 32 * 1024 * Checkout.memoryFactor)
        module.peer.resume()
        await flooding.value
    }

    @Test func `a line of exactly the limit is read`() async throws {
        let module = try ModuleUnderTest.simulator()
        let bare = module.peer.request(1, "ping", ["padding": ""])
        let padding = String(repeating: "p", count: ModuleProtocol.lineLimit - bare.utf8.count)
        let line = module.peer.request(1, "ping", ["padding": .string(padding)])
        #expect(line.utf8.count == ModuleProtocol.lineLimit)
        module.peer.send(line)
        #expect(try await module.peer.next()["id"] == 1)
        #expect(module.isRunning)
    }

    @Test func `a line over the limit is answered and ends the module`() async throws {
        let module = try ModuleUnderTest.simulator()
        module.peer.send(String(repeating: "p", count: ModuleProtocol.lineLimit + 1))
        let answer = try await module.peer.next()
        #expect(answer["error"]?["code"]?.intValue == ErrorData.invalidRequest)
        #expect(answer["id"] == .null)
        #expect(try await module.exitStatus() == 76)
    }

    @Test func `an unending line is not collected`() async throws {
        let module = try ModuleUnderTest.simulator()
        let chunk = [UInt8](repeating: UInt8(ascii: "p"), count: 64 * 1024)
        while module.peer.send(bytes: chunk) {}
        #expect(try await module.exitStatus() == 76)
    }

    private func locker(_ number: Int, pulse: Int = 200) -> JSON {
        ["controller": "wall", "locker": .int(Int64(number)), "pulseMs": .int(Int64(pulse))]
    }

    private func open(_ id: Int, pulse: Int = 200) -> String {
        let message: JSON = [
            "jsonrpc": "2.0", "id": .int(Int64(id)), "method": "open",
            "params": locker(1, pulse: pulse),
        ]
        return message.text
    }

    private func coils(_ journal: String) throws -> [String] {
        try String(contentsOfFile: journal, encoding: .utf8).split(separator: "\n").map {
            try JSONReader.parse(String($0))["coil"]?.stringValue ?? ""
        }
    }
}
