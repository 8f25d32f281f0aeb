import ArgumentParser
import ControlClient

struct ServiceVerb: Verb {
    static let configuration = CommandConfiguration(
        commandName: "service",
        abstract: "Take a locker out of service, put it back, or mark its lock broken.")

    enum Switch: String, ExpressibleByArgument, CaseIterable {
        case on, off
    }

    @OptionGroup var global: GlobalOptions

    @Argument(
        help: "Address such as wall/3, or site-wide number.", completion: Completions.lockers)
    var locker: String

    @Flag(help: "Take it out of service: open refuses it.")
    var outOfService = false

    @Flag(help: "Put it back into service.")
    var inService = false

    @Option(help: "With --out-of-service: why, as a code for programs.")
    var code: String?

    @Option(help: "With --out-of-service: why, for people.")
    var reason: String?

    @Option(
        help: ArgumentHelp(
            "With on, the lock fires and a silent sensor counts as success.", valueName: "on|off"))
    var brokenLock: Switch?

    func validate() throws {
        if outOfService, inService {
            throw ValidationError("give --out-of-service or --in-service, not both")
        }
        if !outOfService, !inService, brokenLock == nil {
            throw ValidationError("give --out-of-service, --in-service or --broken-lock on|off")
        }
        if !outOfService, code != nil || reason != nil {
            throw ValidationError("--code and --reason belong to --out-of-service")
        }
    }

    func execute() async throws {
        let command = ServiceCommand(
            LockerSelector(locker), isOutOfService: outOfService ? true : inService ? false : nil,
            reasonCode: code, reason: reason, hasBrokenLock: brokenLock.map { $0 == .on })
        let session = try await Session.start(global)
        let (status, text) = try await session.attempt { client throws(ControlError) in
            try await client.service(command)
        }
        Output.line(
            global.json ? text : "\(status.address): \(StatusView.service(status).text)")
    }
}
