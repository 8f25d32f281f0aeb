import Foundation
import JSONLines
import LockerKit
import TestSupport
import Testing

/// `Tests/Bench/heartbeat/receiver.py` as a process: an upstream that shares no code with the uplink.
struct Upstream {
    let process: ChildProcess
    let port: Int
    private let log: String

    /// Starts it on `port`, or on a free one; what it writes down goes into `folder`.
    init(in folder: String, port: Int = 0, _ arguments: [String] = []) async throws {
        log = "\(folder)/beats.jsonl"
        process = try ChildProcess(
            Checkout.python,
            [
                "\(Checkout.root)/Tests/Bench/heartbeat/receiver.py", "--port", "\(port)", "--log",
                log,
            ] + arguments)
        try await process.waitForOutput("\n")
        let words = process.standardOutput.split(whereSeparator: \.isWhitespace)
        try #require(words.first == "listening")
        self.port = try #require(Int(words[1]))
    }

    /// The lines about beats that it printed.
    var lines: [String] {
        process.standardOutput.split(separator: "\n").dropFirst().map(String.init)
    }

    /// What it wrote down about each beat.
    func records() throws -> [JSON] {
        guard let text = try? String(contentsOfFile: log, encoding: .utf8) else { return [] }
        return try text.split(separator: "\n").map { try JSONReader.parse(String($0)) }
    }

    func stop() async { await process.stop() }
}

/// A certificate authority of a test's own, and servers' certificates by it, made by `openssl`.
struct TestAuthority {
    static let openssl = "/usr/bin/openssl"
    static var whyNot: String? {
        FileManager.default.isExecutableFile(atPath: openssl) ? nil : "no \(openssl)"
    }

    let folder: String
    var caFile: String { "\(folder)/ca.pem" }

    init(in folder: String) async throws {
        self.folder = folder
        try await Self.run([
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", "2",
            "-subj", "/CN=lockerd test authority", "-keyout", "\(folder)/ca.key", "-out",
            "\(folder)/ca.pem",
        ])
    }

    /// Certificate and key for a server with this subject alternative name: `DNS:localhost`.
    func server(_ name: String) async throws -> [String] {
        let base = "\(folder)/\(name.filter(\.isLetter))"
        try write("subjectAltName=\(name)\n", to: "\(base).ext")
        try await Self.run([
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
            "/CN=server",
            "-keyout", "\(base).key", "-out", "\(base).csr",
        ])
        try await Self.run([
            "x509", "-req", "-in", "\(base).csr", "-CA", caFile, "-CAkey", "\(folder)/ca.key",
            "-CAcreateserial", "-days", "2", "-extfile", "\(base).ext", "-out", "\(base).pem",
        ])
        return ["\(base).pem", "\(base).key"]
    }

    private static func run(_ arguments: [String]) async throws {
        let process = try ChildProcess(openssl, arguments)
        let status = try await process.exitStatus()
        try #require(status == 0, "openssl \(arguments[0]): \(process.standardError)")
    }
}

/// A small beat with this number.
func sampleBeat(_ seq: Int) -> String {
    """
    {"site":"demo","bootId":"boot-1","seq":\(seq),"state":"online","health":"ok","controllers":[{},{}],\
    "opens":{"opened":4,"failed":0,"since":"2026-11-21T08:14:59.873Z","sinceSeq":0}}
    """
}

extension Trait where Self == ConditionTrait {
    /// Runs where the Python peers are; in CI they must be.
    static var needsPeers: Self {
        .enabled(
            if: Checkout.whyNoPeers == nil || Checkout.isCI,
            "\(Checkout.whyNoPeers ?? "the Python peers are there")")
    }

    /// Runs where `openssl` is; in CI it must be.
    static var needsOpenSSL: Self {
        .enabled(
            if: TestAuthority.whyNot == nil || Checkout.isCI,
            "\(TestAuthority.whyNot ?? "openssl is there")")
    }
}
