import ArgumentParser
import ControlClient
import ControlWire

struct VersionVerb: Verb {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Print the versions of lockerctl and of lockerd.")

    @OptionGroup var global: GlobalOptions

    func execute() async throws {
        let own = "\(ControlProtocol.major).\(ControlProtocol.minor)"
        if !global.json { Output.line("lockerctl \(lockerctlVersion) (control protocol \(own))") }
        let session = try await Session.start(global, acceptsAnyVersion: true)
        if let fault = session.versionRefusal { throw session.explain(.refused(fault)) }
        guard let daemon = session.daemon else {
            throw Failure(.failed, "lockerd at \(session.path) does not tell its version")
        }
        if global.json { return Output.line(daemon.json) }
        let spoken = "\(daemon.protocolMajor).\(daemon.protocolMinor)"
        Output.line("\(daemon.daemon) \(daemon.version) (control protocol \(spoken))")
        if daemon.protocolMajor != ControlProtocol.major {
            throw Failure(.failed, Session.skew(daemon))
        }
    }
}
