import Foundation
import JSONLines
import TestSupport
import Testing

/// The module as a process, spoken to by a program that shares no code with it.
@Suite(.needsPeers, .timeLimit(.minutes(2))) struct HTTPModuleTests {
    /// Starts the module named first, sends it the lines that follow, one after each reply, and prints what it says;
    /// its standard error comes out on standard error.
    private static let talker = """
        import subprocess, sys
        module = subprocess.Popen([sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for line in sys.argv[2:]:
            module.stdin.write(line.encode() + b"\\n")
            module.stdin.flush()
            while True:
                reply = module.stdout.readline().decode()
                print(reply, end="", flush=True)
                if '"id"' in reply or not reply:
                    break
        module.stdin.close()
        for line in module.stdout:
            print(line.decode(), end="")
        sys.exit(module.wait(timeout=10))
        """

    private func call(_ id: Int64, _ method: String, _ params: JSON) -> String {
        JSON.object(
            ["jsonrpc": "2.0", "id": .int(id), "method": .string(method), "params": params]
        ).text
    }

    private func talk(_ options: JSON, beats: [String]) async throws -> (
        replies: [JSON], everything: String
    ) {
        let hello: JSON = [
            "protocol": ["major": 1, "minor": 0], "daemon": "lockerd", "version": "0.1.0",
            "kind": "uplink", "name": "http",
        ]
        var lines = [
            call(1, "hello", hello),
            call(2, "configure", ["site": "demo", "name": "http", "options": options]),
        ]
        for (index, beat) in beats.enumerated() {
            lines.append(
                call(Int64(index) + 3, "deliver", ["beat": try JSONReader.parse(beat)]))
        }
        let talker = try ChildProcess(
            Checkout.python, ["-c", Self.talker, Checkout.program("http-module")] + lines)
        let status = try await talker.exitStatus(within: .seconds(60))
        #expect(status == 0, "\(talker.standardError)")
        let replies = try talker.standardOutput.split(separator: "\n")
            .map { try JSONReader.parse(String($0)) }.filter { $0["id"] != nil }
        return (replies, talker.standardOutput + talker.standardError)
    }

    @Test func `it introduces itself, delivers, and ends when the daemon goes`() async throws {
        try await withTemporaryDirectory { folder in
            let upstream = try await Upstream(in: folder)
            let (replies, _) = try await talk(
                ["url": .string("http://127.0.0.1:\(upstream.port)/")],
                beats: [sampleBeat(1), sampleBeat(2)])
            #expect(replies.count == 4)
            #expect(replies[0]["result"]?["module"] == "http")
            for reply in replies { #expect(reply["error"] == nil, "\(reply)") }
            try await eventually("both beats") { upstream.lines.count == 2 }
            await upstream.stop()
        }
    }

    @Test func `a token shows up in nothing the module says`() async throws {
        try await withTemporaryDirectory { folder in
            try write("right-s3cret", to: "\(folder)/wanted", mode: 0o600)
            try write("wrong-s3cret", to: "\(folder)/token", mode: 0o600)
            let upstream = try await Upstream(in: folder, ["--token-file", "\(folder)/wanted"])
            let (replies, everything) = try await talk(
                [
                    "url": .string("http://127.0.0.1:\(upstream.port)/"),
                    "token_file": .string("\(folder)/token"),
                ], beats: [sampleBeat(1)])
            #expect(replies.last?["error"]?["data"]?["code"] == "REFUSED")
            #expect(everything.contains("answered 401"))
            #expect(!everything.contains("s3cret"))
            await upstream.stop()
        }
    }

    @Test func `options that cannot work are refused before anything is sent`() async throws {
        let (replies, _) = try await talk(["url": "http://monitor.example/"], beats: [])
        #expect(replies.last?["error"]?["data"]?["code"] == "INVALID_REQUEST")
        #expect(
            replies.last?["error"]?["message"]?.stringValue?.contains("allow_plain_http") == true)
    }
}
