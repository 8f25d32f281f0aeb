import Foundation
import JSONLines
import TestSupport

/// A module as a real process, with the test in the daemon's place. It is killed when the test lets go of it.
final class ModuleUnderTest: Sendable {
    /// What joins the two.
    enum Transport: CaseIterable {
        case socketPair, pipes
    }

    private let process = Process()
    private let errorsPath: String
    let peer: LinePeer

    init(_ executable: String, over transport: Transport = .socketPair) throws {
        process.executableURL = URL(fileURLWithPath: executable)
        errorsPath = "/tmp/lkd-errors-\(UInt32.random(in: 0...UInt32.max))"
        _ = FileManager.default.createFile(atPath: errorsPath, contents: nil)
        process.standardError = FileHandle(forWritingAtPath: errorsPath)
        switch transport {
        case .socketPair:
            let (ours, theirs) = try LinePeer.socketPair()
            process.standardInput = FileHandle(fileDescriptor: theirs)
            process.standardOutput = FileHandle(fileDescriptor: theirs)
            peer = LinePeer(input: ours, output: ours)
            defer { close(theirs) }
            try Self.run(process)
        case .pipes:
            let (down, up) = (Pipe(), Pipe())
            process.standardInput = down
            process.standardOutput = up
            try Self.run(process)
            peer = LinePeer(
                input: fcntl(up.fileHandleForReading.fileDescriptor, F_DUPFD_CLOEXEC, 3),
                output: fcntl(down.fileHandleForWriting.fileDescriptor, F_DUPFD_CLOEXEC, 3))
            for handle in [up.fileHandleForReading, down.fileHandleForWriting] {
                try handle.close()
            }
        }
    }

    deinit {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        try? FileManager.default.removeItem(atPath: errorsPath)
    }

    static func simulator(over transport: Transport = .socketPair) throws -> ModuleUnderTest {
        try ModuleUnderTest(Checkout.program("simulator-module"), over: transport)
    }

    var pid: Int32 { process.processIdentifier }
    var isRunning: Bool { process.isRunning }
    var standardError: String { (try? String(contentsOfFile: errorsPath, encoding: .utf8)) ?? "" }

    /// Waits for the end; the exit status, negative for a signal.
    func exitStatus(within limit: Duration = .seconds(20)) async throws -> Int32 {
        try await eventually("the module ends; it said: \(standardError)", within: limit) {
            !process.isRunning
        }
        return process.terminationReason == .exit
            ? process.terminationStatus : -process.terminationStatus
    }

    /// Resident memory in KiB.
    func residentKiB() throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") } ?? ""
        return Int(line.split(separator: " ").dropLast().last ?? "") ?? 0
    }

    /// Threads of the pool block every signal, and a child inherits that; the daemon's spawn does not pass it on either.
    private static func run(_ process: Process) throws {
        var none = sigset_t()
        var before = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        try process.run()
    }

    /// hello and configure, with one controller `wall` of three lockers, the third without a sensor, and start.
    func begin(options: JSON = [:]) async throws {
        _ = try await peer.call(1, "hello", Self.hello)
        _ = try await peer.call(2, "configure", Self.wall(options))
        _ = try await peer.call(3, "start", ["controller": "wall"])
    }

    static let hello: JSON = [
        "protocol": ["major": 1, "minor": 0], "daemon": "lockerd", "version": "0.1.0",
        "kind": "driver", "name": "yard",
    ]

    static func wall(_ options: JSON = [:]) -> JSON {
        [
            "link": ["name": "yard", "options": options],
            "controllers": [
                [
                    "id": "wall",
                    "lockers": [
                        ["number": 1], ["number": 2], ["number": 3, "sensor": false],
                    ],
                ]
            ],
        ]
    }
}
