import DriverBench
import LockerKit
import LockerKitTesting
import TestSupport
import Testing

@testable import ModbusDriver

/// Opens that must not happen any more.
@Suite(
    .serialized, .timeLimit(.minutes(1)),
    .enabled(if: Checkout.whyNoPeers == nil || Checkout.isCI, "\(Checkout.whyNoPeers ?? "")"))
struct `A lock with a deadline` {
    @Test(arguments: [("generic-coil-8", 2), ("waveshare-relay-8", 1)], [false, true])
    func `is not fired once the deadline has passed, whatever took so long`(
        board: (profile: String, reads: Int), isInTime: Bool
    ) async throws {
        try await with(.board()) { peer in
            let clock = ManualClock()
            let controller = try await Bench.tcp(
                peer.port, board: board.profile, options: "spacing_ms = 400", clock: clock)
            try await controller.start()
            // Each read is followed by a pause, and the order comes after the last one.
            let left = 400 * board.reads + (isInTime ? 1 : 0)
            let command = OpenCommand(
                locker: 3, pulse: .milliseconds(200), deadline: clock.now + .milliseconds(left))
            let open = Task {
                try await failure { () async throws(LockerError) in
                    try await controller.open(command)
                }
            }
            for _ in 0..<board.reads {
                await clock.waitForSleepers(1)
                clock.advance(by: .milliseconds(400))
            }
            if isInTime {
                try await eventually("the lock is fired") { try await peer.ons.count == 1 }
                let turner = Task {
                    while !Task.isCancelled {
                        await clock.waitForSleepers(1)
                        clock.advance(by: .milliseconds(400))
                    }
                }
                _ = await open.result
                turner.cancel()
            } else {
                let error = try await open.value
                #expect(error.code == .expired && error.fired == .no && error.sent == .no)
                #expect(try await peer.writes.isEmpty)
            }
        }
    }
}
