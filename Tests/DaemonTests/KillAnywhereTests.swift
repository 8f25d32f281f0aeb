import Foundation
import TestSupport
import Testing

/// Core and modules are killed anywhere, and independent witnesses look whether every promise is kept.
///
/// The work is done by `Tests/Bench/killing/kill_anywhere.py`, which shares no code with the daemon; `make soak` runs it for
/// thousands of kills.
@Suite(.serialized) struct KillAnywhereTests {
    @Test func twoHundredKillsBreakNoPromise() async throws {
        let harness = try Killing.harness(["--kills", "200"])
        let status = try await harness.exitStatus(within: Killing.patience)
        print(harness.standardOutput.split(separator: "\n").last.map(String.init) ?? "no figures")
        #expect(status == 0, "\(harness.standardOutput)\(harness.standardError)")
    }

    @Test func everyPlantedBreachIsNoticed() async throws {
        let harness = try Killing.harness(["--kills", "40", "--plants"])
        let status = try await harness.exitStatus(within: Killing.patience)
        #expect(status == 0, "\(harness.standardOutput)\(harness.standardError)")
    }
}

/// The scripts that kill daemons and spoil what they stand on.
enum Killing {
    /// A few hundred lives, on a busy machine and with a sanitizer.
    static let patience: Duration = .seconds(540)

    /// Polite to the tests beside it, whose deadlines are shorter than its own.
    static func harness(_ arguments: [String]) throws -> ChildProcess {
        try ChildProcess(
            "/usr/bin/env",
            [
                "nice", "-n", "5", "python3", "\(folder)/kill_anywhere.py", "--lockerd",
                Checkout.program("lockerd"),
            ] + arguments)
    }

    /// Runs one of the faults; prints what was seen, and cancels the test where this machine cannot tell.
    static func fault(_ name: String) async throws {
        let script = try ChildProcess(
            "/usr/bin/env",
            ["python3", "\(folder)/faults.py", name, "--lockerd", Checkout.program("lockerd")])
        let status = try await script.exitStatus(within: .seconds(150))
        let said = script.standardOutput.trimmingCharacters(in: .whitespacesAndNewlines)
        if status == 77 {
            try Test.cancel("\(said.replacingOccurrences(of: "skipped: ", with: ""))")
        }
        #expect(status == 0, "\(said) \(script.standardError)")
        print(said)
    }

    private static let folder = "\(Checkout.root)/Tests/Bench/killing"
}
