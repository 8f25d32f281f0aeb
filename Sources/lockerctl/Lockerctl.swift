import ArgumentParser
import ControlClient
import Glibc

/// Version of this program.
let lockerctlVersion = "0.1.0"

struct Lockerctl: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lockerctl",
        abstract: "Look at and open the lockers that lockerd serves.",
        discussion: """
            A LOCKER is an address such as wall/3, or a site-wide number such as 103.
            Exit status: 0 success, 1 the operation failed, 2 usage, 3 lockerd cannot be reached, 4 not permitted.
            """,
        version: "lockerctl \(lockerctlVersion)",
        subcommands: [
            StatusVerb.self, OpenVerb.self, OpenAllVerb.self, CancelVerb.self, OperationVerb.self,
            ServiceVerb.self, ControllersVerb.self, EventsVerb.self, AuditVerb.self,
            ReloadVerb.self, RestartVerb.self, ActVerb.self, ProbeVerb.self, CommissionVerb.self,
            ScanVerb.self,
            AssignUnitVerb.self, TowerVerb.self, RawVerb.self, VersionVerb.self,
            CompletionVerb.self,
        ])

    @OptionGroup var global: GlobalOptions
}

/// Options that stand before or after the verb.
struct GlobalOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The socket of lockerd; otherwise $LOCKERD_SOCKET, otherwise \(ControlClient.defaultSocket).",
            valueName: "path"),
        completion: .file())
    var socket: String?

    @Flag(help: "Print what lockerd answered as one line of JSON, for programs.")
    var json = false

    var socketPath: String {
        socket ?? Environment.value("LOCKERD_SOCKET") ?? ControlClient.defaultSocket
    }
}

/// The process's environment.
enum Environment {
    /// A variable's value; nil when it is not set or empty.
    static func value(_ name: String) -> String? {
        guard let value = getenv(name), value.pointee != 0 else { return nil }
        return String(cString: value)
    }
}

/// A verb of lockerctl.
protocol Verb: AsyncParsableCommand {
    var global: GlobalOptions { get }

    /// Does the work; throws ``Failure`` for everything but success.
    @MainActor func execute() async throws
}

/// The program's exit codes.
enum ExitStatus: Int32 {
    case success = 0
    case failed = 1
    case usage = 2
    case unreachable = 3
    case notPermitted = 4
}

/// Why the program ends with something else than success.
struct Failure: Error {
    let status: ExitStatus
    /// For standard error; nil where everything was said already.
    let message: String?

    init(_ status: ExitStatus, _ message: String? = nil) {
        self.status = status
        self.message = message
    }
}
