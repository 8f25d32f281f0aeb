import ControlClient
import Foundation
import JSONLines
import TestSupport
import Testing

/// What an installer does before and after the daemon runs, with the real programs and boards that share no code with them.
@Suite(
    .enabled(if: Checkout.whyNoPeers == nil || Checkout.isCI, "\(Checkout.whyNoPeers ?? "")"))
struct `An installer` {
    private struct Bench {
        let site: TestSite
        let device: String
        let board: ChildProcess

        func lockerctl(_ words: String...) async throws -> (status: Int32, out: String, err: String)
        {
            let process = try ChildProcess(
                Checkout.program("lockerctl"), ["--socket", site.socket] + words)
            let status = try await process.exitStatus(within: .seconds(90))
            return (status, process.standardOutput, process.standardError)
        }

        func scan(_ words: String...) async throws -> (status: Int32, out: String, err: String) {
            let process = try ChildProcess(
                Checkout.program("lockerctl"),
                ["scan", "modbus", "--config", site.etc, "--device", device, "--patience-ms", "40"]
                    + words)
            let status = try await process.exitStatus(within: .seconds(90))
            return (status, process.standardOutput, process.standardError)
        }

        func assign(_ unit: Int) async throws -> (status: Int32, out: String, err: String) {
            let process = try ChildProcess(
                Checkout.program("lockerctl"),
                ["assign-unit", "\(unit)", "--board", "waveshare-relay-8", "--yes", "--config"]
                    + [site.etc, "--device", device, "--patience-ms", "20"])
            let status = try await process.exitStatus(within: .seconds(90))
            return (status, process.standardOutput, process.standardError)
        }

        /// A daemon that has read the board, as controller `yard`.
        func startYard() async throws -> RunningDaemon {
            let link = """
                driver = "modbus"
                [link]
                transport = "rtu"
                device = "\(device)"
                [[controller]]
                id = "yard"
                board = "waveshare-relay-8"
                unit = 1
                first_id = 1
                door_wait_ms = 400
                """
            try write(link, to: "\(site.etc)/links.d/yard.toml")
            let daemon = try await site.start()
            try await eventually("the board is read") {
                try await daemon.state(of: "yard") == "ready"
            }
            return daemon
        }

        /// The requests that the board got, as bytes.
        var requests: [[UInt8]] {
            board.standardOutput.split(separator: "\n").compactMap { line in
                guard let json = try? JSONReader.parse(String(line)),
                    json["event"] == "request", let hex = json["hex"]?.stringValue
                else { return nil }
                return hex.split(separator: " ").compactMap { UInt8($0, radix: 16) }
            }
        }
    }

    /// A simulated line, and a site that knows nothing of it yet.
    private func line(
        _ arguments: [String], _ body: (Bench) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { folder in
            let site = try TestSite(
                in: folder, ["links.d/.keep": ""],
                daemonFile: TestSite.daemonFile)
            let device = "\(folder)/line"
            let board = try ChildProcess(
                Checkout.python,
                ["-u", "\(Checkout.root)/Tests/Bench/wire/wireboard.py", "--with-parent"]
                    + ["--pty", device] + arguments)
            try await board.waitForOutput("listening ")
            do {
                try await body(Bench(site: site, device: device, board: board))
            } catch {
                await board.stop()
                throw error
            }
            await board.stop()
        }
    }

    private static let waveshare = ["--family", "modbus", "--profile", "waveshare-relay-8"]

