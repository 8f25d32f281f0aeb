import ArgumentParser
import Glibc
import Logging
import ModuleHost
import SiteConfig
import SiteModel

/// The command line. Exit codes are those of `sysexits`.
struct LockerdCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lockerd",
        abstract: "Opens the lockers of a site, and says truthfully what happened.",
        version: "lockerd \(Version.number)")

    @Option(help: ArgumentHelp("Folder with lockerd.toml and links.d/.", valueName: "dir"))
    var config = "/etc/lockerd"

    @Flag(help: "Report every problem of the configuration as file:line: message, and end.")
    var check = false

    @Option(help: ArgumentHelp("Control socket, instead of the configured one.", valueName: "path"))
    var socket: String?

    @Option(
        help: ArgumentHelp(
            "Folder for what must survive a restart, made if it is missing; instead of the configured one.",
            valueName: "dir"))
    var state: String?

    @Option(
        name: .customLong("log-level"),
        help: "Least level that is logged: trace, debug, info, notice, warning, error, critical.",
        transform: Self.logLevel)
    var logLevel = Logger.Level.notice

    func run() async throws {
        if check { throw await checkConfiguration() }
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = logLevel
            return handler
        }
        let daemon = Daemon(
            loader: loader, socket: socket, state: state, logger: Logger(label: "lockerd"),
            manager: ServiceManager(environment: Machine.environment()))
        do throws(DaemonFailure) {
            try await daemon.run()
        } catch {
            complain(error.message)
            throw ExitCode(error.code)
        }
    }

    private var loader: SiteLoader {
        SiteLoader(directory: config, moduleDirectories: ModuleFolders.besideProgram)
    }

    /// Everything that is wrong, advice too: whoever asks wants to hear of it before the daemon says it to nobody.
    private func checkConfiguration() async -> ExitCode {
        let loader = SiteLoader(
            directory: config, moduleDirectories: ModuleFolders.besideProgram,
            vetting: { ModuleVetting.objection(to: $0) })
        let loaded = loader.load()
        var problems = loaded.problems.map(\.description)
        // What only a driver knows is asked of the driver, which touches no hardware for that.
        for link in loaded.plan?.links ?? [] where link.problems.isEmpty && link.module != nil {
            let opinion = await ModuleRehearsal.opinion(of: link)
            let file = "links.d/\(link.name).toml:1"
            if let objection = opinion.objection { problems.append("\(file): \(objection)") }
            for remark in opinion.remarks { print("\(file): note: \(remark)") }
        }
        for problem in problems { print(problem) }
        if problems.isEmpty { print("\(config): no problems") }
        return problems.isEmpty ? .success : .failure
    }

    private func complain(_ message: String) {
        let line = "lockerd: \(message)\n"
        _ = write(STDERR_FILENO, line, line.utf8.count)
    }

    private static func logLevel(_ text: String) throws -> Logger.Level {
        guard let level = Logger.Level(rawValue: text) else {
            let known = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("log level is \(text); want one of \(known)")
        }
        return level
    }
}
