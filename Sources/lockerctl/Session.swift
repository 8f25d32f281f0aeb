import ControlClient
import ControlWire
import JSONLines

/// A connection to the daemon together with what is needed to explain its failures.
struct Session: Sendable {
    let client: ControlClient
    let path: String
    let isJSON: Bool
    /// Nil where the daemon would not tell.
    let daemon: DaemonVersion?
    /// Why it would not tell, where the caller may not even ask for the version.
    let versionRefusal: DaemonFault?

    /// Connects and compares protocol versions.
    ///
    /// A daemon of another major version may mean other things by the same words, so nothing but `version` and `raw` is
    /// sent to it.
    @MainActor
    static func start(
        _ global: GlobalOptions, acceptsAnyVersion: Bool = false
    ) async throws(Failure) -> Session {
        let path = global.socketPath
        let client: ControlClient
        do throws(ControlError) {
            client = try await ControlClient.connect(to: path)
        } catch {
            throw Advice.failure(error, path: path)
        }
        var daemon: DaemonVersion?
        var refusal: DaemonFault?
        do throws(ControlError) {
            daemon = try await client.version()
        } catch .refused(let fault) where fault.isUnknownMethod {
            // Older than the method itself; the verb will show what it can do.
        } catch .refused(let fault) where fault.code == "NOT_PERMITTED" {
            // The verb's own refusal says more, where it has one.
            refusal = fault
        } catch {
            throw Advice.failure(error, path: path)
        }
        if let daemon, daemon.protocolMajor != ControlProtocol.major, !acceptsAnyVersion {
            throw Failure(.failed, skew(daemon))
        }
        return Session(
            client: client, path: path, isJSON: global.json, daemon: daemon, versionRefusal: refusal
        )
    }

    static func skew(_ daemon: DaemonVersion) -> String {
        let spoken = "\(daemon.protocolMajor).\(daemon.protocolMinor)"
        let program = daemon.protocolMajor > ControlProtocol.major ? "lockerctl" : "lockerd"
        return
            "\(daemon.daemon) \(daemon.version) speaks control protocol \(spoken), this lockerctl "
            + "\(lockerctlVersion) speaks \(ControlProtocol.major).\(ControlProtocol.minor); nothing was asked of it; "
            + "upgrade \(program), or restart it if it was upgraded already"
    }

    /// Runs one call; a failure of it becomes a sentence and an exit code, and with `--json` the daemon's error object.
    @MainActor
    func attempt<Value: Sendable>(
        _ call: @Sendable (ControlClient) async throws(ControlError) -> Value
    ) async throws(Failure) -> Value {
        do throws(ControlError) {
            return try await call(client)
        } catch {
            throw explain(error)
        }
    }

    /// With `--json`, prints the daemon's error object for programs.
    func show(_ fault: DaemonFault) {
        if isJSON { Output.line("{\"error\":\(fault.json)}") }
    }

    /// What `error` means for the person who typed the command.
    func explain(_ error: ControlError) -> Failure {
        if case .refused(let fault) = error { show(fault) }
        return Advice.failure(error, path: path, daemon: daemon)
    }
}
