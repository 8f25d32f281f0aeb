import BusKit
import DriverBench
import JSONLines
import LockerKit
import Locks
import TestSupport
import Testing

@testable import ModbusDriver

/// The installer's tools against a gateway that answers for units that nobody has.
@Suite(
    .serialized,
    .enabled(if: Checkout.whyNoPeers == nil || Checkout.isCI, "\(Checkout.whyNoPeers ?? "")"))
struct `A gateway` {
    private func request(_ peer: Peer) throws -> ScanRequest {
        try ScanRequest([
            "host": "127.0.0.1", "port": .int(Int64(peer.port)), "firstUnit": 1, "lastUnit": 8,
            "patienceMs": 200,
        ])
    }

    @Test func `is no board for units that it says are not there`() async throws {
        try await with(.liar("gateway")) { peer in
            let remarks = Mutex<[String]>([])
            let found = try await Scanner(request(peer)) { event in
                if case .remark(let text) = event { remarks.withLock { $0.append(text) } }
            }.run()
            #expect(found.map(\.unit) == [5] && found.map(\.isShared) == [false])
            #expect(remarks.withLock { $0 } == [])
        }
    }

    @Test func `whose board refuses another number says so`() async throws {
        try await with(.liar("gateway")) { peer in
            let request = try request(peer)
            let error = try await failure { () async throws(LockerError) in
                try await UnitAssignment.run(request, to: 7, register: 0x4000, tell: { _ in }) {
                    $0 == 5
                }
            }
            #expect(error.code == .refused)
            #expect(error.message.hasPrefix("unit 5 refused to be given another number"))
        }
    }
}

@Suite struct `A refusal to be read` {
    /// Also one whose number libmodbus has another use for.
    @Test func `is a refusal, whatever its number`() {
        for code: UInt8 in 0...255 {
            let failure = PortFailure(
                step: .receive, errno: ModbusPort.errno(ofException: code))
            guard case .refused(let refusal) = ModbusPort.fault(of: failure, within: .seconds(1))
            else {
                Issue.record("exception \(code) is no refusal")
                continue
            }
            #expect(refusal.number == code)
        }
    }
}
