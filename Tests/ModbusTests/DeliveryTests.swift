import BusKit
import Foundation
import TestSupport
import Testing

@testable import ModbusDriver

/// What becomes of an order that the network did not take.
@Suite(.serialized, .timeLimit(.minutes(1)))
struct `An order that was not delivered` {
    static let on = "01 05 00 02 ff 00"

    /// What reached the board behind a cable that was pulled for a while, and how the open ended.
    private func pullTheCable(_ arguments: String...) async throws -> (
        orders: [String], output: String
    ) {
        let bench = try Cable.bench(["--module", Checkout.program("modbus-module")] + arguments)
        let status = try await bench.exitStatus(within: .seconds(50))
        let output = bench.standardOutput
        #expect(status == 0 && output.hasSuffix("done\n"), "\(output) \(bench.standardError)")
        let orders = output.split(separator: "\n").filter { $0.contains("\"order\"") }
        return (orders.map(String.init), output)
    }

    @Test(.enabled(if: Cable.whyNot == nil, "\(Cable.whyNot ?? "")"))
    func `never fires later, when the cable is back`() async throws {
        let (orders, output) = try await pullTheCable()
        #expect(!orders.contains { $0.contains(Self.on) }, "\(output)")
        // The driver itself is at work again.
        #expect(orders.contains { $0.contains("01 05 00 02 00 00") }, "\(output)")
        #expect(output.contains("\"fired\":\"unknown\""), "\(output)")
    }

    @Test(.enabled(if: Cable.whyNot == nil, "\(Cable.whyNot ?? "")"))
    func `never fires later, when its process was killed`() async throws {
        let (orders, output) = try await pullTheCable("--kill")
        #expect(orders.isEmpty, "\(output)")
    }

    @Test(.enabled(if: Checkout.whyNoPeers == nil || Checkout.isCI, "\(Checkout.whyNoPeers ?? "")"))
    func `is dropped by the kernel with its connection, and after the time of an answer`()
        async throws
    {
        try await with(.liar("honest")) { peer in
            var port = try ModbusPort(.tcp(host: "127.0.0.1", port: peer.port))
            try port.turn(to: "127.0.0.1", peer.port)
            try port.open(within: .seconds(5), deliveringFor: .milliseconds(700))
            var ending = linger()
            var size = socklen_t(MemoryLayout.size(ofValue: ending))
            getsockopt(port.handle, SOL_SOCKET, SO_LINGER, &ending, &size)
            #expect(ending.l_onoff == 1 && ending.l_linger == 0)
            var patience: UInt32 = 0
            size = socklen_t(MemoryLayout.size(ofValue: patience))
            getsockopt(port.handle, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, &patience, &size)
            #expect(patience == 700)
        }
    }
}

/// Two network namespaces with a cable between them.
enum Cable {
    /// Why there can be none; nil where there can.
    static let whyNot: String? = {
        let probe = Process()
        probe.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        probe.arguments = ["python3", script, "--probe"]
        probe.standardInput = FileHandle.nullDevice
        probe.standardOutput = FileHandle.nullDevice
        probe.standardError = FileHandle.nullDevice
        do { try probe.run() } catch { return "no python3" }
        probe.waitUntilExit()
        return probe.terminationStatus == 0
            ? nil : "no network namespaces here: wants root or user namespaces, and iproute2"
    }()

    private static let script = "\(Checkout.root)/Tests/Bench/modbus/cable.py"

    static func bench(_ arguments: [String]) throws -> ChildProcess {
        try ChildProcess("/usr/bin/env", ["python3", "-u", script] + arguments)
    }
}
