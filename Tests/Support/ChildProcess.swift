import Foundation
import Locks

/// A program under test or an independent peer, ended by pid when the test is done.
package final class ChildProcess: Sendable {
    private struct Output {
        var out = Data()
        var err = Data()
        /// Pipes whose end has not been seen.
        var openPipes = 2
    }

    private let process = Process()
    private let output = Mutex(Output())

    package let name: String

    package init(
        _ executable: String, _ arguments: [String] = [], environment: [String: String] = [:],
        directory: String? = nil
    ) throws {
        name = URL(fileURLWithPath: executable).lastPathComponent
        process.executableURL = URL(fileURLWithPath: executable)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        if let directory { process.currentDirectoryURL = URL(fileURLWithPath: directory) }
        process.standardInput = FileHandle.nullDevice
        let out = Pipe()
        let err = Pipe()
        process.standardOutput = out
        process.standardError = err
        collect(out) { $0.out += $1 }
        collect(err) { $0.err += $1 }
        try Self.withoutBlockedSignals { try process.run() }
    }

    private func collect(
        _ pipe: Pipe, _ keep: @escaping @Sendable (inout Output, Data) -> Void
    ) {
        pipe.fileHandleForReading.readabilityHandler = { [weak self] handle in
            let data = handle.availableData
            if data.isEmpty { handle.readabilityHandler = nil }
            self?.output.withLock { output in
                keep(&output, data)
                if data.isEmpty { output.openPipes -= 1 }
            }
        }
    }

    /// Threads of the concurrency pool block most signals, and a child inherits that: it would never hear a SIGTERM.
    private static func withoutBlockedSignals(_ body: () throws -> Void) rethrows {
        var none = sigset_t()
        var before = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        try body()
    }

    deinit {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    }

    package var pid: Int32 { process.processIdentifier }
    package var isRunning: Bool { process.isRunning }
    package var standardOutput: String {
        output.withLock { String(decoding: $0.out, as: UTF8.self) }
    }
    package var standardError: String {
        output.withLock { String(decoding: $0.err, as: UTF8.self) }
    }

    package func signal(_ number: Int32) { kill(process.processIdentifier, number) }

    /// Waits for the end and returns the exit status, negative for a signal.
    package func exitStatus(within limit: Duration = .seconds(20)) async throws -> Int32 {
        try await eventually("\(name) ends; its errors: \(standardError)", within: limit) {
            !process.isRunning
        }
        // What it printed last may still be on its way; a process it left behind may hold the pipe open for ever.
        try? await eventually("its output is complete", within: .seconds(2)) {
            output.withLock { $0.openPipes <= 0 }
        }
        return process.terminationReason == .exit
            ? process.terminationStatus : -process.terminationStatus
    }

    /// Waits until standard output holds `text`.
    package func waitForOutput(_ text: String, within limit: Duration = .seconds(20)) async throws {
        try await eventually("\(name) prints \"\(text)\"", within: limit) {
            if standardOutput.contains(text) { return true }
            if !process.isRunning {
                throw Timeout(description: "\(name) ended early: \(standardError)")
            }
            return false
        }
    }

    /// Asks it to end, then makes it.
    package func stop() async {
        guard process.isRunning else { return }
        kill(process.processIdentifier, SIGTERM)
        do {
            try await eventually("\(name) stops", within: .seconds(10)) { !process.isRunning }
        } catch {
            kill(process.processIdentifier, SIGKILL)
        }
    }
}
