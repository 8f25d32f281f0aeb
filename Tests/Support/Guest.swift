import Foundation

/// A kernel of the tests' own, with simulated GPIO chips: `Tests/Bench/guest`.
package enum Guest {
    private static let folder = "\(Checkout.root)/Tests/Bench/guest"

    /// Nil where there is one, otherwise why not. In CI a missing one is a failure, not a skip.
    package static let whyNot: String? = {
        let probe = Process()
        probe.executableURL = URL(fileURLWithPath: "\(folder)/build-kernel")
        probe.arguments = ["--probe"]
        let errors = Pipe()
        probe.standardOutput = FileHandle.nullDevice
        probe.standardError = errors
        guard (try? probe.run()) != nil else { return "\(folder)/build-kernel cannot be run" }
        let text = String(
            decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        probe.waitUntilExit()
        return switch probe.terminationStatus {
        case 0: nil
        case 1: "the guest's kernel is not built; `make guest` builds it"
        default: text.trimmingCharacters(in: .whitespacesAndNewlines)
        }
    }()

    /// Where the GPIO shim was built against both versions of libgpiod; empty where it was not.
    private static let shims: String = {
        let probe = Process()
        probe.executableURL = URL(fileURLWithPath: "\(folder)/build-shims")
        probe.arguments = ["--probe"]
        let output = Pipe()
        probe.standardOutput = output
        guard (try? probe.run()) != nil else { return "" }
        let text = String(
            decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        probe.waitUntilExit()
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }()

    /// Whether also those scenarios run whose ground others cover in less detail.
    package static let runsAll =
        Checkout.isCI || ProcessInfo.processInfo.environment["LOCKERD_GUEST_ALL"] != nil

    /// What became of each scenario, by name: empty where it passed, otherwise why it failed.
    ///
    /// All of them run in one guest, one after the other. What they measure is printed.
    ///
    /// - Parameter programs: a folder with lockerd and its modules, as ``layOutPrograms(in:)`` makes it.
    package static func run(
        _ group: String, virtualTime: Bool = false, programs: String? = nil,
        within limit: Duration = .seconds(120)
    ) async throws -> [String: String] {
        let python = "/usr/bin/python3"
        let list = try ChildProcess(python, ["\(folder)/scenarios.py", "--list", group])
        guard try await list.exitStatus() == 0 else {
            throw Timeout(description: list.standardError)
        }
        let names = list.standardOutput.split(separator: "\n").map(String.init)
        let guest = try ChildProcess(
            python,
            ["\(folder)/guest.py", "--timeout", "\(limit.components.seconds)", "--cwd", "/"]
                + (virtualTime ? ["--virtual-time"] : [])
                + (programs.map { ["--env", "LOCKERD_PROGRAMS=\($0)"] } ?? [])
                + ["--env", "LOCKERD_SHIMS=\(shims)"]
                + ["--", python, "\(folder)/scenarios.py"] + names)
        _ = try await guest.exitStatus(within: limit + .seconds(10))
        let lines = guest.standardOutput.split(separator: "\n").map(String.init)
        for line in lines where !line.hasPrefix("ok ") && !line.hasPrefix("failed ") {
            print(line)
        }
        return Dictionary(
            uniqueKeysWithValues: names.map { name in
                if lines.contains("ok \(name)") { return (name, "") }
                let failure = lines.first { $0.hasPrefix("failed \(name): ") }
                return (name, failure ?? "never ended: \(guest.standardError)")
            })
    }

    /// A folder with the programs of this build, and modules as an installation has them.
    ///
    /// Programs look for modules beside themselves, and see through a symbolic link.
    package static func layOutPrograms(in folder: String) throws {
        for name in ["lockerd", "lockerctl", "coil-guardian", "gpio-checklist"] {
            try FileManager.default.copyItem(
                atPath: Checkout.program(name), toPath: "\(folder)/\(name)")
        }
        try Checkout.stageModules(in: "\(folder)/lockerd-modules")
    }
}
