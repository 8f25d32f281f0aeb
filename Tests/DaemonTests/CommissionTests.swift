import Foundation
import JSONLines
import TestSupport
import Testing

/// `lockerctl commission` on drivers that need no chips; on GPIO lines it is tried in the guest.
@Suite struct `A commissioning` {
    private func commission(
        _ site: TestSite, _ words: String...
    ) async throws -> (status: Int32, verdicts: [String], err: String) {
        let process = try ChildProcess(
            Checkout.program("lockerctl"),
            ["--socket", site.socket, "--json", "commission"] + words
                + ["--config", site.etc, "--close-within", "3"])
        let status = try await process.exitStatus(within: .seconds(90))
        let record = process.standardOutput.split(separator: "\n").compactMap {
            try? JSONReader.parse(String($0))
        }.first { $0["lockers"] != nil }
        let verdicts = (record?["lockers"]?.arrayValue ?? []).compactMap {
            $0["verdict"]?.stringValue
        }
        return (status, verdicts, process.standardError)
    }

    @Test func `finds a dead lock and a missing sensor among simulated lockers`() async throws {
        try await withTemporaryDirectory { folder in
            let file = TestSite.simulated(
                "wall", firstID: 101,
                more: """
                    [[controller.locker]]
                    number = 2
                    fault = "jam"
                    [[controller.locker]]
                    number = 3
                    fault = "no-sensor"
                    [[controller.locker]]
                    number = 4
                    sensor = false
                    """)
            let site = try TestSite(in: folder, ["links.d/wall.toml": file])
            let daemon = try await site.start()
            let refused = try await commission(site, "wall")
            #expect(refused.status == 2 && refused.err.contains("nothing was fired"))
            let found = try await commission(site, "wall", "--yes")
            #expect(found.verdicts == ["works", "no-movement", "sensor-missing", "unseen"])
            #expect(found.status == 1)
            #expect(found.err.contains("wall/2, wall/3"), "\(found.err)")
            // Nothing in the file is wrong.
            let text = try String(contentsOfFile: "\(site.etc)/links.d/wall.toml", encoding: .utf8)
            #expect(text == file)
            #expect(
                FileManager.default.fileExists(atPath: "\(site.etc)/commissioning/wall.json"))
            #expect(try await commission(site, "nowhere", "--yes").status == 1)
            #expect(try await daemon.stop() == 0)
        }
    }

    @Test(.enabled(if: Checkout.whyNoPeers == nil || Checkout.isCI, "\(Checkout.whyNoPeers ?? "")"))
    func `puts right what is crossed and inverted in the file of a Modbus board`() async throws {
        try await withTemporaryDirectory { folder in
            let device = "\(folder)/line"
            let file = """
                driver = "modbus"
                [link]
                transport = "rtu"
                device = "\(device)"
                [[controller]]
                id = "yard"
                board = "waveshare-relay-8"
                unit = 1
                lockers = 4
                first_id = 1
                poll_ms = 50
                door_wait_ms = 500
                # Somebody was in a hurry.
                [[controller.locker]]
                number = 1
                input = 1
                [[controller.locker]]
                number = 2
                input = 0
                [[controller.locker]]
                number = 3
                sensor_inverted = true    # is it?
                """
            let site = try TestSite(in: folder, ["links.d/yard.toml": file])
            let board = try ChildProcess(
                Checkout.python,
                [
                    "-u", "\(Checkout.root)/Tests/Bench/wire/wireboard.py", "--with-parent",
                    "--pty", device, "--family", "modbus", "--profile", "waveshare-relay-8",
                    "--boards", "1", "--close-after", "1",
                ])
            try await board.waitForOutput("listening ")
            let daemon = try await site.start()
            try await eventually("the board is read") {
                try await daemon.state(of: "yard") == "ready"
            }
            let found = try await commission(site, "yard", "--yes")
            #expect(found.verdicts == ["crossed", "crossed", "inverted", "works"], "\(found.err)")
            // It may have been the locks that were crossed.
            #expect(found.status == 1 && found.err.contains("nobody saw which doors opened"))
            let text = try String(contentsOfFile: "\(site.etc)/links.d/yard.toml", encoding: .utf8)
            #expect(text.contains("number = 1\ninput = 0\n"))
            #expect(text.contains("number = 2\ninput = 1\n"))
            #expect(text.contains("sensor_inverted = false    # is it?"))
            #expect(text.contains("# Somebody was in a hurry."))
            let again = try await commission(site, "yard", "--yes")
            #expect(again.verdicts == ["works", "works", "works", "works"], "\(again.err)")
            #expect(try await daemon.stop() == 0)
            await board.stop()
        }
    }
}
