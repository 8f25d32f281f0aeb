import ControlClient
import Foundation
import JSONLines
import TestSupport
import Testing

/// What upstreams see of the daemon's life; they are web servers in Python.
@Suite(
    .enabled(
        if: Checkout.whyNoPeers == nil || Checkout.isCI,
        "\(Checkout.whyNoPeers ?? "the Python peers are there")"))
struct UplinkTests {
    /// One upstream and what it wrote down.
    private struct Upstream {
        let process: ChildProcess
        let url: String
        private let log: String

        init(_ name: String, in folder: String, _ arguments: [String] = []) async throws {
            log = "\(folder)/\(name).jsonl"
            process = try ChildProcess(
                Checkout.python,
                ["\(Checkout.root)/Tests/Bench/heartbeat/receiver.py", "--log", log] + arguments)
            try await process.waitForOutput("\n")
            let port = process.standardOutput.split(whereSeparator: \.isWhitespace).last ?? ""
            url = "http://127.0.0.1:\(port)/"
        }

        var beats: [JSON] {
            get throws {
                guard let text = try? String(contentsOfFile: log, encoding: .utf8) else {
                    return []
                }
                return try text.split(separator: "\n").compactMap {
                    try JSONReader.parse(String($0))["beat"]
                }
            }
        }

        func waitForBeat(
            _ what: String, _ condition: @escaping (JSON) -> Bool
        ) async throws {
            try await eventually("a beat with \(what) arrives") {
                try beats.contains(where: condition)
            }
        }
    }

    private func daemonFile(every: Int, _ uplinks: [(name: String, url: String)]) -> String {
        uplinks.reduce("\(TestSite.daemonFile)\n[heartbeat]\nevery_s = \(every)\n") {
            text, uplink in
            text
                + "[[uplink]]\nmodule = \"http\"\nname = \"\(uplink.name)\"\nurl = \"\(uplink.url)\"\n"
        }
    }

    private func site(in folder: String, daemonFile: String) throws -> TestSite {
        try TestSite(
            in: folder, ["links.d/wall.toml": TestSite.simulated("wall", firstID: 101)],
            daemonFile: daemonFile)
    }

    @Test func aReloadOfTheIntervalIsNoFarewellAndLosesNoCount() async throws {
        try await withTemporaryDirectory { folder in
            let upstream = try await Upstream("main", in: folder)
            let uplinks = [(name: "main", url: upstream.url)]
            let site = try site(in: folder, daemonFile: daemonFile(every: 2, uplinks))
            let daemon = try await site.start()
            try await upstream.waitForBeat("2 s") { $0["intervalMs"] == 2000 }
            #expect(try await daemon.open("wall/1").outcome == .opened)
            let before = daemon.modules
            try write(daemonFile(every: 3, uplinks), to: "\(site.etc)/lockerd.toml")
            _ = try await daemon.call("reload")
            try await upstream.waitForBeat("3 s") { $0["intervalMs"] == 3000 }
            #expect(daemon.modules == before)
            #expect(try await daemon.stop() == 0)
            let beats = try upstream.beats
            #expect(beats.dropLast().allSatisfy { $0["state"] == "online" })
            #expect(beats.last?["state"] == "offline")
            let numbers = beats.compactMap { $0["seq"]?.intValue }
            #expect(numbers == Array(1...beats.count))
            // A beat whose receipt was not known in time is covered by the next one, whose counts then begin before it.
            let since = beats.compactMap { $0["opens"]?["sinceSeq"]?.intValue }
            try #require(since.count == beats.count)
            let counted = beats.indices.filter { place in
                place + 1 == beats.count || since[place + 1] >= numbers[place]
            }
            let times = beats.compactMap { $0["monotonicMs"]?.intValue }
            #expect(times == times.sorted())
            #expect(
                counted.compactMap { beats[$0]["opens"]?["opened"]?.intValue }.reduce(0, +) == 1)
            await upstream.process.stop()
        }
    }

    @Test func aReloadTouchesOnlyUplinksThatChanged() async throws {
        try await withTemporaryDirectory { folder in
            let (stays, goes) = (
                try await Upstream("stays", in: folder), try await Upstream("goes", in: folder)
            )
            let comes = try await Upstream("comes", in: folder)
            let site = try site(
                in: folder,
                daemonFile: daemonFile(every: 2, [("stays", stays.url), ("goes", goes.url)]))
            let daemon = try await site.start()
            try await goes.waitForBeat("the site's name") { $0["site"] == "test" }
            let before = daemon.modules
            try write(
                daemonFile(every: 2, [("stays", stays.url), ("comes", comes.url)]),
                to: "\(site.etc)/lockerd.toml")
            _ = try await daemon.call("reload")
            try await comes.waitForBeat("the site's name") { $0["site"] == "test" }
            try await goes.waitForBeat("a farewell") { $0["state"] == "offline" }
            try await eventually("the module is gone") { before["goes"].map(isAlive) == false }
            let after = daemon.modules
            #expect(after.keys.sorted() == ["comes", "stays", "wall"])
            #expect(after["stays"] == before["stays"])
            #expect(try stays.beats.allSatisfy { $0["state"] == "online" })
            #expect(try await daemon.stop() == 0)
            for upstream in [stays, comes] {
                #expect(try upstream.beats.last?["state"] == "offline")
            }
            for upstream in [stays, goes, comes] { await upstream.process.stop() }
        }
    }

    @Test func aFarewellArrivesAlsoWhileAnOlderBeatWaitsForItsNextAttempt() async throws {
        try await withTemporaryDirectory { folder in
            // The first beat is refused and has to wait ten seconds, far longer than a farewell may.
            let upstream = try await Upstream(
                "main", in: folder, ["--fail", "1", "--retry-after", "10"])
            let site = try site(
                in: folder, daemonFile: daemonFile(every: 60, [("main", upstream.url)]))
            let daemon = try await site.start()
            #expect(try await daemon.open("wall/1").outcome == .opened)
            try await eventually("the first beat is refused") {
                upstream.process.standardError.contains("request 1 refused as told")
            }
            #expect(try await daemon.stop() == 0)
            let beats = try upstream.beats
            #expect(beats.map { $0["state"] } == ["offline"])
            #expect(beats.first?["opens"]?["opened"] == 1)
            await upstream.process.stop()
        }
    }
}
