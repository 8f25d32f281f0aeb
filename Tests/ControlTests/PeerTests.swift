import Foundation
import TestSupport
import Testing

@Suite struct `an independent client` {
    private static let script = "\(Checkout.root)/Tests/Bench/control_peer.py"
    private static let systemPython = "/usr/bin/python3"

    private static var whyNoPython: String? {
        FileManager.default.isExecutableFile(atPath: systemPython)
            ? nil : "no \(systemPython) to play a client"
    }

    @Test(.enabled(if: whyNoPython == nil || Checkout.isCI, "\(whyNoPython ?? "")"))
    func `finds every method as the document describes it`() async throws {
        try await run(Self.systemPython, [])
    }

    @Test(.enabled(if: Checkout.whyNoPeers == nil || Checkout.isCI, "\(Checkout.whyNoPeers ?? "")"))
    func `finds replies, events and golden conversations to be what the schema says`() async throws
    {
        let files = try GoldenConversation.all().map { "\(GoldenConversation.folder)/\($0.name)" }
        try await run(Checkout.python, ["--schema"] + files)
    }

    private func run(_ python: String, _ arguments: [String]) async throws {
        try await ServedSite.with { served in
            let peer = try ChildProcess(python, [Self.script, served.socket] + arguments)
            let status = try await peer.exitStatus(within: .seconds(60))
            // What it said may arrive after its end.
            try await eventually("it says what came of it") {
                !peer.standardError.isEmpty || peer.standardOutput.hasPrefix("ok: ")
            }
            #expect(status == 0, "\(peer.standardError)")
        }
    }
}