    @Test func `finds boards and gets a file that the daemon can use`() async throws {
        try await line(Self.waveshare + ["--boards", "2,5"]) { bench in
            let scan = try await bench.scan("--units", "1-6")
            #expect(scan.status == 0, "\(scan.err)")
            #expect(scan.out.contains("baud = 9600"))
            #expect(
                scan.out.contains(
                    "# waveshare-relay-8 fits best: holding register 16384 holds its unit"))
            #expect(scan.out.contains("Not sure: Look-alikes"))
            try write(scan.out, to: "\(bench.site.etc)/links.d/found.toml")
            let check = try await bench.site.run(["--check"])
            #expect(check.status == 0, "\(check.out)")
            let daemon = try await bench.site.start()
            let open = try await daemon.open("unit-5/3")
            #expect(open.results.first?.outcome == .opened)
            #expect(try await daemon.stop() == 0)
        }
    }

    @Test func `asks boards nothing that could move them`() async throws {
        try await line(Self.waveshare + ["--boards", "2"]) { bench in
            _ = try await bench.scan("--units", "1-4")
            #expect(bench.requests.count > 10)
            #expect(bench.requests.allSatisfy { $0.count > 1 && 1...4 ~= $0[1] })
        }
    }

    @Test func `is told of two boards with one unit`() async throws {
        try await line(Self.waveshare + ["--boards", "1", "--fault", "duplicate"]) { bench in
            let scan = try await bench.scan("--units", "1-3")
            #expect(scan.status == 1)
            #expect(scan.err.contains("several boards answer as unit 1"))
            #expect(!scan.out.contains("board = "))
            let assign = try await bench.assign(9)
            #expect(assign.status == 1 && assign.err.contains("nothing was written"))
            #expect(bench.requests.allSatisfy { $0[1] <= 4 })
        }
    }

    @Test func `is told that nobody is there`() async throws {
        try await line(Self.waveshare + ["--boards", "200"]) { bench in
            let scan = try await bench.scan("--units", "1-3", "--baud", "9600", "--parity", "none")
            #expect(scan.status == 1 && scan.out.isEmpty)
            #expect(scan.err.contains("nobody answered"))
            let other = try await bench.lockerctl("scan", "simulator", "--device", bench.device)
            #expect(other.status == 2 && other.err.contains("there is no scan for simulator"))
        }
    }

    @Test func `gives the only board another unit`() async throws {
        try await line(Self.waveshare + ["--boards", "1"]) { bench in
            let assign = try await bench.assign(9)
            #expect(assign.status == 0, "\(assign.err)")
            let writes = bench.requests.filter { $0[1] > 4 }
            #expect(writes.map { Array($0.prefix(6)) } == [[1, 6, 0x40, 0, 0, 9]])
            let scan = try await bench.scan("--units", "1-10")
            #expect(scan.out.contains("unit = 9") && !scan.out.contains("unit = 1\n"))
        }
    }

    @Test func `gives no unit while two boards are connected`() async throws {
        try await line(Self.waveshare + ["--boards", "1,2"]) { bench in
            let assign = try await bench.assign(9)
            #expect(assign.status == 1)
            #expect(assign.err.contains("units 1, 2 answer, nothing was written"))
            #expect(bench.requests.allSatisfy { $0[1] <= 4 })
        }
    }

    /// Two masters on a line garble each other; root is kept out, too.
    @Test func `cannot scan a line that the daemon uses`() async throws {
        try await line(Self.waveshare + ["--boards", "1"]) { bench in
            let daemon = try await bench.startYard()
            let scan = try await bench.scan("--units", "1-2")
            #expect(scan.status == 1)
            #expect(
                scan.err.contains("another program has the port; stop lockerd"), "\(scan.err)")
            #expect(try await daemon.stop() == 0)
        }
    }

    @Test func `probes a locker, and a profile that is wrong does not pass`() async throws {
        for (faults, passes) in [
            ([], true), (["--fault", "ignored"], false), (["--fault", "jam"], false),
        ]
            as [([String], Bool)]
        {
            try await line(
                Self.waveshare + ["--boards", "1", "--close-after", "1"] + faults
            ) { bench in
                let daemon = try await bench.startYard()
                let refused = try await bench.lockerctl("probe", "yard/2")
                #expect(refused.status == 2 && refused.err.contains("nothing was fired"))
                let probe = try await bench.lockerctl(
                    "probe", "yard/2", "--yes", "--close-within", "5")
                #expect(probe.status == (passes ? 0 : 1), "\(probe.out) \(probe.err)")
                #expect(probe.out.contains("NOT OK") == !passes)
                #expect(probe.out.contains("the sensor shows the door closed again"))
                #expect(try await daemon.stop() == 0)
            }
        }
    }

    @Test func `runs boards that speak frames of their own`() async throws {
        try await line(["--family", "kr-cu16", "--boards", "0", "--baud", "19200"]) { bench in
            let link = """
                driver = "serial-board"
                [link]
                transport = "serial"
                device = "\(bench.device)"
                [[controller]]
                id = "hooks"
                board = "kerong-kr-cu16"
                address = 0
                first_id = 1
                """
            try write(link, to: "\(bench.site.etc)/links.d/hooks.toml")
            let daemon = try await bench.site.start()
            try await eventually("the board is read") {
                try await daemon.state(of: "hooks") == "ready"
            }
            let open = try await daemon.open("hooks/16")
            #expect(open.results.first?.outcome == .opened)
            #expect(open.results.first?.evidence == "door-sensor")
            #expect(try await daemon.stop() == 0)
            #expect(!bench.board.standardOutput.contains("violation"))
        }
    }
}
